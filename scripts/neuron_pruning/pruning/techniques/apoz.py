"""Average percentage of zeros (Hu et al. 2016)."""

import numpy as np

from neuron_pruning.pruning.techniques.technique import Scores
from neuron_pruning.pruning.units import Layer


def apoz(layer: Layer, *, epsilon: float = 0.05) -> Scores:
    """Share of patterns on which the unit is silent; the LARGEST goes first.

    ASSUME: a sigmoid is never zero, so silent is below ``epsilon``.
    """
    return np.asarray((layer.activations < epsilon).mean(axis=0))
