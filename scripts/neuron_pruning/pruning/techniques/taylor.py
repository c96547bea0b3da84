"""First-order Taylor expansion of the loss in a gate on the unit (Molchanov et al.)."""

import numpy as np

from neuron_pruning.pruning.techniques.technique import UnitScores, by_score
from neuron_pruning.pruning.units import UnitLayer


@by_score(needs="gates")
def taylor(layer: UnitLayer) -> UnitScores:
    """``mean_n |g a|`` (2017)."""
    return np.abs(layer.gates.gradient).mean(axis=0)


@by_score(needs="gates")
def taylor_squared(layer: UnitLayer) -> UnitScores:
    """``mean_n (g a)^2`` (2019)."""
    return (layer.gates.gradient**2).mean(axis=0)
