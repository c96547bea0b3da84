"""Fluctuation (FLAP; An et al. 2024)."""

from neuron_pruning.pruning.techniques.technique import UnitScores, by_score
from neuron_pruning.pruning.units import UnitLayer


@by_score(needs="statistics", compensation="bias")
def variance(layer: UnitLayer) -> UnitScores:
    """``var(a_j) |w_j|^2``: what is left of a unit once a bias replaces its mean."""
    return layer.activations.var(axis=0) * (layer.outgoing.weight**2).sum(axis=0)
