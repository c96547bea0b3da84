"""The two stages of Sietsma & Dow (1988, 1991)."""

import numpy as np
from jaxtyping import Int64, UInt64
from numpy.typing import NDArray

from neuron_pruning.core.seeds import derive_seed
from neuron_pruning.pruning.angles import check_sigmoid
from neuron_pruning.pruning.selection import Removal
from neuron_pruning.pruning.techniques.closest import closest_pairs
from neuron_pruning.pruning.techniques.technique import by_order
from neuron_pruning.pruning.units import Layer, UnitLayer


@by_order(needs="statistics", compensation="add", merges=True)
def sietsma_dow(layer: UnitLayer) -> list[Removal]:
    """Stage 1: units that are constant, the same as another, or its reverse; the closest first.

    Distances are root mean squares: ``std(a_k)``, ``a_k - a_i``, ``a_k + a_i - 1``. Of a pair the
    higher index is removed.
    """
    activations, patterns = layer.activations, len(layer.activations)
    check_sigmoid(
        layer.value_range, "the reverse of a unit is 1 minus it, for sigmoids; take noiseout"
    )
    squares = (activations**2).sum(axis=0)
    totals, products = activations.sum(axis=0), layer.gram
    same = squares[:, None] + squares[None] - 2.0 * products
    reverse = squares[:, None] + squares[None] + 2.0 * products + patterns
    reverse -= 2.0 * (totals[:, None] + totals[None])
    same, reverse = (np.sqrt(np.maximum(d, 0.0) / patterns) for d in (same, reverse))
    removals = []
    for unit, merge_target in closest_pairs(np.minimum(same, reverse), activations.std(axis=0)):
        if merge_target is None:
            removals.append(Removal(unit, "constant"))
        else:
            alike = same[unit, merge_target] <= reverse[unit, merge_target]
            removals.append(Removal(unit, "similar" if alike else "reverse", merge_target))
    return removals


@by_order(needs="loss")
def sietsma_dow_2(layer: Layer) -> list[Removal]:
    """Stage 2: units that the binary codes of the patterns can do without.

    A unit is non-informative if without it no two patterns of different classes get the same code
    ``1[A > 0.5]``. ASSUME: when every unit is informative, the one is removed without which the
    fewest pairs get equal codes; of equals the higher index.
    """
    draws = np.random.default_rng(derive_seed(0, "codes"))
    bits = (layer.activations > 0.5) * draws.integers(2**63, size=layer.units, dtype=np.uint64)
    marks = draws.integers(2**63, size=layer.labels.max() + 1, dtype=np.uint64)[layer.labels]
    codes, alive = bits.sum(axis=1, dtype=np.uint64), list(range(layer.units))
    removals = []
    while len(alive) > 1:
        without = codes[:, None] - bits[:, alive]
        clashes = _equal_pairs(without) - _equal_pairs(without + marks[:, None])
        best = len(alive) - 1 - int(clashes[::-1].argmin())
        codes = without[:, best]
        removals.append(Removal(alive.pop(best), "ranked"))
    return removals


def _equal_pairs(
    codes: UInt64[NDArray, "patterns columns"],
) -> Int64[NDArray, " columns"]:
    """How many pairs of equal numbers each column holds.

    The k-th of a run of equals, counted from 0, makes k pairs with those before it.
    """
    ordered = np.sort(codes, axis=0)
    place = np.arange(len(codes))[:, None]
    fresh = np.ones(ordered.shape, dtype=bool)
    fresh[1:] = ordered[1:] != ordered[:-1]
    start = np.maximum.accumulate(np.where(fresh, place, 0), axis=0)
    return (place - start).sum(axis=0)
