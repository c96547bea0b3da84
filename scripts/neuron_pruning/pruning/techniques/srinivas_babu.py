"""Data-free merging of similar units (Srinivas & Babu 2015)."""

import numpy as np

from neuron_pruning.pruning.selection import Removal
from neuron_pruning.pruning.techniques.closest import squared_distances
from neuron_pruning.pruning.units import Layer


def srinivas_babu(layer: Layer) -> list[Removal]:
    """The pair with the smallest ``mean_o(w_j^2) |[W_in, b_in]_i - [W_in, b_in]_j|^2`` merges.

    Unit j goes, unit i gets its outgoing weights, and the next pair is sought among the rest.
    """
    apart = squared_distances(np.column_stack([layer.into.weight, layer.into.bias]))
    np.fill_diagonal(apart, np.inf)
    outgoing = layer.out.weight.copy()
    nearest = apart.argmin(axis=1)
    removals = []
    for _ in range(layer.units - 1):
        gap = apart[np.arange(layer.units), nearest]
        size = np.where(np.isfinite(gap), (outgoing**2).mean(axis=0), 1.0)
        gone = int((size * gap).argmin())
        heir = int(nearest[gone])
        removals.append(Removal(gone, "similar", heir))
        outgoing[:, heir] += outgoing[:, gone]
        apart[gone], apart[:, gone] = np.inf, np.inf
        lost = nearest == gone
        nearest[lost] = apart[lost].argmin(axis=1)
    return removals
