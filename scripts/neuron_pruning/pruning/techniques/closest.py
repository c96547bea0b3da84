"""Pairs of units by distance, as techniques that merge take them."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def closest_pairs(
    distances: Matrix, alone: NDArray[np.float64] | None = None
) -> Iterator[tuple[int, int | None]]:
    """Which unit is removed next and its merge target, of lower index; H - 1 times.

    Equal distances go by index.

    Args:
        distances: between every two units, H x H and symmetric.
        alone: H; a unit that is closer to this than to any other is removed without merge target.
    """
    below = np.where(np.tri(len(distances), k=-1, dtype=bool), distances, np.inf)
    nearest = below.argmin(axis=1)
    gap = below[np.arange(len(below)), nearest]
    own = np.full(len(below), np.inf) if alone is None else alone.copy()
    for _ in range(len(below) - 1):
        pair, single = int(gap.argmin()), int(own.argmin())
        if own[single] <= gap[pair]:
            removed, merge_target = single, None
        else:
            removed, merge_target = pair, int(nearest[pair])
        yield removed, merge_target
        below[:, removed] = np.inf
        gap[removed] = own[removed] = np.inf
        below[removed] = np.inf
        lost = np.flatnonzero((nearest == removed) & np.isfinite(gap))
        nearest[lost] = below[lost].argmin(axis=1)
        gap[lost] = below[lost, nearest[lost]]


def squared_distances(vectors: Matrix) -> Matrix:
    """Squared Euclidean distances between every two rows."""
    squares = (vectors**2).sum(axis=1)
    found = squares[:, None] + squares[None] - 2.0 * vectors @ vectors.T
    np.fill_diagonal(found, 0.0)
    return np.maximum(found, 0.0)
