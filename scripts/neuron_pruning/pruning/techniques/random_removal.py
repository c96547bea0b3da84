"""Random removal, the control."""

import numpy as np

from neuron_pruning.core.seeds import derive_seed
from neuron_pruning.pruning.selection import Removal
from neuron_pruning.pruning.techniques.technique import by_order
from neuron_pruning.pruning.units import UnitLayer


@by_order(needs="weights")
def random(layer: UnitLayer, *, draw: int = 0) -> list[Removal]:
    """Units in random order; ``draw`` numbers the orders of one network."""
    draws = np.random.default_rng(derive_seed(layer.seed, f"random removal {draw}"))
    order = draws.permutation(layer.units).tolist()
    return [Removal(unit, "ranked") for unit in order[:-1]]
