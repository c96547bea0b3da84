"""First-order Taylor expansion of the loss in a gate on the unit (Molchanov et al.)."""

import numpy as np

from neuron_pruning.pruning.techniques.technique import UnitScores, by_score
from neuron_pruning.pruning.units import Layer


@by_score(needs="loss")
def taylor(layer: Layer) -> UnitScores:
    """``mean_n |g a|`` (2017)."""
    return np.abs(layer.gradient * layer.activations).mean(axis=0)


@by_score(needs="loss")
def taylor_squared(layer: Layer) -> UnitScores:
    """``mean_n (g a)^2`` (2019)."""
    return ((layer.gradient * layer.activations) ** 2).mean(axis=0)
