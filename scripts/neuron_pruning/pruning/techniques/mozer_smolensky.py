"""Relevance (Mozer & Smolensky 1989) and what it approximates."""

from neuron_pruning.pruning.techniques.technique import UnitScores, by_score
from neuron_pruning.pruning.units import UnitLayer


@by_score(needs="gates")
def relevance(layer: UnitLayer) -> UnitScores:
    """``-dE/dalpha`` of a gate alpha on the unit, with the linear error ``2 (1 - p_y)``."""
    return -layer.gates.error_gradient.mean(axis=0)


@by_score(needs="gates")
def ablation(layer: UnitLayer) -> UnitScores:
    """Loss without the unit minus the loss with it, exactly."""
    return layer.gates.ablation
