from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neuron_pruning import Removal, compensate, select_units
from neuron_pruning.models.dense import Dense
from neuron_pruning.pruning.groups import band, dependencies, joint_removals, reduced_row_echelon
from neuron_pruning.pruning.surgery import pruned_logits
from neuron_pruning.pruning.units import Layer, LayerActivations

LOW, HIGH = 0.1, 0.8


def column(*values):
    return np.array(values, dtype=float)[:, None]


def exact_echelon(matrix):
    """Reduced row echelon form in exact fractions."""
    rows = [[Fraction(float(value)) for value in row] for row in matrix]
    pivots = []
    for place in range(len(rows[0])):
        top = len(pivots)
        found = next((r for r in range(top, len(rows)) if rows[r][place]), None)
        if found is None:
            continue
        rows[top], rows[found] = rows[found], rows[top]
        rows[top] = [value / rows[top][place] for value in rows[top]]
        for other in range(len(rows)):
            if other != top:
                factor = rows[other][place]
                pairs = zip(rows[other], rows[top], strict=True)
                rows[other] = [value - factor * lead for value, lead in pairs]
        pivots.append(place)
    return np.array(rows[: len(pivots)], dtype=float).reshape(-1, matrix.shape[1]), pivots


def of_three(patterns=30, others=2, seed=0):
    """Units 0 to 2 of which one is high on every pattern, and others that are drawn."""
    draws = np.random.default_rng(seed)
    turns = np.arange(patterns) % 3
    three = np.where(turns[:, None] == np.arange(3), HIGH, LOW)
    return np.column_stack([three, draws.random((patterns, others))])


def layer_with(activations, equal=(), seed=0):
    draws = np.random.default_rng(seed)
    weight = draws.normal(size=(3, activations.shape[1]))
    weight[:, list(equal)] = weight[:, list(equal)[:1]]
    units = activations.shape[1]
    recorded = LayerActivations(
        activations, np.zeros((len(activations), 1)), np.zeros(len(activations), dtype=np.int64)
    )
    into = Dense(np.zeros((units, 1)), np.zeros(units))
    return Layer("fc1", into, Dense(weight, draws.normal(size=3)), recorded)


def change_of_logits(layer, selection):
    weights = compensate(layer, selection, "add")
    after = pruned_logits(layer, selection, weights, layer.recorded)
    return np.abs(after - layer.unpruned_logits).max()


@pytest.mark.parametrize(
    ("values", "banded"),
    [
        ((0.1, 0.15, 0.5, 0.55, 0.9), (0, 0, 0.5, 0.5, 1)),
        ((0.9, 0.1, 0.55, 0.15, 0.5), (1, 0, 0.5, 0, 0.5)),
        ((0.0, 0.5, 0.6, 0.61, 1.0), (0, 0.5, 0.5, 0.5, 1)),
        ((0.2, 0.2, 0.7, 0.7), (0, 0, 1, 1)),
        ((0.3, 0.3, 0.3), (0.5, 0.5, 0.5)),
        ((0.2, 0.4, 0.9), (0, 0.5, 1)),
    ],
)
def test_bands_are_cut_in_the_two_largest_gaps(values, banded):
    np.testing.assert_array_equal(band(column(*values)), column(*banded))


@given(arrays(np.float64, (7, 4), elements=st.floats(0, 1, width=32)))
def test_bands_keep_the_order_of_values(activations):
    banded = band(activations)
    assert set(banded.flat) <= {0.0, 0.5, 1.0}
    for unit, bands in zip(activations.T, banded.T, strict=True):
        assert (np.diff(bands[np.argsort(unit, kind="stable")]) >= 0).all()


def test_each_unit_is_banded_by_its_own_gaps():
    draws = np.random.default_rng(0)
    activations = draws.random((9, 5))
    apart = np.column_stack([band(unit[:, None]) for unit in activations.T])
    np.testing.assert_array_equal(band(activations), apart)


@settings(max_examples=25)
@given(
    arrays(
        np.float64,
        st.tuples(st.integers(1, 6), st.integers(1, 6)),
        elements=st.sampled_from([0.0, 0.5, 1.0]),
    )
)
def test_the_echelon_form_is_that_of_exact_fractions(matrix):
    rows, pivots = reduced_row_echelon(matrix)
    wanted, places = exact_echelon(matrix)
    assert pivots == places
    np.testing.assert_allclose(rows, wanted, atol=1e-9)


def test_a_known_echelon_form():
    rows, pivots = reduced_row_echelon(np.array([[0, 2, 4.0], [1, 1, 1], [1, 3, 5]]))
    assert pivots == [0, 1]
    np.testing.assert_allclose(rows, [[1, 0, -1], [0, 1, 2]])


def test_a_dependency_names_its_members_and_its_constant():
    (found,) = dependencies(of_three())
    assert found == (2, {0: -1.0, 1: -1.0}, 1.0)


def test_pairs_and_constants_are_no_groups():
    draws = np.random.default_rng(0)
    activations = draws.random((20, 4))
    activations[:, 2], activations[:, 3] = 1 - activations[:, 0], 0.4
    assert list(dependencies(activations)) == []


@pytest.mark.parametrize("equal", [True, False])
def test_a_group_with_a_constant_sum_goes_whole(equal):
    activations = of_three()
    selection = select_units(activations, 5, groups="faithful")
    assert selection.removals == tuple(Removal(unit, "group") for unit in (2, 0, 1))
    assert selection.counts["group"] == 3
    layer = layer_with(activations, equal=range(3) if equal else ())
    assert (change_of_logits(layer, selection) < 1e-9) == equal
    if equal:  # the bias takes w times the constant sum
        moved = compensate(layer, selection, "add").outgoing.bias - layer.outgoing.bias
        np.testing.assert_allclose(moved, (HIGH + 2 * LOW) * layer.outgoing.weight[:, 0])


def test_lossless_takes_one_and_keeps_the_logits():
    activations = of_three()
    selection = select_units(activations, 5, groups="lossless")
    assert selection.removals == (Removal(2, "group", members=(0, 1)),)
    assert change_of_logits(layer_with(activations), selection) < 1e-9


def test_groups_are_left_alone_unless_asked_for():
    assert select_units(of_three(), 5).removals == ()
    assert list(joint_removals(of_three(), np.ones(5, dtype=bool), "none")) == []


def test_another_sum_than_a_constant_does_not_go_whole():
    # Unit 2 is the mean of 0 and 1: no constant joint effect, yet a dependency.
    activations = np.random.default_rng(2).uniform(0.1, 0.9, (24, 4))
    activations[:, 0], activations[:, 1] = (
        np.tile([0.1, 0.7, 0.1, 0.7], 6),
        np.tile([0.1, 0.1, 0.7, 0.7], 6),
    )
    activations[:, 2] = (activations[:, 0] + activations[:, 1]) / 2
    assert select_units(activations, 1, groups="faithful").removals == ()
    selection = select_units(activations, 1, groups="lossless")
    assert selection.removals == (Removal(2, "group", members=(0, 1)),)
    assert change_of_logits(layer_with(activations), selection) < 1e-9


def test_only_units_alive_form_groups():
    activations = of_three()
    for gone in range(3):
        alive = np.ones(5, dtype=bool)
        alive[gone] = False
        assert list(joint_removals(activations, alive, "faithful")) == []
    alive = np.array([True, True, True, False, True])
    units = [removal.unit for removal in joint_removals(activations, alive, "faithful")]
    assert units == [2, 0, 1]
    assert alive.tolist() == [False, False, False, False, True]


def test_indices_are_those_of_the_layer():
    activations = of_three()[:, [3, 0, 4, 1, 2]]
    alive = np.array([False, True, True, True, True])
    (removal,) = joint_removals(activations, alive, "lossless")
    assert removal == Removal(4, "group", members=(1, 3))


def test_a_unit_that_went_with_one_group_is_in_no_other():
    three = of_three(others=0)
    activations = np.column_stack([three, three[:, 2]])  # unit 3 makes a group with 0 and 1 too
    alive = np.ones(4, dtype=bool)
    units = [removal.unit for removal in joint_removals(activations, alive, "faithful")]
    assert units == [2, 0, 1]
    assert alive.tolist() == [False, False, False, True]


def test_at_least_one_unit_stays():
    activations = of_three(others=0)
    alive = np.ones(3, dtype=bool)
    assert list(joint_removals(activations, alive, "faithful")) == []
    assert select_units(activations, 5, groups="faithful").kept == (0, 1, 2)
    assert select_units(activations, 5, groups="lossless").kept == (0, 1)


@settings(max_examples=25)
@given(
    arrays(np.float64, (8, 6), elements=st.sampled_from([0.1, 0.5, 0.9])),
    st.sampled_from(["faithful", "lossless"]),
)
def test_any_layer_keeps_a_unit_and_names_none_twice(activations, rule):
    selection = select_units(activations, 10, groups=rule)
    assert selection.kept
    assert sorted([*selection.removed, *selection.kept]) == list(range(6))
    for removal in selection.removals:
        assert not set(removal.members) - set(selection.kept)
