"""Groups of three or more units with a constant joint effect (Gedeon & Harris 1991)."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64
from numpy.typing import NDArray

from neuron_pruning.pruning.selection import Removal

Groups = Literal["none", "faithful", "lossless"]

ZERO_TOLERANCE = 1e-9  # what elimination leaves of a zero


def band(activations: Float64[NDArray, "patterns units"]) -> Float64[NDArray, "patterns units"]:
    """Activations as 0, 0.5 or 1: cut at the midpoints of each unit's two largest gaps.

    A unit of one value is 0.5 throughout; one of two values has a single gap and is 0 or 1.
    """
    ordered = np.sort(activations, axis=0)
    gaps = np.diff(ordered, axis=0)
    middles = ordered[:-1] + gaps / 2
    banded = np.empty_like(activations)
    for unit in range(activations.shape[1]):
        widest = np.argsort(-gaps[:, unit], kind="stable")[:2]
        cuts = np.sort(middles[widest[gaps[widest, unit] > 0], unit])
        steps = np.searchsorted(cuts, activations[:, unit])
        banded[:, unit] = 0.5 if not len(cuts) else steps / len(cuts)
    return banded


def reduced_row_echelon(
    matrix: Float64[NDArray, "rows columns"],
) -> tuple[Float64[NDArray, "pivots columns"], list[int]]:
    """Sorted reduced row echelon form and its pivot columns, left to right."""
    rows = matrix.astype(np.float64, copy=True)
    pivots: list[int] = []
    for column in range(rows.shape[1]):
        if len(pivots) == len(rows):
            break
        top = len(pivots)
        best = top + int(np.abs(rows[top:, column]).argmax())
        if abs(rows[best, column]) < ZERO_TOLERANCE:
            continue
        rows[[top, best]] = rows[[best, top]]
        rows[top] /= rows[top, column]
        others = np.arange(len(rows)) != top
        rows[others] -= np.outer(rows[others, column], rows[top])
        rows[np.abs(rows) < ZERO_TOLERANCE] = 0.0
        pivots.append(column)
    return rows[: len(pivots)], pivots


def dependencies(
    activations: Float64[NDArray, "patterns units"],
) -> Iterator[tuple[int, dict[int, float], float]]:
    """Units that are sums of two or more others, once banded: unit, factors by unit, constant.

    ASSUME: a column of ones stands first and units by index, so that a unit is expressed by
    those before it.
    """
    banded = np.column_stack([np.ones(len(activations)), band(activations)])
    rows, pivots = reduced_row_echelon(banded)
    for column in sorted(set(range(1, banded.shape[1])) - set(pivots)):
        factors = {
            pivot - 1: float(rows[row, column])
            for row, pivot in enumerate(pivots)
            if pivot > 0 and rows[row, column] != 0.0
        }
        constant = float(rows[0, column]) if pivots[0] == 0 else 0.0
        if len(factors) >= 2:
            yield column - 1, factors, constant


def joint_removals(
    activations: Float64[NDArray, "patterns units"], alive: Bool[NDArray, " units"], rule: Groups
) -> Iterator[Removal]:
    """Removals of groups among the units alive; at least one unit stays.

    ``faithful``: where the members add up to a constant, all are removed and a bias replaces them.
    ``lossless``: the unit that the others express is removed; they are fitted to take over.
    """
    if rule == "none":
        return
    units = np.flatnonzero(alive)
    for unit, factors, _ in dependencies(activations[:, units]):
        dependent, others = int(units[unit]), tuple(int(units[member]) for member in factors)
        if not all(alive[[dependent, *others]]):
            continue
        if rule == "lossless":
            alive[dependent] = False
            yield Removal(dependent, "group", members=others)
        elif np.allclose(list(factors.values()), -1.0) and alive.sum() > len(others) + 1:
            for member in (dependent, *others):
                alive[member] = False
                yield Removal(member, "group")
