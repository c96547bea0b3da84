"""Filter pruning by the geometric median (He et al. 2019)."""

import numpy as np

from neuron_pruning.pruning.techniques.closest import squared_distances
from neuron_pruning.pruning.techniques.technique import UnitScores, by_score
from neuron_pruning.pruning.units import UnitLayer


@by_score(needs="weights")
def fpgm(layer: UnitLayer) -> UnitScores:
    """Summed distance of a unit's incoming weights from all others'; the smallest first."""
    return np.sqrt(squared_distances(layer.incoming.weight)).sum(axis=1)
