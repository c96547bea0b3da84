"""Angles between the activation vectors of a layer's units (Gedeon & Harris 1991)."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuron_pruning.errors import UserError

Centring = Literal["half", "mean", "none"]

BLOCK = 1024  # rows of the angle matrix computed at once: bounds the temporary memory


def check_activations(activations: ArrayLike) -> NDArray[np.float64]:
    """Activations as a float64 matrix of N patterns x H units.

    Raises:
        UserError: not two-dimensional, no pattern, fewer than two units, NaN or infinity.
    """
    matrix = np.asarray(activations, dtype=np.float64)
    if matrix.ndim != 2:
        raise UserError(f"activations must be N patterns x H units, not {matrix.ndim}-dimensional")
    patterns, units = matrix.shape
    if patterns < 1 or units < 2:
        raise UserError(f"angles need patterns and two units at least, got {patterns} x {units}")
    broken = np.flatnonzero(~np.isfinite(matrix).all(axis=0))
    if broken.size:
        raise UserError(f"activations of unit {broken[0]} are NaN or infinite: training diverged")
    return matrix


def centre(activations: NDArray[np.float64], centring: Centring = "half") -> NDArray[np.float64]:
    """Activations about their centre, N x H.

    ``half`` subtracts 0.5, the middle of a sigmoid's range (the paper, section 2.3); ``mean``
    the unit's own mean; ``none`` nothing.
    """
    if centring not in get_args(Centring):
        raise UserError(f"centring must be one of {get_args(Centring)}, not {centring!r}")
    if centring == "half":
        return activations - 0.5
    if centring == "mean":
        return activations - activations.mean(axis=0)
    return activations.copy()


def pairwise_angles(activations: ArrayLike, centring: Centring = "half") -> NDArray[np.float64]:
    """Angles in degrees between every two units' centred activation vectors.

    Args:
        activations: N patterns x H units.
        centring: see :func:`centre`.

    Returns:
        H x H, symmetric, float64, 0 to 180, the diagonal 0. A vector of length zero has no
        angle: its pairs get 90 degrees, so that no rule ever finds it similar to anything.

    Raises:
        UserError: see :func:`check_activations`.
    """
    centred = centre(check_activations(activations), centring)
    lengths = np.linalg.norm(centred, axis=0)
    directions = np.divide(centred, lengths, out=np.zeros_like(centred), where=lengths > 0)
    units = centred.shape[1]
    angles = np.empty((units, units))
    for start in range(0, units, BLOCK):
        stop = min(start + BLOCK, units)
        cosines = directions[:, start:stop].T @ directions[:, start:]
        np.clip(cosines, -1.0, 1.0, out=cosines)
        angles[start:stop, start:] = np.degrees(np.arccos(cosines))
        angles[start:, start:stop] = angles[start:stop, start:].T
    # A block on the diagonal is symmetric only up to rounding: take its upper triangle.
    upper = np.triu_indices(units, 1)
    angles[upper[::-1]] = angles[upper]
    np.fill_diagonal(angles, 0.0)
    return angles
