"""Contribution analysis (Sanger 1989)."""

import numpy as np

from neuron_pruning.pruning.techniques.technique import UnitScores, by_score
from neuron_pruning.pruning.units import UnitLayer


@by_score(needs="activations")
def contribution(layer: UnitLayer) -> UnitScores:
    """``mean_n sum_o |a_nj W_oj|``, activations about their mean.

    Sanger's sign, + for the target and - for the rest, does not outlive the absolute value.
    """
    centred = layer.activations - layer.activations.mean(axis=0)
    return np.abs(centred).mean(axis=0) * np.abs(layer.outgoing.weight).sum(axis=0)
