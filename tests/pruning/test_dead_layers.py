"""Layers that have not learned: constant units, units that vary by rounding, silent layers."""

import numpy as np
import pytest

from neuron_pruning.models.dense import Dense
from neuron_pruning.pruning.compensations import COMPENSATIONS, compensate
from neuron_pruning.pruning.surgery import pruned_logits
from neuron_pruning.pruning.techniques import REGISTRY
from neuron_pruning.pruning.units import Layer, LayerActivations

UNITS, PATTERNS, CLASSES = 10, 40, 3


def activations_of(kind):
    """Activations of a layer of one kind, patterns x units."""
    draws = np.random.default_rng(0)
    constant = np.tile(draws.uniform(0.1, 0.9, UNITS), (PATTERNS, 1))
    if kind == "silent":
        return np.zeros((PATTERNS, UNITS))
    if kind == "half":
        return np.full((PATTERNS, UNITS), 0.5)
    if kind == "noise":
        return constant + 1e-11 * draws.standard_normal((PATTERNS, UNITS))
    if kind == "mixed":
        constant[:, ::2] = draws.random((PATTERNS, UNITS // 2))
        constant[:, 1] = 0.0
        return constant.astype(np.float32).astype(np.float64)
    return constant


@pytest.fixture(params=["constant", "noise", "silent", "half", "mixed"])
def layer(request):
    draws = np.random.default_rng(1)
    inputs = draws.standard_normal((PATTERNS, 6))
    labels = draws.integers(CLASSES, size=PATTERNS)
    recorded = LayerActivations(activations_of(request.param), inputs, labels)
    into = Dense(0.1 * draws.standard_normal((UNITS, 6)), np.zeros(UNITS))
    out = Dense(draws.standard_normal((CLASSES, UNITS)), np.zeros(CLASSES))
    names = [name for name in REGISTRY if name == "karnin" or name.startswith("torch_pruning")]
    scores = {name: draws.random(UNITS) for name in names}
    return Layer("fc1", into, out, recorded, scores)


@pytest.mark.parametrize("name", REGISTRY)
def test_every_technique_and_compensation_gives_sensible_logits(layer, name):
    technique = REGISTRY[name]
    prepared = technique.prepared(layer)
    for amount in (5.0, 60.0, 90.0) if technique.amount == "angle" else (1, 5, UNITS - 1):
        selection = prepared(amount)
        assert len(selection.kept) >= 1
        for compensation in COMPENSATIONS:
            if technique.refusal(compensation) is None:
                weights = compensate(layer, selection, compensation)
                logits = pruned_logits(layer, selection, weights, layer.recorded)
                assert np.isfinite(logits).all(), (amount, compensation)
                assert np.abs(logits).max() < 1e3, (amount, compensation)
                assert np.abs(weights.outgoing.weight).max() < 1e4, (amount, compensation)


def test_a_bias_or_least_squares_replace_constant_units_exactly(layer):
    if layer.activations.std(axis=0).max() > 1e-9:
        pytest.skip("some units of this layer vary")
    for name in ("bias", "lstsq"):
        selection = REGISTRY["l2"].select(layer, 5)
        weights = compensate(layer, selection, name)
        logits = pruned_logits(layer, selection, weights, layer.recorded)
        np.testing.assert_allclose(logits, layer.unpruned_logits, atol=1e-8)
