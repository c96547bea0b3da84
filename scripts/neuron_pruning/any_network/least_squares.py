"""Least squares from moments: what the columns that stay give for those that leave.

As :func:`neuron_pruning.pruning.compensations.refit`, which has rows. Triangular systems do where
the columns have no weak direction; a layer of ten thousand units takes seconds.
"""

import numpy as np
from jaxtyping import Bool, Float64
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dtrcon

from neuron_pruning.any_network.moments import Moments, triangular_root
from neuron_pruning.models.dense import Dense
from neuron_pruning.pruning.compensations import LSTSQ_RCOND


def refit(
    outgoing: Float64[NDArray, "rows columns"],
    moments: Moments,
    leaves: Bool[NDArray, " columns"],
    constant: bool,
) -> Dense:
    """What the columns that leave contribute, fitted on those that stay.

    Args:
        outgoing: weights of the consumer.
        moments: of the columns.
        leaves: which of them are removed.
        constant: whether a constant may be fitted too.

    Returns:
        Weights, zero for columns that leave, and constants, zero where there may be none.
    """
    weight, bias = np.where(leaves, 0.0, outgoing), np.zeros(len(outgoing))
    always_zero = (np.diag(moments.products) == 0.0) & (moments.mean == 0.0)
    kept, gone = np.flatnonzero(~leaves & ~always_zero), np.flatnonzero(leaves)
    if not len(gone) or (not len(kept) and not constant):
        return Dense(weight, bias)
    contribution = outgoing[:, gone].T
    own, lost = moments.mean[kept], moments.mean[gone] @ contribution
    gram = moments.products[np.ix_(kept, kept)]
    cross = moments.products[np.ix_(kept, gone)] @ contribution
    if not constant:  # about zero rather than about the mean
        gram += np.outer(moments.rows * own, own)
        cross += np.outer(moments.rows * own, lost)
    root, order = triangular_root(gram)
    square = root[:, : len(root)]  # root = Q^T columns, so what is sought is root x = Q^T targets
    reached = solve_triangular(square, cross[order[: len(root)]], trans="T")
    if constant:  # the column of ones goes in front; the others' means are their shares of it
        ones = np.sqrt(moments.rows)
        root = np.vstack([ones * own[order], root])
        root = np.column_stack([np.where(np.arange(len(root)) == 0, ones, 0.0), root])
        reached = np.vstack([ones * lost, reached])
    factors = _solution(root, reached)
    if constant:
        bias, factors = factors[0], factors[1:]
    weight[:, kept[order]] += factors.T
    return Dense(weight, bias)


def _solution(
    root: Float64[NDArray, "rank columns"], right: Float64[NDArray, "rank targets"]
) -> Float64[NDArray, "columns targets"]:
    """Solution of least norm of a trapezoidal system, but for directions too weak to be trusted.

    By eigenvalues where there are such directions, or fewer rows than columns: as NumPy's
    ``lstsq``, and ten times slower than the triangular system.
    """
    rank, columns = root.shape
    if rank == columns and dtrcon(root)[0] > LSTSQ_RCOND:
        return np.asarray(solve_triangular(root, right))
    values, vectors = np.linalg.eigh(root @ root.T)
    strong = values > LSTSQ_RCOND**2 * values[-1]
    vectors = vectors[:, strong]
    solution: NDArray[np.float64] = root.T @ ((vectors / values[strong]) @ (vectors.T @ right))
    return solution
