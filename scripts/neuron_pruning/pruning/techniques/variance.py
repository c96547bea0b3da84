"""Fluctuation (FLAP; An et al. 2024)."""

import numpy as np

from neuron_pruning.pruning.techniques.technique import Scores
from neuron_pruning.pruning.units import Layer


def variance(layer: Layer) -> Scores:
    """``var(a_j) |w_j|^2``: what is left of a unit once a bias stands in for its mean."""
    return np.asarray(layer.activations.var(axis=0) * (layer.out.weight**2).sum(axis=0))
