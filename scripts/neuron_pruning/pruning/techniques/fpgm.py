"""Filter pruning by the geometric median (He et al. 2019)."""

import numpy as np

from neuron_pruning.pruning.techniques.closest import squared_distances
from neuron_pruning.pruning.techniques.technique import Scores
from neuron_pruning.pruning.units import Layer


def fpgm(layer: Layer) -> Scores:
    """Summed distance of a unit's incoming weights from all others': the most central go first."""
    return np.asarray(np.sqrt(squared_distances(layer.into.weight)).sum(axis=1))
