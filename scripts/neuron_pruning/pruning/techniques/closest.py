"""Pairs of units by distance, as techniques that merge take them."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray


def closest_pairs(
    distances: Float64[NDArray, "units units"], alone: Float64[NDArray, " units"] | None = None
) -> Iterator[tuple[int, int | None]]:
    """Which unit is removed next and its merge target, of lower index, till one unit is left.

    The distances are symmetric; equal ones go by index. A unit that is closer to its number of
    ``alone`` than to any other is removed without merge target.
    """
    below = np.where(np.tri(len(distances), k=-1, dtype=bool), distances, np.inf)
    nearest = below.argmin(axis=1)
    gap = below[np.arange(len(below)), nearest]
    own = np.full(len(below), np.inf) if alone is None else alone.copy()
    for _ in range(len(below) - 1):
        pair, single = int(gap.argmin()), int(own.argmin())
        alone_first = own[single] <= gap[pair]
        removed = single if alone_first else pair
        yield removed, None if alone_first else int(nearest[pair])
        below[:, removed] = below[removed] = gap[removed] = own[removed] = np.inf
        lost = np.flatnonzero((nearest == removed) & np.isfinite(gap))
        nearest[lost] = below[lost].argmin(axis=1)
        gap[lost] = below[lost, nearest[lost]]


def squared_distances(
    vectors: Float64[NDArray, "units dimensions"],
) -> Float64[NDArray, "units units"]:
    """Squared Euclidean distances between every two rows."""
    squares = (vectors**2).sum(axis=1)
    found = squares[:, None] + squares[None] - 2.0 * vectors @ vectors.T
    np.fill_diagonal(found, 0.0)
    return np.maximum(found, 0.0)
