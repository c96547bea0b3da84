"""Contribution analysis (Sanger 1989)."""

import numpy as np

from neuron_pruning.pruning.techniques.technique import Scores
from neuron_pruning.pruning.units import Layer


def contribution(layer: Layer) -> Scores:
    """``mean_n sum_o |a_nj W_oj|``, activations about their mean.

    Sanger's sign, + for the target and - for the rest, does not outlive the absolute value.
    """
    said = layer.activations - layer.activations.mean(axis=0)
    return np.asarray(np.abs(said).mean(axis=0) * np.abs(layer.out.weight).sum(axis=0))
