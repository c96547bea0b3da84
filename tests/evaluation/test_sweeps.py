import numpy as np
import pytest

from neuron_pruning.evaluation.sweeps import SweepSettings, at_count, counts_up_to, sweep
from neuron_pruning.models.dense import Dense, pre_activations
from neuron_pruning.pruning.selection import Removal, Selection, resolve_count
from neuron_pruning.pruning.techniques import find_technique
from neuron_pruning.pruning.units import Layer, LayerActivations
from neuron_pruning.statistics.metrics import cross_entropy, divergence, softmax
from neuron_pruning.statistics.resampling import unpacked

UNITS = 8


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


@pytest.fixture
def parts():
    """A layer with training patterns, and test patterns."""
    draws = np.random.default_rng(0)
    into = Dense(draws.normal(size=(UNITS, 5)), draws.normal(size=UNITS))
    out = Dense(draws.normal(size=(3, UNITS)), draws.normal(size=3))

    def recorded(patterns):
        inputs = draws.normal(size=(patterns, 5))
        return LayerActivations(
            sigmoid(pre_activations(into, inputs)), inputs, draws.integers(3, size=patterns)
        )

    return Layer("fc1", into, out, recorded=recorded(40)), recorded(21)


def points_of(parts, name, **changed):
    settings = {"compensations": ("own", "none", "lstsq"), "step": 15.0, "draws": 3}
    settings |= {"counts": tuple(range(UNITS))} | changed
    technique = find_technique(name)
    return list(sweep(*parts, technique, {}, technique.compensation, SweepSettings(**settings)))


def test_every_count_and_compensation_once(parts):
    points = points_of(parts, "l2")
    assert [(p.removed, p.compensation) for p in points] == [
        (count, name) for count in range(UNITS) for name in ("none", "lstsq")
    ]
    assert {p.angle for p in points} == {None}


def test_nothing_removed_is_the_unpruned_network(parts):
    layer, test = parts
    logits = layer.logits(test.activations)
    for point in points_of(parts, "variance"):
        if point.removed == 0:
            assert point.test_accuracy == (logits.argmax(axis=1) == test.labels).mean()
            assert point.train_loss == pytest.approx(layer.loss)
            assert (point.agreement, point.divergence) == (1.0, 0.0)


def test_figures_are_those_of_the_masked_network(parts):
    layer, test = parts
    (point,) = points_of(parts, "l1", counts=(3,), compensations=("none",))
    gone = np.argsort(np.abs(layer.incoming.weight).sum(axis=1))[:3]
    activations = test.activations.copy()
    activations[:, gone] = 0
    logits, before = layer.logits(activations), layer.logits(test.activations)
    assert point.test_accuracy == (logits.argmax(axis=1) == test.labels).mean()
    right = logits.argmax(axis=1) == test.labels
    assert unpacked([point.correct], len(right))[0].tolist() == right.tolist()
    assert point.test_loss == pytest.approx(cross_entropy(logits, test.labels))
    assert point.agreement == (logits.argmax(axis=1) == before.argmax(axis=1)).mean()
    old, new = softmax(before), softmax(logits)
    assert point.divergence == pytest.approx((old * np.log(old / new)).sum(axis=1).mean())


def test_angles_from_zero_to_ninety_then_counts(parts):
    points = points_of(parts, "distinctiveness", compensations=("own",))
    angles = [p.angle for p in points if p.angle is not None]
    assert angles == [0, 15, 30, 45, 60, 75, 90]
    assert points[0].removed == 0
    removed = [p.removed for p in points if p.angle is not None]
    assert removed == sorted(removed) and removed[-1] > 0
    counted = [p.removed for p in points if p.angle is None]
    assert counted == list(range(max(removed) + 1))


def test_a_technique_that_draws_is_drawn_so_often(parts):
    points = points_of(parts, "random", compensations=("none",), counts=(4,), draws=5)
    assert [p.draw for p in points] == [0, 1, 2, 3, 4]
    assert len({p.test_loss for p in points}) > 2


def test_compensations_that_make_no_sense_are_left_out(parts):
    assert {p.compensation for p in points_of(parts, "l2", compensations=("add", "bias"))} == {
        "bias"
    }


def test_at_count_takes_the_narrowest_threshold_that_is_enough():
    def of(*units):
        return Selection(6, tuple(Removal(unit, "similar", 0) for unit in units))

    found = [of(), of(3), of(3, 5, 4)]
    assert at_count(found, 0).removed == ()
    assert at_count(found, 2).removed == (3, 5)
    assert at_count(found, 4) is None


def test_counts():
    assert counts_up_to(5, 200, [2, 9]) == (0, 1, 2, 3, 4)
    assert counts_up_to(1000, 4, [10]) == (0, 10, 333, 666, 999)
    assert (resolve_count(50, 100), resolve_count(0.5, 30), resolve_count(1, 100)) == (50, 15, 1)


def test_divergence_of_equal_predictions_is_zero_and_survives_certainty():
    certain = np.array([[1000.0, 0.0], [0.0, -1000.0]])
    assert divergence(certain, certain) == 0
    assert np.isfinite(divergence(certain, -certain))
