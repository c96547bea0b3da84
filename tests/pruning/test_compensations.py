from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuron_pruning import Removal, Selection, UserError, select_units
from neuron_pruning.models.dense import Dense
from neuron_pruning.pruning import compensations
from neuron_pruning.pruning.compensations import COMPENSATIONS, compensate, find_compensation
from neuron_pruning.pruning.surgery import pruned_logits
from neuron_pruning.pruning.units import Layer, LayerActivations

UNITS, INPUTS, PATTERNS, CLASSES = 8, 5, 30, 3
MERGING = [name for name, c in COMPENSATIONS.items() if c.requires == "merge targets"]
# Those that leave the units as they are and change outgoing weights alone.
OUTGOING = ["none", "bias", "add", "scaled", "affine", "lstsq", "ridge"]


def squash(values):
    return 1 / (1 + np.exp(-values))


def layer_with(activations, seed=0):
    """A layer with these activations; its weights in and out are drawn."""
    draws = np.random.default_rng(seed)
    patterns, count = activations.shape
    into = Dense(draws.normal(size=(count, INPUTS)), draws.normal(size=count))
    out = Dense(draws.normal(size=(CLASSES, count)), draws.normal(size=CLASSES))
    read = draws.normal(size=(patterns, INPUTS))
    labels = draws.integers(0, CLASSES, patterns)
    return Layer("fc1", into, out, LayerActivations(activations, read, labels))


def drawn(seed=0, units=UNITS, patterns=PATTERNS):
    return np.random.default_rng(seed).uniform(0.02, 0.98, (patterns, units))


def sigmoid_layer(seed=0, clones=()):
    """A layer with the activations that its weights give; ``clones`` are (copy, original)."""
    layer = layer_with(drawn(seed), seed)
    for copy, original in clones:
        layer.incoming.weight[copy], layer.incoming.bias[copy] = (
            layer.incoming.weight[original],
            layer.incoming.bias[original],
        )
    return replace(layer, recorded=replace(layer.recorded, activations=squash(pre(layer))))


def pre(layer):
    return layer.inputs @ layer.incoming.weight.T + layer.incoming.bias


def whole(layer):
    return layer.activations @ layer.outgoing.weight.T + layer.outgoing.bias


def after(layer, selection, name):
    weights = compensate(layer, selection, name)
    return pruned_logits(layer, selection, weights, layer.recorded)


def error(layer, selection, name):
    return np.abs(after(layer, selection, name) - whole(layer)).max()


def exact(layer, selection):
    return {name for name in OUTGOING if error(layer, selection, name) < 1e-9}


def one(unit, rule="similar", partner=None, units=UNITS, **more):
    return Selection(units, (Removal(unit, rule, partner, **more),))


def both(first, second, units=UNITS):
    pair = ((first, second), (second, first))
    removals = (Removal(u, "complementary", p, 180.0, removes_both=True) for u, p in pair)
    return Selection(units, tuple(removals))


def test_a_clone_is_merged_exactly_by_all_that_look_for_it():
    layer = sigmoid_layer(clones=[(6, 2)])
    assert exact(layer, one(6, partner=2)) == {"add", "scaled", "affine", "lstsq"}
    assert error(layer, one(6, partner=2), "fold") < 1e-9


@pytest.mark.parametrize("scale", [0.6, 1.4, -0.7, -1.0])
def test_a_clone_scaled_about_a_half_is_exact_by_scaled(scale):
    activations = drawn()
    activations[:, 2] = 0.5 + 0.6 * (activations[:, 2] - 0.5)
    activations[:, 6] = 0.5 + scale * (activations[:, 2] - 0.5)
    layer = layer_with(activations)
    assert exact(layer, one(6, partner=2)) == {"scaled", "affine", "lstsq"}
    weights = compensate(layer, one(6, partner=2), "scaled")
    moved = weights.outgoing.weight[:, 2] - layer.outgoing.weight[:, 2]
    np.testing.assert_allclose(moved, scale * layer.outgoing.weight[:, 6])
    shifted = weights.outgoing.bias - layer.outgoing.bias
    np.testing.assert_allclose(shifted, 0.5 * (1 - scale) * layer.outgoing.weight[:, 6])


@pytest.mark.parametrize("scale", [-1.0, -0.8])
def test_a_complement_in_half_is_exact_with_every_merge_that_scales(scale):
    activations = drawn()
    activations[:, 6] = 0.5 + scale * (activations[:, 2] - 0.5)
    layer = layer_with(activations)
    assert exact(layer, one(6, "complementary", 2)) == {"add", "scaled", "affine", "lstsq"}


def complements(equal):
    activations = drawn()
    activations[:, 6] = 1 - activations[:, 2]
    layer = layer_with(activations)
    if equal:
        layer.outgoing.weight[:, 6] = layer.outgoing.weight[:, 2]
    return layer


@pytest.mark.parametrize("name", ["add", "scaled", "affine"])
def test_a_pair_that_goes_whole_is_exact_only_with_equal_outgoing_weights(name):
    equal, unequal = complements(True), complements(False)
    assert error(equal, both(2, 6), name) < 1e-9
    # The pair gives w_j + (w_i - w_j) a_i and leaves its mean behind.
    by_weight = unequal.outgoing.weight[:, 6] - unequal.outgoing.weight[:, 2]
    activations = unequal.activations[:, 2]
    off = np.outer(activations - activations.mean(), by_weight)
    found = after(unequal, both(2, 6), name) - whole(unequal)
    np.testing.assert_allclose(found, off, atol=1e-12)
    assert np.abs(off).max() > 0.1


def test_a_mirrored_pair_about_another_value_leaves_its_own_mean():
    activations = drawn()
    activations[:, 6] = 1.7 - activations[:, 2]
    layer = layer_with(activations)
    layer.outgoing.weight[:, 6] = layer.outgoing.weight[:, 2]
    assert error(layer, both(2, 6), "add") < 1e-9


def test_half_a_pair_is_merged_into_the_half_that_stays():
    layer = complements(False)
    half = both(2, 6).first(1)
    assert half.removed == (2,) and not half.removals[0].removes_both
    assert error(layer, half, "add") < 1e-9


@pytest.mark.parametrize("spread", [0.0, 1e-17, 1e-11])
def test_units_that_hardly_vary_never_get_large_weights(spread):
    draws = np.random.default_rng(5)
    activations = np.linspace(0.1, 0.9, UNITS) + spread * draws.standard_normal((40, UNITS))
    layer = layer_with(activations)
    for name in ("scaled", "affine", "lstsq", "ridge"):
        weights = compensate(layer, one(6, partner=2), name)
        assert np.abs(weights.outgoing.weight).max() < 100, name
        assert error(layer, one(6, partner=2), name) < (0.1 if name == "ridge" else 1e-4), name


def test_a_layer_that_says_nothing_at_all():
    layer = layer_with(np.zeros((20, UNITS)))
    for name in ("none", "bias", "add", "scaled", "affine", "lstsq", "ridge"):
        assert error(layer, one(6, partner=2), name) < 1e-9


def test_lossless_keeps_a_pair_with_unequal_outgoing_weights():
    layer = complements(False)
    selection = select_units(layer.activations, 5, complementary="lossless")
    assert [(r.unit, r.partner) for r in selection.removals] == [(6, 2)]
    assert error(layer, selection, "add") < 1e-9
    faithful = select_units(layer.activations, 5)
    assert faithful.removed == (2, 6)
    assert error(layer, faithful, "add") > 0.1


def test_the_reverse_of_a_unit_gives_its_weights_back_with_the_other_sign():
    layer = complements(False)
    assert exact(layer, one(6, "reverse", 2)) == {"add", "scaled", "affine", "lstsq"}
    weights = compensate(layer, one(6, "reverse", 2), "add")
    moved = weights.outgoing.weight[:, 2] - layer.outgoing.weight[:, 2]
    np.testing.assert_allclose(moved, -layer.outgoing.weight[:, 6])
    np.testing.assert_allclose(
        weights.outgoing.bias - layer.outgoing.bias, layer.outgoing.weight[:, 6]
    )


def test_an_affine_function_of_a_unit_is_exact_by_affine():
    activations = drawn()
    activations[:, 6] = 0.1 + 0.3 * activations[:, 2]
    layer = layer_with(activations)
    assert exact(layer, one(6, partner=2)) == {"affine", "lstsq"}
    weights = compensate(layer, one(6, partner=2), "affine")
    moved = weights.outgoing.weight[:, 2] - layer.outgoing.weight[:, 2]
    np.testing.assert_allclose(moved, 0.3 * layer.outgoing.weight[:, 6])
    np.testing.assert_allclose(
        weights.outgoing.bias - layer.outgoing.bias, 0.1 * layer.outgoing.weight[:, 6]
    )


def test_a_combination_of_two_units_is_exact_by_least_squares_alone():
    activations = drawn()
    activations[:, 6] = 0.2 + 0.3 * activations[:, 2] - 0.15 * activations[:, 4]
    assert exact(layer_with(activations), one(6, partner=2)) == {"lstsq"}


@pytest.mark.parametrize("name", ["add", "scaled", "affine"])
def test_a_combination_that_banding_sees_is_exact_by_groups(name):
    draws = np.random.default_rng(3)
    activations = draws.uniform(0.1, 0.9, (24, 5))
    activations[:, 0], activations[:, 1] = (
        np.tile([0.1, 0.5, 0.1, 0.5], 6),
        np.tile([0.1, 0.1, 0.5, 0.5], 6),
    )
    activations[:, 2] = activations[:, 0] + activations[:, 1]  # 0.2, 0.6 or 1.0: bands 0, 0.5 and 1
    layer = layer_with(activations)
    selection = select_units(activations, 1, groups="lossless")
    assert selection.removals == (Removal(2, "group", members=(0, 1)),)
    assert error(layer, selection, name) < 1e-9
    assert error(layer, selection, "none") > 0.05


def test_a_constant_unit_becomes_a_bias():
    activations = drawn()
    activations[:, 3] = 0.37
    layer = layer_with(activations)
    assert exact(layer, one(3, "constant")) == {"bias", "add", "scaled", "affine", "lstsq"}
    weights = compensate(layer, one(3, "constant"), "bias")
    moved = weights.outgoing.bias - layer.outgoing.bias
    np.testing.assert_allclose(moved, 0.37 * layer.outgoing.weight[:, 3])


def test_a_short_unit_gets_nothing_in_return():
    layer, selection = sigmoid_layer(), one(3, "short")
    for name in MERGING:
        found = after(layer, selection, name)
        np.testing.assert_allclose(found, after(layer, selection, "none"), atol=1e-12)


@pytest.mark.parametrize("name", ["add", "scaled", "affine", "fold"])
def test_weights_travel_on_when_a_merge_target_goes_in_its_turn(name):
    layer = sigmoid_layer(clones=[(4, 1), (6, 1)])
    chain = Selection(UNITS, (Removal(6, "similar", 4), Removal(4, "similar", 1)))
    assert error(layer, chain, name) < 1e-9


def test_weights_travel_on_to_a_complement():
    activations = drawn()
    activations[:, 6] = activations[:, 4]
    activations[:, 1] = 1 - activations[:, 4]
    layer = layer_with(activations)
    chain = Selection(UNITS, (Removal(6, "similar", 4), Removal(4, "complementary", 1)))
    assert error(layer, chain, "add") < 1e-9


def random_selection(seed, units):
    """Some units go, each with a merge target that is there when its turn comes."""
    draws = np.random.default_rng(seed)
    alive, removals = list(range(units)), []
    for _ in range(draws.integers(1, units - 1)):
        unit = int(draws.choice(alive))
        alive.remove(unit)
        rule = str(draws.choice(["similar", "reverse", "complementary"]))
        removals.append(Removal(unit, rule, int(draws.choice(alive))))
    return Selection(units, tuple(removals))


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_nothing_that_keeps_the_units_beats_least_squares(seed):
    # fold and add_incoming change the activations: least squares need not beat them.
    layer, selection = layer_with(drawn(seed), seed), random_selection(seed, UNITS)
    left = {n: np.square(after(layer, selection, n) - whole(layer)).sum() for n in OUTGOING}
    assert min(left.values()) >= left["lstsq"] - 1e-9
    assert left["lstsq"] <= left["bias"] - 1e-12


def conjugate_gradients(matrix, wanted):
    """Solution of a positive definite system, one column."""
    found = np.zeros_like(wanted)
    residual = direction = wanted
    for _ in range(3 * len(wanted)):
        if residual @ residual < 1e-26:
            break
        step = (residual @ residual) / (direction @ matrix @ direction)
        found = found + step * direction
        fresh = residual - step * (matrix @ direction)
        direction = fresh + (fresh @ fresh) / (residual @ residual) * direction
        residual = fresh
    return found


@pytest.mark.parametrize("seed", range(3))
def test_least_squares_agree_with_the_normal_equations_by_conjugate_gradients(seed):
    layer, selection = layer_with(drawn(seed), seed), random_selection(seed, UNITS)
    kept, gone = list(selection.kept), list(selection.removed)
    known = np.column_stack([layer.activations[:, kept], np.ones(PATTERNS)])
    lost = layer.activations[:, gone] @ layer.outgoing.weight[:, gone].T
    normal = [conjugate_gradients(known.T @ known, known.T @ column) for column in lost.T]
    weights = compensate(layer, selection, "lstsq")
    found = np.column_stack([weights.outgoing.weight[:, kept], weights.outgoing.bias])
    own = np.column_stack([layer.outgoing.weight[:, kept], layer.outgoing.bias])
    np.testing.assert_allclose(found - own, normal, rtol=1e-6, atol=1e-8)


def test_least_squares_on_fewer_patterns_than_units_fit_them_all():
    layer = layer_with(drawn(patterns=4))
    assert error(layer, one(3), "lstsq") < 1e-9


def test_ridge_tends_to_least_squares_without_a_constant(monkeypatch):
    layer = layer_with(drawn())
    selection = random_selection(5, UNITS)
    kept = list(selection.kept)
    activations = layer.activations
    wanted = np.linalg.lstsq(
        activations[:, kept], activations @ layer.outgoing.weight.T, rcond=None
    )[0].T
    gaps = []
    for strength in (1e-1, 1e-3, 1e-10):
        monkeypatch.setattr(compensations, "RIDGE_STRENGTH", strength)
        weights = compensate(layer, selection, "ridge")
        np.testing.assert_array_equal(weights.outgoing.bias, layer.outgoing.bias)
        gaps.append(np.abs(weights.outgoing.weight[:, kept] - wanted).max())
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 1e-7


def test_ridge_minimises_its_penalised_error():
    layer, selection = layer_with(drawn()), one(3)
    kept = list(selection.kept)
    activations, part = layer.activations, layer.activations[:, kept]
    penalty = compensations.RIDGE_STRENGTH * (part**2).sum() / len(kept)
    extra = np.sqrt(penalty) * np.eye(len(kept))
    wanted = np.vstack([activations, np.zeros((len(kept), UNITS))])
    factors = np.linalg.lstsq(np.vstack([part, extra]), wanted, rcond=None)[0]
    found = compensate(layer, selection, "ridge").outgoing.weight[:, kept]
    np.testing.assert_allclose(found, layer.outgoing.weight @ factors.T, rtol=1e-8)


def test_fold_takes_the_centroid_in_and_the_sum_out():
    layer = sigmoid_layer()
    selection = Selection(UNITS, (Removal(5, "similar", 1), Removal(7, "similar", 1)))
    weights = compensate(layer, selection, "fold")
    group, others = [1, 5, 7], [0, 2, 3, 4, 6]
    np.testing.assert_allclose(
        weights.incoming.weight[1], layer.incoming.weight[group].mean(axis=0)
    )
    np.testing.assert_allclose(weights.incoming.bias[1], layer.incoming.bias[group].mean())
    np.testing.assert_allclose(
        weights.outgoing.weight[:, 1], layer.outgoing.weight[:, group].sum(axis=1)
    )
    np.testing.assert_array_equal(weights.incoming.weight[others], layer.incoming.weight[others])
    np.testing.assert_array_equal(
        weights.outgoing.weight[:, others], layer.outgoing.weight[:, others]
    )
    np.testing.assert_array_equal(weights.outgoing.bias, layer.outgoing.bias)
    assert weights.incoming is not layer.incoming


def test_fold_averages_all_of_a_chain():
    chain = Selection(UNITS, (Removal(6, "similar", 4), Removal(4, "similar", 1)))
    layer = sigmoid_layer()
    weights = compensate(layer, chain, "fold")
    np.testing.assert_allclose(
        weights.incoming.weight[1], layer.incoming.weight[[1, 4, 6]].mean(axis=0)
    )


def test_added_incoming_weights_double_the_preactivation_of_a_clone():
    layer = sigmoid_layer(clones=[(6, 2)])
    weights = compensate(layer, one(6, partner=2), "add_incoming")
    doubled = layer.inputs @ weights.incoming.weight[2] + weights.incoming.bias[2]
    np.testing.assert_allclose(doubled, 2 * pre(layer)[:, 2])
    np.testing.assert_array_equal(weights.outgoing.weight, layer.outgoing.weight)
    assert error(layer, one(6, partner=2), "add_incoming") > 0.01


@pytest.mark.parametrize("name", MERGING)
@pytest.mark.parametrize("rule", ["similar", "ranked"])
def test_merging_without_merge_target_is_refused(name, rule):
    layer = layer_with(drawn())
    with pytest.raises(
        UserError, match=r"unit 3 is removed without merge target.* none, bias, lstsq"
    ):
        compensate(layer, one(3, rule), name)


@pytest.mark.parametrize("name", [n for n, c in COMPENSATIONS.items() if c.requires == "nothing"])
def test_the_rest_take_any_selection(name):
    layer = layer_with(drawn())
    for rule in ("similar", "ranked", "short", "constant", "group"):
        assert np.isfinite(after(layer, one(3, rule), name)).all()


def test_fitted_weights_are_taken_or_missed():
    layer = layer_with(drawn())
    with pytest.raises(UserError, match="no weights of its own"):
        compensate(layer, one(3), "fitted")


@pytest.mark.parametrize("name", ["bias", "lstsq", "ridge", "scaled", "affine"])
def test_what_is_fitted_needs_activations(name):
    unrecorded = replace(layer_with(drawn()), recorded=None)
    with pytest.raises(UserError, match="give its activations"):
        compensate(unrecorded, one(6, partner=2), name)
    for free in ("none", "add", "fold", "add_incoming"):
        compensate(unrecorded, one(6, partner=2), free)


@pytest.mark.parametrize("name", [name for name in COMPENSATIONS if name != "fitted"])
def test_the_layer_itself_is_left_alone(name):
    layer = sigmoid_layer()
    arrays = (
        layer.incoming.weight,
        layer.incoming.bias,
        layer.outgoing.weight,
        layer.outgoing.bias,
    )
    before = [array.tobytes() for array in arrays]
    compensate(layer, one(6, partner=2), name)
    assert [array.tobytes() for array in arrays] == before


@pytest.mark.parametrize("name", COMPENSATIONS)
def test_where_nothing_goes_nothing_changes(name):
    layer = layer_with(drawn())
    weights = compensate(layer, Selection(UNITS, ()), name)
    np.testing.assert_array_equal(weights.outgoing.weight, layer.outgoing.weight)
    np.testing.assert_array_equal(weights.outgoing.bias, layer.outgoing.bias)
    assert weights.incoming is layer.incoming


def test_unknown_names_and_other_layers_are_refused():
    with pytest.raises(UserError, match="no compensation 'pray'; known: none, bias, add, scaled"):
        find_compensation("pray")
    with pytest.raises(UserError, match="fc1 has 8 units, not 9"):
        compensate(layer_with(drawn()), one(3, units=9), "none")
