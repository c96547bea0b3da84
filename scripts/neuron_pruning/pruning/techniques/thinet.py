"""ThiNet (Luo et al. 2017)."""

import numpy as np

from neuron_pruning.pruning.selection import Removal
from neuron_pruning.pruning.techniques.technique import by_order
from neuron_pruning.pruning.units import UnitLayer


@by_order(needs="statistics")
def thinet(layer: UnitLayer) -> list[Removal]:
    """Greedily the unit that keeps the removed units' summed contribution smallest.

    The sum of squares over patterns and outputs of ``sum_j a_nj w_oj`` over the removed units j.
    """
    products = layer.gram * (layer.outgoing.weight.T @ layer.outgoing.weight)
    cost, removals = np.diag(products).copy(), []
    for _ in range(layer.units - 1):
        unit = int(cost.argmin())
        cost += 2.0 * products[unit]
        cost[unit] = np.inf
        removals.append(Removal(unit, "ranked"))
    return removals
