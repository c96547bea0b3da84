"""NoiseOut (Babaeizadeh, Smaragdis & Campbell 2016)."""

import numpy as np

from neuron_pruning.pruning.angles import is_flat
from neuron_pruning.pruning.selection import Removal
from neuron_pruning.pruning.techniques.closest import closest_pairs
from neuron_pruning.pruning.units import Layer


def noiseout(layer: Layer) -> list[Removal]:
    """The most correlated pair first, by absolute value; of a pair the higher index goes.

    A unit that never varies correlates with nobody and goes first, as a constant.
    """
    said = layer.activations - layer.activations.mean(axis=0)
    lengths = np.linalg.norm(said, axis=0)
    flat = is_flat(said, layer.activations)
    directions = said / np.where(flat, 1.0, lengths)
    apart = 1.0 - np.abs(directions.T @ directions)
    removals = []
    for unit, partner in closest_pairs(apart, np.where(flat, -1.0, np.inf)):
        removals.append(Removal(unit, "constant" if partner is None else "similar", partner))
    return removals
