"""NoiseOut (Babaeizadeh, Smaragdis & Campbell 2016)."""

import numpy as np

from neuron_pruning.pruning.angles import is_flat
from neuron_pruning.pruning.selection import Removal
from neuron_pruning.pruning.techniques.closest import closest_pairs
from neuron_pruning.pruning.techniques.technique import by_order
from neuron_pruning.pruning.units import UnitLayer


@by_order(needs="statistics", compensation="affine", merges=True)
def noiseout(layer: UnitLayer) -> list[Removal]:
    """The most correlated pair first, by absolute value; of a pair the higher index is removed.

    A unit that never varies correlates with no other and is removed first, as a constant.
    """
    centred = layer.activations - layer.activations.mean(axis=0)
    lengths = np.linalg.norm(centred, axis=0)
    flat = is_flat(centred, layer.activations)
    directions = centred / np.where(flat, 1.0, lengths)
    apart = 1.0 - np.abs(directions.T @ directions)
    return [
        Removal(unit, "constant" if merge_target is None else "similar", merge_target)
        for unit, merge_target in closest_pairs(apart, np.where(flat, -1.0, np.inf))
    ]
