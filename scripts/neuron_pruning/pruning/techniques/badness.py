"""Badness (Hagiwara 1990)."""

import numpy as np

from neuron_pruning.pruning.angles import check_sigmoid
from neuron_pruning.pruning.techniques.technique import Scores
from neuron_pruning.pruning.units import Layer


def badness(layer: Layer) -> Scores:
    """``sum_n (a (1 - a) g)^2``: the error that reaches the unit; the LARGEST goes first."""
    gradient, said = layer.gradient, layer.activations
    check_sigmoid(said, "badness takes a (1 - a) for the slope of a sigmoid")
    return np.asarray(((said * (1.0 - said) * gradient) ** 2).sum(axis=0))
