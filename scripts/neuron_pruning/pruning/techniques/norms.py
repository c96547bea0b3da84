"""Norms of incoming weights (Li et al. 2017)."""

import numpy as np

from neuron_pruning.pruning.techniques.technique import UnitScores, by_score
from neuron_pruning.pruning.units import UnitLayer


@by_score(needs="weights")
def l1(layer: UnitLayer) -> UnitScores:
    """Sum of the absolute incoming weights."""
    return np.abs(layer.incoming.weight).sum(axis=1)


@by_score(needs="weights")
def l2(layer: UnitLayer) -> UnitScores:
    """Euclidean length of the incoming weights."""
    return np.linalg.norm(layer.incoming.weight, axis=1)
