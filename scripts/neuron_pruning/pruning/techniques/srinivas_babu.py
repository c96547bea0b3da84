"""Data-free merging of similar units (Srinivas & Babu 2015)."""

import numpy as np

from neuron_pruning.pruning.selection import Removal
from neuron_pruning.pruning.techniques.closest import squared_distances
from neuron_pruning.pruning.techniques.technique import by_order
from neuron_pruning.pruning.units import UnitLayer


@by_order(needs="weights", compensation="add", merges=True)
def srinivas_babu(layer: UnitLayer) -> list[Removal]:
    """The pair with the smallest ``mean_o(w_j^2) |[W_in, b_in]_i - [W_in, b_in]_j|^2`` merges.

    Unit j is removed, unit i gets its outgoing weights, and the next pair is sought among the
    remaining units.
    """
    apart = squared_distances(np.column_stack([layer.incoming.weight, layer.incoming.bias]))
    np.fill_diagonal(apart, np.inf)
    outgoing = layer.outgoing.weight.copy()
    nearest = apart.argmin(axis=1)
    removals = []
    for _ in range(layer.units - 1):
        gap = apart[np.arange(layer.units), nearest]
        size = np.where(np.isfinite(gap), (outgoing**2).mean(axis=0), 1.0)
        removed = int((size * gap).argmin())
        merge_target = int(nearest[removed])
        removals.append(Removal(removed, "similar", merge_target))
        outgoing[:, merge_target] += outgoing[:, removed]
        apart[removed], apart[:, removed] = np.inf, np.inf
        lost = nearest == removed
        nearest[lost] = apart[lost].argmin(axis=1)
    return removals
