"""Pairs of units by distance, as techniques that merge take them."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def closest_pairs(
    distances: Matrix, alone: NDArray[np.float64] | None = None
) -> Iterator[tuple[int, int | None]]:
    """Which unit goes next and the lower-indexed unit it is merged into, H - 1 times.

    ``distances`` is H x H and symmetric; ``alone``, H, are distances to nobody: a unit that is
    closer to that than to any other goes with None. Equal distances go by index.
    """
    below = np.where(np.tri(len(distances), k=-1, dtype=bool), distances, np.inf)
    nearest = below.argmin(axis=1)
    gap = below[np.arange(len(below)), nearest]
    own = np.full(len(below), np.inf) if alone is None else alone.copy()
    for _ in range(len(below) - 1):
        pair, single = int(gap.argmin()), int(own.argmin())
        if own[single] <= gap[pair]:
            gone, partner = single, None
        else:
            gone, partner = pair, int(nearest[pair])
        yield gone, partner
        below[:, gone] = np.inf
        gap[gone] = own[gone] = np.inf
        below[gone] = np.inf
        lost = np.flatnonzero((nearest == gone) & np.isfinite(gap))
        nearest[lost] = below[lost].argmin(axis=1)
        gap[lost] = below[lost, nearest[lost]]


def squared_distances(vectors: Matrix) -> Matrix:
    """Squared Euclidean distances between every two rows."""
    squares = (vectors**2).sum(axis=1)
    found = squares[:, None] + squares[None] - 2.0 * vectors @ vectors.T
    np.fill_diagonal(found, 0.0)
    return np.maximum(found, 0.0)
