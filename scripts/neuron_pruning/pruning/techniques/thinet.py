"""ThiNet (Luo et al. 2017)."""

import numpy as np

from neuron_pruning.pruning.selection import Removal
from neuron_pruning.pruning.units import Layer


def thinet(layer: Layer) -> list[Removal]:
    """Greedily the unit that keeps the removed units' summed contribution smallest.

    The sum of squares over patterns and outputs of ``sum_j a_nj w_oj`` over the removed units j.
    """
    products = layer.gram * (layer.out.weight.T @ layer.out.weight)
    cost, removals = np.diag(products).copy(), []
    for _ in range(layer.units - 1):
        unit = int(cost.argmin())
        cost += 2.0 * products[unit]
        cost[unit] = np.inf
        removals.append(Removal(unit, "ranked"))
    return removals
