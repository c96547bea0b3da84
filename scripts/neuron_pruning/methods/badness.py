"""Badness (Hagiwara 1990)."""

import numpy as np

from neuron_pruning.layers import Layer
from neuron_pruning.methods.technique import Scores


def badness(layer: Layer) -> Scores:
    """``sum_n (a (1 - a) g)^2``: the error that reaches the unit; the LARGEST goes first."""
    said = layer.activations
    return np.asarray(((said * (1.0 - said) * layer.gradient) ** 2).sum(axis=0))
