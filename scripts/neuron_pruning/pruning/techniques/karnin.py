"""Sensitivity (Karnin 1990), which the trainer accumulates."""

from neuron_pruning.pruning.techniques.technique import UnitScores, by_score, precomputed_score
from neuron_pruning.pruning.units import UnitLayer


@by_score(needs="weights")  # of the layer: the trainer has computed the rest
def karnin(layer: UnitLayer) -> UnitScores:
    """Summed sensitivity of a unit's weights; see ``training/sensitivity.py``."""
    return precomputed_score(layer, "karnin", "only networks that this workflow trained have it")
