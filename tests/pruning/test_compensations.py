from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuron_pruning import Removal, Selection, UserError, select_units
from neuron_pruning.pruning import compensations
from neuron_pruning.pruning.compensations import COMPENSATIONS, compensate, find_compensation
from neuron_pruning.pruning.surgery import pruned_logits
from neuron_pruning.pruning.units import Dense, Layer, Recorded

UNITS, INPUTS, PATTERNS, CLASSES = 8, 5, 30, 3
MERGING = [name for name, c in COMPENSATIONS.items() if c.needs == "partners"]
# Those that leave the units as they are and change outgoing weights alone.
OUTGOING = ["none", "bias", "add", "scaled", "affine", "lstsq", "ridge"]


def squash(values):
    return 1 / (1 + np.exp(-values))


def layer_saying(said, seed=0):
    """A layer with these activations; its weights in and out are drawn."""
    draws = np.random.default_rng(seed)
    patterns, count = said.shape
    into = Dense(draws.normal(size=(count, INPUTS)), draws.normal(size=count))
    out = Dense(draws.normal(size=(CLASSES, count)), draws.normal(size=CLASSES))
    read = draws.normal(size=(patterns, INPUTS))
    truth = draws.integers(0, CLASSES, patterns)
    return Layer("fc1", into, out, (), Recorded(read, said, truth))


def drawn(seed=0, units=UNITS, patterns=PATTERNS):
    return np.random.default_rng(seed).uniform(0.02, 0.98, (patterns, units))


def sigmoid_layer(seed=0, clones=()):
    """A layer that says what its weights make of its inputs; ``clones`` are (copy, original)."""
    layer = layer_saying(drawn(seed), seed)
    for copy, original in clones:
        layer.into.weight[copy], layer.into.bias[copy] = (
            layer.into.weight[original],
            layer.into.bias[original],
        )
    return replace(layer, recorded=replace(layer.recorded, activations=squash(pre(layer))))


def pre(layer):
    return layer.inputs @ layer.into.weight.T + layer.into.bias


def whole(layer):
    return layer.activations @ layer.out.weight.T + layer.out.bias


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
    removals = (Removal(u, "complementary", p, 180.0, together=True) for u, p in pair)
    return Selection(units, tuple(removals))


def test_a_clone_is_merged_exactly_by_all_that_look_for_it():
    layer = sigmoid_layer(clones=[(6, 2)])
    assert exact(layer, one(6, partner=2)) == {"add", "scaled", "affine", "lstsq"}
    assert error(layer, one(6, partner=2), "fold") < 1e-9


@pytest.mark.parametrize("scale", [0.6, 1.4, -0.7, -1.0])
def test_a_clone_scaled_about_a_half_is_exact_by_scaled(scale):
    said = drawn()
    said[:, 2] = 0.5 + 0.6 * (said[:, 2] - 0.5)
    said[:, 6] = 0.5 + scale * (said[:, 2] - 0.5)
    layer = layer_saying(said)
    assert exact(layer, one(6, partner=2)) == {"scaled", "affine", "lstsq"}
    weights = compensate(layer, one(6, partner=2), "scaled")
    moved = weights.out[:, 2] - layer.out.weight[:, 2]
    np.testing.assert_allclose(moved, scale * layer.out.weight[:, 6])
    shifted = weights.out_bias - layer.out.bias
    np.testing.assert_allclose(shifted, 0.5 * (1 - scale) * layer.out.weight[:, 6])


@pytest.mark.parametrize("scale", [-1.0, -0.8])
def test_a_complement_in_half_is_exact_with_every_merge_that_scales(scale):
    said = drawn()
    said[:, 6] = 0.5 + scale * (said[:, 2] - 0.5)
    layer = layer_saying(said)
    assert exact(layer, one(6, "complementary", 2)) == {"add", "scaled", "affine", "lstsq"}


def complements(equal):
    said = drawn()
    said[:, 6] = 1 - said[:, 2]
    layer = layer_saying(said)
    if equal:
        layer.out.weight[:, 6] = layer.out.weight[:, 2]
    return layer


@pytest.mark.parametrize("name", ["add", "scaled", "affine"])
def test_a_pair_that_goes_whole_is_exact_only_with_equal_outgoing_weights(name):
    equal, unequal = complements(True), complements(False)
    assert error(equal, both(2, 6), name) < 1e-9
    # The pair gives w_j + (w_i - w_j) a_i and leaves its mean behind.
    by_weight = unequal.out.weight[:, 6] - unequal.out.weight[:, 2]
    said = unequal.activations[:, 2]
    off = np.outer(said - said.mean(), by_weight)
    found = after(unequal, both(2, 6), name) - whole(unequal)
    np.testing.assert_allclose(found, off, atol=1e-12)
    assert np.abs(off).max() > 0.1


def test_a_mirrored_pair_about_another_value_leaves_its_own_mean():
    said = drawn()
    said[:, 6] = 1.7 - said[:, 2]
    layer = layer_saying(said)
    layer.out.weight[:, 6] = layer.out.weight[:, 2]
    assert error(layer, both(2, 6), "add") < 1e-9


def test_half_a_pair_is_merged_into_the_half_that_stays():
    layer = complements(False)
    half = both(2, 6).first(1)
    assert half.removed == (2,) and not half.removals[0].together
    assert error(layer, half, "add") < 1e-9


@pytest.mark.parametrize("spread", [0.0, 1e-17, 1e-11])
def test_units_that_hardly_vary_never_get_large_weights(spread):
    draws = np.random.default_rng(5)
    said = np.linspace(0.1, 0.9, UNITS) + spread * draws.standard_normal((40, UNITS))
    layer = layer_saying(said)
    for name in ("scaled", "affine", "lstsq", "ridge"):
        weights = compensate(layer, one(6, partner=2), name)
        assert np.abs(weights.out).max() < 100, name
        assert error(layer, one(6, partner=2), name) < (0.1 if name == "ridge" else 1e-4), name


def test_a_layer_that_says_nothing_at_all():
    layer = layer_saying(np.zeros((20, UNITS)))
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
    moved = weights.out[:, 2] - layer.out.weight[:, 2]
    np.testing.assert_allclose(moved, -layer.out.weight[:, 6])
    np.testing.assert_allclose(weights.out_bias - layer.out.bias, layer.out.weight[:, 6])


def test_an_affine_function_of_a_unit_is_exact_by_affine():
    said = drawn()
    said[:, 6] = 0.1 + 0.3 * said[:, 2]
    layer = layer_saying(said)
    assert exact(layer, one(6, partner=2)) == {"affine", "lstsq"}
    weights = compensate(layer, one(6, partner=2), "affine")
    moved = weights.out[:, 2] - layer.out.weight[:, 2]
    np.testing.assert_allclose(moved, 0.3 * layer.out.weight[:, 6])
    np.testing.assert_allclose(weights.out_bias - layer.out.bias, 0.1 * layer.out.weight[:, 6])


def test_a_combination_of_two_units_is_exact_by_least_squares_alone():
    said = drawn()
    said[:, 6] = 0.2 + 0.3 * said[:, 2] - 0.15 * said[:, 4]
    assert exact(layer_saying(said), one(6, partner=2)) == {"lstsq"}


@pytest.mark.parametrize("name", ["add", "scaled", "affine"])
def test_a_combination_that_banding_sees_is_exact_by_groups(name):
    draws = np.random.default_rng(3)
    said = draws.uniform(0.1, 0.9, (24, 5))
    said[:, 0], said[:, 1] = np.tile([0.1, 0.5, 0.1, 0.5], 6), np.tile([0.1, 0.1, 0.5, 0.5], 6)
    said[:, 2] = said[:, 0] + said[:, 1]  # 0.2, 0.6 or 1.0: bands 0, 0.5 and 1
    layer = layer_saying(said)
    selection = select_units(said, 1, groups="lossless")
    assert selection.removals == (Removal(2, "group", members=(0, 1)),)
    assert error(layer, selection, name) < 1e-9
    assert error(layer, selection, "none") > 0.05


def test_a_constant_unit_becomes_a_bias():
    said = drawn()
    said[:, 3] = 0.37
    layer = layer_saying(said)
    assert exact(layer, one(3, "constant")) == {"bias", "add", "scaled", "affine", "lstsq"}
    weights = compensate(layer, one(3, "constant"), "bias")
    moved = weights.out_bias - layer.out.bias
    np.testing.assert_allclose(moved, 0.37 * layer.out.weight[:, 3])


def test_a_short_unit_gets_nothing_in_return():
    layer, selection = sigmoid_layer(), one(3, "short")
    for name in MERGING:
        found = after(layer, selection, name)
        np.testing.assert_allclose(found, after(layer, selection, "none"), atol=1e-12)


@pytest.mark.parametrize("name", ["add", "scaled", "affine", "fold"])
def test_weights_travel_on_when_a_survivor_goes_in_its_turn(name):
    layer = sigmoid_layer(clones=[(4, 1), (6, 1)])
    chain = Selection(UNITS, (Removal(6, "similar", 4), Removal(4, "similar", 1)))
    assert error(layer, chain, name) < 1e-9


def test_weights_travel_on_to_a_complement():
    said = drawn()
    said[:, 6] = said[:, 4]
    said[:, 1] = 1 - said[:, 4]
    layer = layer_saying(said)
    chain = Selection(UNITS, (Removal(6, "similar", 4), Removal(4, "complementary", 1)))
    assert error(layer, chain, "add") < 1e-9


def random_selection(seed, units):
    """Some units go, each in favour of one that is there when its turn comes."""
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
    # fold and add_incoming change what the units say: least squares need not beat them.
    layer, selection = layer_saying(drawn(seed), seed), random_selection(seed, UNITS)
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
    layer, selection = layer_saying(drawn(seed), seed), random_selection(seed, UNITS)
    kept, gone = list(selection.kept), list(selection.removed)
    known = np.column_stack([layer.activations[:, kept], np.ones(PATTERNS)])
    lost = layer.activations[:, gone] @ layer.out.weight[:, gone].T
    normal = [conjugate_gradients(known.T @ known, known.T @ column) for column in lost.T]
    weights = compensate(layer, selection, "lstsq")
    found = np.column_stack([weights.out[:, kept], weights.out_bias])
    own = np.column_stack([layer.out.weight[:, kept], layer.out.bias])
    np.testing.assert_allclose(found - own, normal, rtol=1e-6, atol=1e-8)


def test_least_squares_on_fewer_patterns_than_units_fit_them_all():
    layer = layer_saying(drawn(patterns=4))
    assert error(layer, one(3), "lstsq") < 1e-9


def test_ridge_tends_to_least_squares_without_a_constant(monkeypatch):
    layer = layer_saying(drawn())
    selection = random_selection(5, UNITS)
    kept = list(selection.kept)
    said = layer.activations
    wanted = np.linalg.lstsq(said[:, kept], said @ layer.out.weight.T, rcond=None)[0].T
    gaps = []
    for strength in (1e-1, 1e-3, 1e-10):
        monkeypatch.setattr(compensations, "RIDGE", strength)
        weights = compensate(layer, selection, "ridge")
        np.testing.assert_array_equal(weights.out_bias, layer.out.bias)
        gaps.append(np.abs(weights.out[:, kept] - wanted).max())
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 1e-7


def test_ridge_minimises_its_penalised_error():
    layer, selection = layer_saying(drawn()), one(3)
    kept = list(selection.kept)
    said, part = layer.activations, layer.activations[:, kept]
    penalty = compensations.RIDGE * (part**2).sum() / len(kept)
    extra = np.sqrt(penalty) * np.eye(len(kept))
    wanted = np.vstack([said, np.zeros((len(kept), UNITS))])
    factors = np.linalg.lstsq(np.vstack([part, extra]), wanted, rcond=None)[0]
    found = compensate(layer, selection, "ridge").out[:, kept]
    np.testing.assert_allclose(found, layer.out.weight @ factors.T, rtol=1e-8)


def test_fold_takes_the_centroid_in_and_the_sum_out():
    layer = sigmoid_layer()
    selection = Selection(UNITS, (Removal(5, "similar", 1), Removal(7, "similar", 1)))
    weights = compensate(layer, selection, "fold")
    group, others = [1, 5, 7], [0, 2, 3, 4, 6]
    np.testing.assert_allclose(weights.into[1], layer.into.weight[group].mean(axis=0))
    np.testing.assert_allclose(weights.into_bias[1], layer.into.bias[group].mean())
    np.testing.assert_allclose(weights.out[:, 1], layer.out.weight[:, group].sum(axis=1))
    np.testing.assert_array_equal(weights.into[others], layer.into.weight[others])
    np.testing.assert_array_equal(weights.out[:, others], layer.out.weight[:, others])
    np.testing.assert_array_equal(weights.out_bias, layer.out.bias)
    assert weights.changed_into


def test_fold_averages_all_of_a_chain():
    chain = Selection(UNITS, (Removal(6, "similar", 4), Removal(4, "similar", 1)))
    layer = sigmoid_layer()
    weights = compensate(layer, chain, "fold")
    np.testing.assert_allclose(weights.into[1], layer.into.weight[[1, 4, 6]].mean(axis=0))


def test_added_incoming_weights_double_the_preactivation_of_a_clone():
    layer = sigmoid_layer(clones=[(6, 2)])
    weights = compensate(layer, one(6, partner=2), "add_incoming")
    doubled = layer.inputs @ weights.into[2] + weights.into_bias[2]
    np.testing.assert_allclose(doubled, 2 * pre(layer)[:, 2])
    np.testing.assert_array_equal(weights.out, layer.out.weight)
    assert error(layer, one(6, partner=2), "add_incoming") > 0.01


@pytest.mark.parametrize("name", MERGING)
@pytest.mark.parametrize("rule", ["similar", "ranked"])
def test_merging_into_nobody_is_refused(name, rule):
    layer = layer_saying(drawn())
    with pytest.raises(UserError, match=r"unit 3 goes in nobody's favour.* none, bias, lstsq"):
        compensate(layer, one(3, rule), name)


@pytest.mark.parametrize("name", [n for n, c in COMPENSATIONS.items() if c.needs == "nothing"])
def test_the_rest_take_any_selection(name):
    layer = layer_saying(drawn())
    for rule in ("similar", "ranked", "short", "constant", "group"):
        assert np.isfinite(after(layer, one(3, rule), name)).all()


def test_fitted_weights_are_taken_or_missed():
    layer = layer_saying(drawn())
    with pytest.raises(UserError, match="no weights of its own"):
        compensate(layer, one(3), "fitted")


@pytest.mark.parametrize("name", ["bias", "lstsq", "ridge", "scaled", "affine"])
def test_what_is_fitted_needs_activations(name):
    blind = replace(layer_saying(drawn()), recorded=None)
    with pytest.raises(UserError, match="give its activations"):
        compensate(blind, one(6, partner=2), name)
    for free in ("none", "add", "fold", "add_incoming"):
        compensate(blind, one(6, partner=2), free)


@pytest.mark.parametrize("name", [name for name in COMPENSATIONS if name != "fitted"])
def test_the_layer_itself_is_left_alone(name):
    layer = sigmoid_layer()
    arrays = (layer.into.weight, layer.into.bias, layer.out.weight, layer.out.bias)
    before = [array.tobytes() for array in arrays]
    compensate(layer, one(6, partner=2), name)
    assert [array.tobytes() for array in arrays] == before


@pytest.mark.parametrize("name", COMPENSATIONS)
def test_where_nothing_goes_nothing_changes(name):
    layer = layer_saying(drawn())
    weights = compensate(layer, Selection(UNITS, ()), name)
    np.testing.assert_array_equal(weights.out, layer.out.weight)
    np.testing.assert_array_equal(weights.out_bias, layer.out.bias)
    assert not weights.changed_into


def test_unknown_names_and_other_layers_are_refused():
    with pytest.raises(UserError, match="no compensation 'pray'; known: none, bias, add, scaled"):
        find_compensation("pray")
    with pytest.raises(UserError, match="fc1 has 8 units, not 9"):
        compensate(layer_saying(drawn()), one(3, units=9), "none")
