"""Norms of incoming weights (Li et al. 2017)."""

import numpy as np

from neuron_pruning.pruning.techniques.technique import Scores
from neuron_pruning.pruning.units import Layer


def l1(layer: Layer) -> Scores:
    """Sum of the absolute incoming weights."""
    return np.asarray(np.abs(layer.into.weight).sum(axis=1))


def l2(layer: Layer) -> Scores:
    """Euclidean length of the incoming weights."""
    return np.asarray(np.linalg.norm(layer.into.weight, axis=1))
