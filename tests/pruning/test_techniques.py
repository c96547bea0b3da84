from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuron_pruning import UserError, build_network, load_network, select_units
from neuron_pruning.models.checkpoints import Checkpoint, save_checkpoint
from neuron_pruning.models.dense import Dense
from neuron_pruning.models.networks import Network
from neuron_pruning.pruning.compensations import COMPENSATIONS, compensate
from neuron_pruning.pruning.redundancy import Redundancy, RedundancyCriteria
from neuron_pruning.pruning.selection import Removal, Selection
from neuron_pruning.pruning.surgery import prune_checkpoint, prune_in_turn, pruned_logits
from neuron_pruning.pruning.techniques import (
    REGISTRY,
    apoz,
    badness,
    contribution,
    find_technique,
    fpgm,
    mozer_smolensky,
    norms,
    obd,
    taylor,
    techniques,
    variance,
)
from neuron_pruning.pruning.units import Layer, LayerActivations, describe_layer, record

UNITS, INPUTS, PATTERNS, CLASSES, BETWEEN = 12, 9, 60, 4, 6
PRECOMPUTED = [n for n in REGISTRY if n == "karnin" or n.startswith("torch_pruning_")]
FROM_WEIGHTS = {name for name in REGISTRY if REGISTRY[name].needs == "weights"}
# Of two units that are merged the higher index goes: permuting swaps their roles.
BY_INDEX = {"distinctiveness", "distinctiveness_weights", "sietsma_dow", "noiseout", "folding"}
UNORDERED = {"distinctiveness_literal", "folding"}  # the two of a pair are equally near
MERGING = [
    "distinctiveness",
    "distinctiveness_weights",
    "sietsma_dow",
    "srinivas_babu",
    "noiseout",
    "folding",
    "pelillo_fanelli_residual",  # by the least squares that it brings
]
HALF_WAY = {"angle": 50.0, "units": UNITS // 2}
every_technique = pytest.mark.parametrize("name", REGISTRY)
shallow_and_deep = pytest.mark.parametrize("deep", [False, True], ids=["last", "deep"])
seeds = st.integers(0, 2**32 - 1)


def squash(values):
    return 1 / (1 + np.exp(-values))


def make_layer(seed=0, units=UNITS, patterns=PATTERNS, deep=False, weight=None, inputs=INPUTS):
    draws = np.random.default_rng(seed)
    read = draws.normal(size=(patterns, inputs))
    own = draws.normal(size=(units, inputs))
    bias = draws.permutation(np.linspace(-2, 2, units))
    if weight is not None:
        own, bias = weight(own, bias, draws)
    following = BETWEEN if deep else CLASSES
    out = Dense(draws.normal(size=(following, units)), draws.normal(size=following))
    last = Dense(draws.normal(size=(CLASSES, following)), draws.normal(size=CLASSES))
    labels = draws.integers(0, CLASSES, patterns)
    labels[:CLASSES] = range(CLASSES)
    return Layer(
        "fc2",
        Dense(own, bias),
        out,
        LayerActivations(squash(read @ own.T + bias), read, labels),
        {name: draws.random(units) for name in PRECOMPUTED},
        downstream=(last,) if deep else (),
    )


def near_pairs(weight, bias, draws):
    """Units 9, 10 and 11 are near-copies of 0, 1 and 2."""
    weight[9:], bias[9:] = weight[:3], bias[:3]
    for unit, distance in ((9, 0.02), (10, 0.03), (11, 0.04)):
        direction = draws.normal(size=weight.shape[1])
        weight[unit] += distance * direction / np.linalg.norm(direction)
    return weight, bias


def a_clone(weight, bias, draws):
    weight[7], bias[7] = weight[3], bias[3]
    return weight, bias


def logits_of(layer, activations):
    """Logits of the network for these activations of the layer, computed independently."""
    values = activations @ layer.outgoing.weight.T + layer.outgoing.bias
    for dense in layer.downstream:
        values = squash(values) @ dense.weight.T + dense.bias
    return values


def probabilities(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def losses(layer, activations):
    """Cross-entropy of every pattern."""
    rows = np.arange(len(activations))
    return -np.log(probabilities(logits_of(layer, activations))[rows, layer.labels])


def gate(layer, unit, value):
    activations = layer.activations.copy()
    activations[:, unit] *= value
    return activations


def slope_by_gate(layer, function, step=1e-5):
    """Derivative of ``function(layer, activations)`` by every unit's gate at 1, stacked."""
    return np.stack(
        [
            (function(layer, gate(layer, u, 1 + step)) - function(layer, gate(layer, u, 1 - step)))
            / (2 * step)
            for u in range(layer.units)
        ]
    )


def select(layer, name, amount=None, **settings):
    technique = REGISTRY[name]
    amount = HALF_WAY[technique.amount] if amount is None else amount
    return technique.select(layer, amount, **settings)


def order_of(layer, name):
    """Every removal that an ordering technique would make."""
    return list(REGISTRY[name].select(layer, layer.units - 1).removals)


def permuted(layer, order):
    """The same layer, its units in another order."""
    recorded = replace(layer.recorded, activations=layer.activations[:, order])
    return replace(
        layer,
        incoming=Dense(layer.incoming.weight[order], layer.incoming.bias[order]),
        outgoing=Dense(layer.outgoing.weight[:, order], layer.outgoing.bias),
        recorded=recorded,
        precomputed_scores={
            name: scores[order] for name, scores in layer.precomputed_scores.items()
        },
    )


def choice(selection, name, names):
    """What was chosen, units called by ``names``."""
    found = [
        frozenset(int(names[u]) for u in {r.unit, r.partner if name in BY_INDEX else r.unit})
        for r in selection.removals
        if not (r.partner is None and name in BY_INDEX)
    ]
    return set(found) if name in UNORDERED else found


def layer_without_ties(name, deep):
    if name == "sietsma_dow_2":  # counts of pairs: few units and many patterns tell them apart
        return make_layer(1, units=5, patterns=150, deep=deep), 2
    if REGISTRY[name].amount == "angle":
        return make_layer(3, deep=deep, weight=near_pairs), 12.0
    if name in MERGING:
        return make_layer(3, deep=deep, weight=near_pairs), 3
    return make_layer(11, deep=deep), 5


@shallow_and_deep
@pytest.mark.parametrize("name", [name for name in REGISTRY if name != "random"])
def test_permuting_units_permutes_the_choice(name, deep):
    layer, amount = layer_without_ties(name, deep)
    chosen = choice(select(layer, name, amount), name, range(layer.units))
    assert len(chosen) >= 2
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(layer.units)
        assert choice(select(permuted(layer, order), name, amount), name, order) == chosen


def test_random_depends_on_places_and_seeds_alone():
    # The exception to the property above: a draw does not depend on the units it draws.
    layer = make_layer()
    backwards = permuted(layer, np.arange(UNITS)[::-1])
    chosen = select(layer, "random").removed
    assert select(backwards, "random").removed == chosen
    assert select(layer, "random", draw=1).removed != chosen
    assert select(replace(layer, seed=1), "random").removed != chosen


@shallow_and_deep
@every_technique
def test_every_amount_names_units_once_and_keeps_one(name, deep):
    layer = make_layer(0, deep=deep)
    prepared = REGISTRY[name].prepared(layer)
    by_angle = REGISTRY[name].amount == "angle"
    amounts = [0.1, 15, 45, 80, 90] if by_angle else range(layer.units)
    for amount in amounts:
        selection = prepared(amount)
        assert len(set(selection.removed)) == len(selection.removed)
        assert sorted([*selection.removed, *selection.kept]) == list(range(layer.units))
        assert selection.kept
        if not by_angle:
            assert len(selection.removed) == amount
    assert REGISTRY[name].prepared(layer)(amounts[-1]).removals


@every_technique
def test_amounts_out_of_range_are_refused(name):
    prepared = REGISTRY[name].prepared(make_layer())
    wrong = {"angle": [0, -1, 90.1, np.nan], "units": [UNITS, UNITS + 3, -1]}
    for amount in wrong[REGISTRY[name].amount]:
        with pytest.raises(UserError):
            prepared(amount)


@pytest.mark.parametrize("name", [n for n in REGISTRY if REGISTRY[n].amount == "angle"])
def test_units_that_are_all_alike_leave_one(name):
    def alike(weight, bias, draws):
        return np.tile(weight[0], (len(weight), 1)), np.full_like(bias, bias[0])

    assert len(select(make_layer(weight=alike), name, 15).kept) == 1


@shallow_and_deep
@every_technique
def test_the_same_layer_twice_gives_the_same_selection(name, deep):
    first, second = (select(make_layer(5, deep=deep), name) for _ in range(2))
    assert first.removals
    assert first.removals == second.removals
    if REGISTRY[name].fits_weights:
        np.testing.assert_array_equal(first.fitted.weight, second.fitted.weight)
        np.testing.assert_array_equal(first.fitted.bias, second.fitted.bias)
    else:
        assert first == second


@shallow_and_deep
@pytest.mark.parametrize("name", MERGING)
def test_a_clone_is_merged_exactly(name, deep):
    layer = make_layer(2, deep=deep, weight=a_clone)
    selection = select(layer, name, 0.01 if REGISTRY[name].amount == "angle" else 1)
    assert selection.removed in {(3,), (7,)}
    weights = compensate(layer, selection, REGISTRY[name].compensation)
    after = pruned_logits(layer, selection, weights, layer.recorded)
    np.testing.assert_allclose(after, logits_of(layer, layer.activations), atol=1e-8)
    dropped = compensate(layer, selection, "none")
    without = pruned_logits(layer, selection, dropped, layer.recorded)
    assert np.abs(without - after).max() > 1e-3


@lru_cache
def stored(deep):
    """A checkpoint, its hidden layer fc2 as pruning sees it, and inputs of fc1."""
    draws = np.random.default_rng(11)
    widths = (INPUTS, UNITS, *([BETWEEN] if deep else []), CLASSES)
    torch.manual_seed(0)
    network = build_network("vgg", (128, 130), widths, (2, 2, 2, 2, 2, 2, 5))
    tensors = {name: np.array(value) for name, value in network.to_checkpoint().tensors.items()}
    for number in range(1, len(widths) + 1):
        for kind in ("weight", "bias"):
            name = f"classifier.fc{number}.{kind}"
            tensors[name] = draws.normal(size=tensors[name].shape).astype(np.float32)
    for name in tensors:
        if name.startswith("features.") and name.endswith("weight"):
            tensors[name] = 4 * tensors[name]  # so that images make a difference
    checkpoint = Checkpoint(network.architecture, tensors)
    features = draws.normal(size=(PATTERNS, 5)).astype(np.float32)
    outputs = {"features": features}
    for number in range(1, len(widths)):
        weight, bias = checkpoint.linear(f"fc{number}")
        outputs[f"fc{number}"] = features = squash(features @ weight.T + bias)
    labels = draws.integers(0, CLASSES, PATTERNS)
    recorded = record(outputs, checkpoint.architecture, "fc2", np.arange(PATTERNS), labels)
    scores = {name: draws.random(UNITS) for name in PRECOMPUTED}
    return checkpoint, describe_layer(checkpoint, "fc2", recorded, scores), outputs, labels


def masked_logits(checkpoint, layer, selection, weights):
    """The network at full size, the columns of what goes set to zero."""
    columns = weights.outgoing.weight.copy()
    columns[:, list(selection.removed)] = 0
    activations = squash(layer.inputs @ weights.incoming.weight.T + weights.incoming.bias)
    masked = replace(layer, outgoing=Dense(columns, weights.outgoing.bias))
    return logits_of(masked, activations)


@shallow_and_deep
@every_technique
def test_the_cut_network_equals_the_masked_one(name, deep):
    checkpoint, layer, outputs, _ = stored(deep)
    before = {key: value.tobytes() for key, value in checkpoint.tensors.items()}
    selection, native = select(layer, name), REGISTRY[name].compensation
    assert selection.removals
    pruned = prune_checkpoint(checkpoint, layer, selection, native)
    cut = pruned.logits_from("fc1", outputs["features"])
    weights = compensate(layer, selection, native)
    scale = max(1.0, float(np.abs(weights.outgoing.weight).max()))
    masked = masked_logits(checkpoint, layer, selection, weights)
    np.testing.assert_allclose(cut, masked, atol=1e-5 * scale)
    cached = pruned_logits(layer, selection, weights, layer.recorded)
    np.testing.assert_allclose(cached, masked, atol=1e-5 * scale)

    assert pruned.tensors["classifier.fc2.weight"].shape == (len(selection.kept), INPUTS)
    assert pruned.tensors["classifier.fc3.weight"].shape[1] == len(selection.kept)
    for key, value in checkpoint.tensors.items():
        assert value.tobytes() == before[key]
        if ".fc2." not in key and ".fc3." not in key:
            assert pruned.tensors[key].tobytes() == before[key]


@every_technique
def test_a_saved_pruned_network_predicts_the_same(name, tmp_path):
    checkpoint, layer, _, _ = stored(True)
    selection = select(layer, name)
    pruned = prune_checkpoint(checkpoint, layer, selection, REGISTRY[name].compensation)
    save_checkpoint(pruned, tmp_path / "pruned.safetensors", {})
    loaded = load_network(tmp_path / "pruned.safetensors")
    assert loaded.architecture.widths == (INPUTS, len(selection.kept), BETWEEN, CLASSES)
    images = torch.randn(2, 3, 128, 130, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = loaded.activations(images)
        in_memory = Network.from_checkpoint(pruned)(images).numpy()
    again = pruned.logits_from("fc1", found["features"].numpy())
    scale = max(1.0, float(np.abs(pruned.linear("fc3")[0]).max()))
    np.testing.assert_allclose(found["fc4"], in_memory, atol=1e-6 * scale)
    np.testing.assert_allclose(found["fc4"], again, atol=1e-5 * scale)
    assert np.ptp(again, axis=0).max() > 1e-3


@every_technique
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_outputs_that_are_no_numbers_are_refused(name, value):
    checkpoint, _, outputs, labels = stored(False)
    broken = {key: array.copy() for key, array in outputs.items()}
    broken["fc2"][5, 2] = value
    with pytest.raises(UserError, match="unit 2 are NaN or infinite"):
        prune_in_turn(checkpoint, ["fc2"], lambda v: select(v, name), "none", broken, labels)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", [name for name in REGISTRY if name not in FROM_WEIGHTS])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_activations_that_are_no_numbers_are_refused(name, value):
    layer = make_layer()
    activations = layer.activations.copy()
    activations[5, 2] = value
    with pytest.raises(UserError):
        select(replace(layer, recorded=replace(layer.recorded, activations=activations)), name)


@pytest.mark.parametrize("name", REGISTRY)
def test_only_techniques_of_weights_work_without_activations(name):
    without = replace(make_layer(), recorded=None)
    if name in FROM_WEIGHTS:
        assert len(select(without, name).removals) == UNITS // 2
    else:
        with pytest.raises(UserError, match="give its activations"):
            select(without, name)


def test_one_pattern_is_too_few():
    checkpoint, _, outputs, labels = stored(False)
    with pytest.raises(UserError, match="two of both at least, not 1 patterns"):
        record(outputs, checkpoint.architecture, "fc2", np.array([4]), labels)


@every_technique
def test_a_layer_of_one_unit_is_refused(name):
    with pytest.raises(UserError, match="1 unit"):
        select(make_layer(units=1), name, 1)


@every_technique
def test_unknown_settings_are_refused(name):
    with pytest.raises(UserError, match=f"{name} has no setting colour; known: "):
        select(make_layer(), name, colour="red")


def test_unknown_technique_lists_those_there_are():
    with pytest.raises(UserError, match="no technique 'magic'") as raised:
        find_technique("magic")
    assert all(name in str(raised.value) for name in techniques())
    assert find_technique("l1") is REGISTRY["l1"]
    assert techniques() == list(REGISTRY)


@pytest.mark.parametrize(
    ("layer", "message"),
    [("fc9", "no layer 'fc9'; it has fc1, fc2, fc3"), ("fc3", "fc3 is the output layer")],
)
def test_layers_that_cannot_be_pruned(layer, message):
    with pytest.raises(UserError, match=message):
        describe_layer(stored(False)[0], layer)


@pytest.mark.parametrize("name", PRECOMPUTED)
def test_precomputed_scores_are_taken_as_they_are(name):
    layer = make_layer()
    removed = [r.unit for r in order_of(layer, name)]
    assert removed == np.argsort(layer.precomputed_scores[name]).tolist()[:-1]
    with pytest.raises(UserError, match=f"comes without the score {name}"):
        select(replace(layer, precomputed_scores={}), name)
    broken = {name: np.where(np.arange(UNITS) == 4, np.nan, 1.0)}
    with pytest.raises(UserError, match="score of unit 4 is not a number"):
        select(replace(layer, precomputed_scores=broken), name)


def refusal(technique, compensation):
    required = COMPENSATIONS[compensation].requires
    if required == "merge targets" and not technique.merges:
        return "without merge targets"
    if required == "fitted weights" and not technique.fits_weights:
        return "fits no weights of its own"
    return None


@shallow_and_deep
@every_technique
def test_every_compensation_is_refused_or_gives_numbers(name, deep):
    technique, layer = REGISTRY[name], make_layer(3, deep=deep, weight=near_pairs)
    selection = select(layer, name)
    assert selection.removals
    for compensation in COMPENSATIONS:
        reason = refusal(technique, compensation)
        if reason:
            with pytest.raises(UserError, match=reason):
                technique.check_compensation(compensation)
            with pytest.raises(UserError):
                compensate(layer, selection, compensation)
            continue
        technique.check_compensation(compensation)
        weights = compensate(layer, selection, compensation)
        logits = pruned_logits(layer, selection, weights, layer.recorded)
        assert logits.shape == (PATTERNS, CLASSES)
        assert np.isfinite(logits).all()
    technique.check_compensation(technique.compensation)
    with pytest.raises(UserError, match="no compensation 'pray'; known: none, bias"):
        technique.check_compensation("pray")


def test_which_techniques_merge_and_which_fit():
    merging = {name for name in REGISTRY if REGISTRY[name].merges}
    assert merging == {*MERGING} - {"pelillo_fanelli_residual"}
    assert {name for name in REGISTRY if REGISTRY[name].fits_weights} == {"auxiliary"}


# Scores against their definitions, computed independently or by finite differences.


def squared(matrix):
    return (matrix**2).sum(axis=0)


def linear_error(layer, activations):
    """Sum of |target - probability| over the classes, mean over patterns."""
    targets = np.eye(CLASSES)[layer.labels]
    return np.abs(targets - probabilities(logits_of(layer, activations))).sum(axis=1).mean()


def loss_by_preactivation(layer, unit, step=1e-5):
    """dL_n / d pre-activation of one unit."""
    activations = layer.activations
    pre = np.log(activations[:, unit] / (1 - activations[:, unit]))

    def moved(by):
        other = activations.copy()
        other[:, unit] = squash(pre + by)
        return losses(layer, other)

    return (moved(step) - moved(-step)) / (2 * step)


def gauss_newton(layer):
    """Half J^T (diag p - p p^T) J of a gate on every unit, mean over patterns."""
    found = []
    for slopes in slope_by_gate(layer, logits_of):  # N x classes
        shares = probabilities(logits_of(layer, layer.activations))
        spread = (shares * slopes**2).sum(axis=1) - (shares * slopes).sum(axis=1) ** 2
        found.append(0.5 * spread.mean())
    return np.array(found)


def distances(rows):
    return np.linalg.norm(rows[:, None] - rows[None], axis=2)


SCORES = {
    "l1": (norms.l1, lambda v: [sum(abs(w) for w in row) for row in v.incoming.weight]),
    "l2": (norms.l2, lambda v: [sum(w * w for w in row) ** 0.5 for row in v.incoming.weight]),
    "fpgm": (fpgm.fpgm, lambda v: distances(v.incoming.weight).sum(axis=1)),
    "apoz": (apoz.apoz, lambda v: [np.mean(unit < 0.05) for unit in v.activations.T]),
    "variance": (
        variance.variance,
        lambda v: v.activations.var(axis=0) * squared(v.outgoing.weight),
    ),
    "contribution": (
        contribution.contribution,
        lambda v: [
            np.abs(np.outer(unit - unit.mean(), column)).sum(axis=1).mean()
            for unit, column in zip(v.activations.T, v.outgoing.weight.T, strict=True)
        ],
    ),
    "badness": (
        badness.badness,
        lambda v: [(loss_by_preactivation(v, unit) ** 2).sum() for unit in range(v.units)],
    ),
    "relevance": (mozer_smolensky.relevance, lambda v: -slope_by_gate(v, linear_error)),
    "ablation": (
        mozer_smolensky.ablation,
        lambda v: [
            losses(v, gate(v, unit, 0)).mean() - losses(v, v.activations).mean()
            for unit in range(v.units)
        ],
    ),
    "taylor": (taylor.taylor, lambda v: np.abs(slope_by_gate(v, losses)).mean(axis=1)),
    "taylor_squared": (
        taylor.taylor_squared,
        lambda v: (slope_by_gate(v, losses) ** 2).mean(axis=1),
    ),
    "obd_unit": (obd.obd_unit, gauss_newton),
}
LARGEST_FIRST = {"apoz", "badness"}


@shallow_and_deep
@pytest.mark.parametrize("name", SCORES)
def test_scores_are_what_they_are_defined_to_be(name, deep):
    layer = make_layer(11, deep=deep)
    score, definition = SCORES[name]
    wanted = np.asarray(definition(layer))
    np.testing.assert_allclose(score(layer), wanted, rtol=1e-5, atol=1e-9)
    assert len(set(wanted.tolist())) == UNITS
    best_first = np.argsort(-wanted if name in LARGEST_FIRST else wanted).tolist()
    assert [r.unit for r in order_of(layer, name)] == best_first[:-1]
    assert {(r.rule, r.partner) for r in order_of(layer, name)} == {("ranked", None)}


def test_of_equal_scores_the_higher_index_goes_first():
    layer = make_layer(units=4)
    level = {"karnin": np.array([1.0, 0.0, 1.0, 1.0])}
    assert [r.unit for r in order_of(replace(layer, precomputed_scores=level), "karnin")] == [
        1,
        3,
        2,
    ]


def test_scores_by_hand():
    activations = np.array([[0.01, 0.2], [0.03, 0.4], [0.5, 0.6], [0.9, 0.8]])
    into = Dense(np.array([[3.0, -4.0], [1.0, 1.0]]), np.zeros(2))
    out = Dense(np.array([[1.0, 2.0], [-2.0, 0.5]]), np.zeros(2))
    layer = Layer(
        "fc1", into, out, LayerActivations(activations, np.zeros((4, 2)), np.array([0, 1, 0, 1]))
    )
    assert norms.l1(layer).tolist() == [7, 2]
    assert norms.l2(layer) == pytest.approx([5, 2**0.5])
    assert fpgm.fpgm(layer) == pytest.approx([29**0.5] * 2)
    assert apoz.apoz(layer).tolist() == [0.5, 0]
    assert apoz.apoz(layer, epsilon=0.02).tolist() == [0.25, 0]
    assert variance.variance(layer)[1] == pytest.approx(0.05 * 4.25)
    assert contribution.contribution(layer)[1] == pytest.approx(0.2 * 2.5)


def test_obd_of_units_is_the_second_difference_of_the_loss():
    layer, step = make_layer(), 1e-3
    whole = losses(layer, layer.activations).mean()
    for unit, found in enumerate(obd.obd_unit(layer)):
        more, less = (losses(layer, gate(layer, unit, 1 + s)).mean() for s in (step, -step))
        assert found == pytest.approx(0.5 * (more + less - 2 * whole) / step**2, rel=1e-3)


def test_obd_of_weights_is_the_diagonal_of_the_hessian():
    layer = make_layer(4, units=3, patterns=7, inputs=2)
    arrays = (
        layer.incoming.weight,
        layer.incoming.bias,
        layer.outgoing.weight,
        layer.outgoing.bias,
    )
    parameters = tuple(torch.from_numpy(array.copy()) for array in arrays)
    inputs, labels = torch.from_numpy(layer.inputs), torch.from_numpy(layer.labels)

    def loss(own, own_bias, outgoing, bias):
        logits = torch.sigmoid(inputs @ own.T + own_bias) @ outgoing.T + bias
        return torch.nn.functional.cross_entropy(logits, labels)

    blocks = torch.autograd.functional.hessian(loss, parameters)
    costs = []
    for place, array in enumerate(arrays):
        block = blocks[place][place].reshape(array.size, array.size)
        costs.append(0.5 * np.diag(block.numpy()).reshape(array.shape) * array**2)
    incoming, own_bias, outgoing, _ = costs
    wanted = incoming.sum(axis=1) + own_bias + outgoing.sum(axis=0)
    np.testing.assert_allclose(obd.obd_weight(layer), wanted, rtol=1e-9)


# Greedy orders against brute force.


def refitted(layer, kept):
    """Outgoing weights of the kept units and the bias, fitted to what the layer gave."""
    known = np.column_stack([layer.activations[:, kept], np.ones(len(layer.activations))])
    wanted = layer.activations @ layer.outgoing.weight.T + layer.outgoing.bias
    factors = np.linalg.lstsq(known, wanted, rcond=None)[0]
    return factors, ((wanted - known @ factors) ** 2).sum()


@settings(max_examples=10)
@given(seeds)
def test_pelillo_fanelli_refits_after_every_step(seed):
    layer = make_layer(seed, units=6, patterns=30)
    alive, weight = list(range(6)), layer.outgoing.weight
    for removal in order_of(layer, "pelillo_fanelli"):
        score = squared(weight) * squared(layer.activations[:, alive])
        assert removal == Removal(alive[int(score.argmin())], "ranked")
        alive.remove(removal.unit)
        weight = refitted(layer, alive)[0][:-1].T


@settings(max_examples=10)
@given(seeds)
def test_the_residual_criterion_takes_what_leaves_the_least_residual(seed):
    layer = make_layer(seed, units=6, patterns=30)
    alive = list(range(6))
    for removal in order_of(layer, "pelillo_fanelli_residual"):
        left = [refitted(layer, [u for u in alive if u != unit])[1] for unit in alive]
        assert removal == Removal(alive[int(np.argmin(left))], "ranked")
        alive.remove(removal.unit)


def rms(values):
    return np.sqrt((values**2).mean())


@settings(max_examples=10)
@given(seeds)
def test_sietsma_dow_takes_the_closest_of_three_kinds(seed):
    layer = make_layer(seed, units=7, patterns=12)
    activations, alive = layer.activations, list(range(7))
    for removal in order_of(layer, "sietsma_dow"):
        found = [(activations[:, k].std(), k, "constant", None) for k in alive]
        for k in alive:
            for i in (i for i in alive if i < k):
                found.append((rms(activations[:, k] - activations[:, i]), k, "similar", i))
                found.append((rms(activations[:, k] + activations[:, i] - 1), k, "reverse", i))
        _, unit, rule, partner = min(found, key=lambda entry: entry[0])
        assert removal == Removal(unit, rule, partner)
        alive.remove(unit)


def test_sietsma_dow_meets_all_three_kinds():
    def three_kinds(weight, bias, draws):
        weight[5], bias[5] = weight[1], bias[1]
        weight[8], bias[8] = -weight[2], -bias[2]
        weight[10] = 0
        return weight, bias

    layer = make_layer(weight=three_kinds)
    selection = select(layer, "sietsma_dow", 3)
    found = {r.unit: (r.rule, r.partner) for r in selection.removals}
    assert found == {5: ("similar", 1), 8: ("reverse", 2), 10: ("constant", None)}
    weights = compensate(layer, selection, "add")
    after = pruned_logits(layer, selection, weights, layer.recorded)
    np.testing.assert_allclose(after, logits_of(layer, layer.activations), atol=1e-8)


def confused_pairs(bits, labels, units):
    codes = [tuple(row) for row in bits[:, units]]
    return sum(
        codes[n] == codes[m] and labels[n] != labels[m] for n in range(len(codes)) for m in range(n)
    )


@settings(max_examples=10)
@given(seeds)
def test_sietsma_dow_2_keeps_patterns_of_different_classes_apart(seed):
    layer = make_layer(seed, units=5, patterns=14)
    bits, alive = layer.activations > 0.5, list(range(5))
    for removal in order_of(layer, "sietsma_dow_2"):
        confused = {
            unit: confused_pairs(bits, layer.labels, [u for u in alive if u != unit])
            for unit in alive
        }
        fewest = min(confused.values())
        assert removal.unit == max(unit for unit in alive if confused[unit] == fewest)
        alive.remove(removal.unit)


@settings(max_examples=10)
@given(seeds)
def test_srinivas_babu_merges_the_least_salient_pair(seed):
    layer = make_layer(seed, units=6, patterns=5)
    rows = np.column_stack([layer.incoming.weight, layer.incoming.bias])
    outgoing, alive = layer.outgoing.weight.copy(), list(range(6))
    for removal in order_of(layer, "srinivas_babu"):
        salience = {
            (gone, target): (outgoing[:, gone] ** 2).mean()
            * ((rows[gone] - rows[target]) ** 2).sum()
            for gone in alive
            for target in alive
            if gone != target
        }
        gone, target = min(salience, key=salience.get)
        assert removal == Removal(gone, "similar", target)
        outgoing[:, target] += outgoing[:, gone]
        alive.remove(gone)


@settings(max_examples=10)
@given(seeds)
def test_noiseout_merges_the_most_correlated_pair(seed):
    layer = make_layer(seed, units=7, patterns=12)
    strength = np.abs(np.corrcoef(layer.activations.T))
    alive = list(range(7))
    for removal in order_of(layer, "noiseout"):
        pairs = [(k, i) for k in alive for i in alive if i < k]
        gone, target = max(pairs, key=lambda pair: strength[pair])
        assert removal == Removal(gone, "similar", target)
        alive.remove(gone)


def test_noiseout_takes_constant_units_first():
    def flat(weight, bias, draws):
        weight[[4, 9]] = 0
        return weight, bias

    found = [(r.unit, r.rule) for r in order_of(make_layer(weight=flat), "noiseout")]
    assert found[:2] == [(4, "constant"), (9, "constant")]
    assert all(rule == "similar" for _, rule in found[2:])


@settings(max_examples=10)
@given(seeds)
def test_thinet_keeps_the_lost_sum_smallest(seed):
    layer = make_layer(seed, units=7, patterns=12)
    gone = []
    for removal in order_of(layer, "thinet"):
        lost = {}
        for unit in set(range(7)) - set(gone):
            units = [*gone, unit]
            lost[unit] = (
                (layer.activations[:, units] @ layer.outgoing.weight[:, units].T) ** 2
            ).sum()
        assert removal == Removal(min(lost, key=lost.get), "ranked")
        gone.append(removal.unit)


def test_folding_finds_the_clusters_and_names_their_lowest_index():
    def clustered(weight, bias, draws):
        centres = np.array([0, 1, 2, 0, 1, 2, 0, 1, 3, 3, 3, 3])
        return weight[centres] + 1e-3 * draws.normal(size=weight.shape), bias[centres]

    selection = select(make_layer(weight=clustered), "folding", 8)
    found = {r.unit: r.partner for r in selection.removals}
    assert found == {3: 0, 6: 0, 4: 1, 7: 1, 5: 2, 9: 8, 10: 8, 11: 8}


def test_auxiliary_lets_a_silent_unit_go_first_and_fits_the_rest():
    def silent(weight, bias, draws):
        bias[6] = -60
        return weight, bias

    layer = make_layer(8, weight=silent)
    prepared = REGISTRY["auxiliary"].prepared(layer)
    assert prepared(1).removed == (6,)
    order = prepared(UNITS - 1).removed
    for amount in range(1, UNITS):
        assert prepared(amount).removed == order[:amount]
        gone = list(order[:amount])
        np.testing.assert_array_equal(prepared(amount).fitted.weight[:, gone], 0)
    selection = prepared(4)
    after = [
        -np.log(
            probabilities(pruned_logits(layer, selection, w, layer.recorded))[rows, layer.labels]
        )
        for rows in [np.arange(PATTERNS)]
        for w in (compensate(layer, selection, "fitted"), compensate(layer, selection, "none"))
    ]
    assert after[0].mean() < after[1].mean()


# Distinctiveness by its own means.


@settings(max_examples=10)
@given(seeds, st.sampled_from(["both", "lossless"]), st.sampled_from(["half", "mean", "none"]))
def test_thresholds_asked_in_any_order_agree_with_a_fresh_start(seed, complementary, centring):
    activations = np.random.default_rng(seed).random((4, 14))
    classes = RedundancyCriteria(centring, complementary=complementary)
    redundancy = Redundancy(activations, classes)
    for angle in (60, 15, 35, 90, 35, 5):
        fresh = select_units(activations, angle, centring=centring, complementary=complementary)
        assert redundancy.select_at(angle) == fresh


def test_distinctiveness_is_select_units():
    layer = make_layer(3, weight=near_pairs)
    assert select(layer, "distinctiveness", 40) == select_units(layer.activations, 40)
    chosen = select(layer, "distinctiveness", 40, centring="mean", complementary="lossless")
    wanted = select_units(layer.activations, 40, centring="mean", complementary="lossless")
    assert chosen == wanted


def test_weights_take_the_place_of_activations():
    layer = make_layer(3, weight=near_pairs)
    own = layer.incoming.weight
    cosines = own @ own.T / np.outer(*[np.linalg.norm(own, axis=1)] * 2)
    selection = select(layer, "distinctiveness_weights", 15)
    assert {(r.unit, r.partner) for r in selection.removals} == {(9, 0), (10, 1), (11, 2)}
    for removal in selection.removals:
        angle = np.degrees(np.arccos(cosines[removal.unit, removal.partner]))
        assert removal.angle == pytest.approx(angle)


def test_the_sentence_read_literally_spares_neither_of_a_pair():
    layer = make_layer(3, weight=near_pairs)
    removed = select(layer, "distinctiveness_literal", 10).removed
    assert sorted(removed) == [0, 1, 2, 9, 10, 11]
    # The closest first, both of a pair before the next pair.
    partners = [{0, 9}, {1, 10}, {2, 11}]
    assert all({*removed[place : place + 2]} in partners for place in (0, 2, 4))


def test_a_selection_that_cannot_be_is_refused():
    for removals in ([1, 1], [4], [-1], [0, 1, 2, 3]):
        with pytest.raises(UserError):
            Selection(4, tuple(Removal(unit, "ranked") for unit in removals))
