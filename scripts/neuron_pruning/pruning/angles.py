"""Angles between the activation vectors of a layer's units (Gedeon & Harris 1991)."""

from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy.typing import ArrayLike, NDArray

from neuron_pruning.core.errors import NotFinite, UserError

Centring = Literal["half", "mean", "none"]
ValueRange = tuple[float, float]  # smallest and largest activation

ROUNDING = 1e-7  # relative, of float32
NO_MIDDLE = (
    "centring half subtracts the middle of a sigmoid's range, and a ReLU has no middle; use "
    "centring mean, about each unit's own mean, or none"
)
SLACK = 1e-6  # how far rounding may carry a sigmoid beyond its range
BLOCK_ROWS = 512  # rows of the angle matrix computed at once: bounds the temporary memory


def check_activations(activations: ArrayLike) -> Float64[NDArray, "patterns units"]:
    """Activations, patterns x units, as a matrix.

    Raises:
        UserError: not two-dimensional, fewer than two patterns or units, NaN or infinity.
    """
    matrix = np.asarray(activations, dtype=np.float64)
    if matrix.ndim != 2:
        raise UserError(f"activations must be N patterns x H units, not {matrix.ndim}-dimensional")
    patterns, units = matrix.shape
    if patterns < 2 or units < 2:
        raise UserError(
            f"pruning compares units over patterns: it needs two of both at least, not {patterns} "
            f"patterns x {units} units"
        )
    broken = np.flatnonzero(~np.isfinite(matrix).all(axis=0))
    if broken.size:
        raise NotFinite(f"activations of unit {broken[0]} are NaN or infinite: training diverged")
    return matrix


def centre(
    activations: Float64[NDArray, "patterns units"],
    centring: Centring = "half",
    value_range: ValueRange | None = None,
) -> Float64[NDArray, "patterns units"]:
    """Activations about their centre.

    ``half`` subtracts 0.5, the middle of a sigmoid's range (the paper, section 2.3); ``mean``
    the unit's own mean; ``none`` nothing. ``value_range`` is that of the activations themselves,
    where other rows stand for them.
    """
    if centring not in get_args(Centring):
        raise UserError(f"centring must be one of {get_args(Centring)}, not {centring!r}")
    if centring == "half":
        check_sigmoid(value_range or range_of(activations), NO_MIDDLE)
        return activations - 0.5
    if centring == "mean":
        return activations - activations.mean(axis=0)
    return activations.copy()


def range_of(activations: Float64[NDArray, "..."]) -> ValueRange:
    """Smallest and largest activation."""
    return float(activations.min()), float(activations.max())


def check_sigmoid(value_range: ValueRange, reason: str) -> None:
    """Refuse activations of no sigmoid; ``reason`` names the technique and the remedy.

    Raises:
        UserError: values outside 0 to 1, as ReLU units have them.
    """
    low, high = value_range
    if low < -SLACK or high > 1.0 + SLACK:
        raise UserError(f"these activations lie between {low:.3g} and {high:.3g}: {reason}")


def is_flat(
    vectors: Float64[NDArray, "patterns units"], activations: Float64[NDArray, "patterns units"]
) -> Bool[NDArray, " units"]:
    """Whether columns are nothing but rounding of the activations that they came from.

    Recorded activations are float32: what is left of a constant unit has no direction.
    """
    own = np.linalg.norm(activations, axis=0)
    return np.linalg.norm(vectors, axis=0) <= ROUNDING * np.maximum(own, np.finfo(float).tiny)


def pairwise_angles(
    activations: ArrayLike, centring: Centring = "half"
) -> Float64[NDArray, "units units"]:
    """Angles in degrees between every two units' centred activation vectors.

    Args:
        activations: patterns x units.
        centring: see :func:`centre`.

    Returns:
        Angles from 0 to 180, symmetric, the diagonal 0. A vector of length zero has no angle: its
        pairs get 90 degrees, so that no rule ever finds it similar to anything.

    Raises:
        UserError: see :func:`check_activations`.
    """
    vectors = centre(check_activations(activations), centring)
    directions, units = _directions(vectors), vectors.shape[1]
    angles = np.empty((units, units))
    for start in range(0, units, BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        angles[block, start:] = _degrees(directions[:, block].T @ directions[:, start:])
        angles[start:, block] = angles[block, start:].T
    # A block on the diagonal is symmetric only up to rounding: take its upper triangle.
    upper = np.triu_indices(units, 1)
    angles[upper[::-1]] = angles[upper]
    np.fill_diagonal(angles, 0.0)
    return angles


class Pairs(NamedTuple):
    """Pairs of columns i < j and the angles between them in degrees, ordered by i, then j."""

    first: Int64[NDArray, " pairs"]
    second: Int64[NDArray, " pairs"]
    angles: Float64[NDArray, " pairs"]

    def where(self, wanted: Bool[NDArray, " pairs"]) -> "Pairs":
        """Those of the pairs that are wanted."""
        return Pairs(self.first[wanted], self.second[wanted], self.angles[wanted])


def pairs_within(
    vectors: Float64[NDArray, "dimensions units"], limit: float
) -> tuple[Pairs, Pairs]:
    """Pairs of columns closer than ``limit`` degrees, and those further apart than 180 - limit.

    The same angles as :func:`pairwise_angles` gives, without ever holding all of them.
    """
    directions, units = _directions(vectors), vectors.shape[1]
    least, blocks = np.cos(np.radians(limit)) - SLACK, []
    for start in range(0, units, BLOCK_ROWS):
        cosines = directions[:, start : start + BLOCK_ROWS].T @ directions[:, start:]
        rows, columns = np.nonzero(np.triu(np.abs(cosines) > least, 1))
        blocks.append((rows + start, columns + start, _degrees(cosines[rows, columns])))
    pairs = Pairs(*map(np.concatenate, zip(*blocks, strict=True)))
    return pairs.where(pairs.angles < limit), pairs.where(pairs.angles > 180.0 - limit)


def _directions(
    vectors: Float64[NDArray, "dimensions units"],
) -> Float64[NDArray, "dimensions units"]:
    """Columns of length 1; those of length 0 stay, at 90 degrees to everything."""
    lengths = np.linalg.norm(vectors, axis=0)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)


def _degrees(cosines: Float64[NDArray, "*shape"]) -> Float64[NDArray, "*shape"]:
    return np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))
