"""Iterative removal with least squares (Pelillo & Fanelli 1993; Castellano et al. 1997)."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from neuron_pruning.pruning.selection import Removal
from neuron_pruning.pruning.techniques.technique import by_order
from neuron_pruning.pruning.units import UnitLayer

# Of the squared lengths of the outgoing weights and the inverse of the normal equations.
Criterion = Callable[
    [Float64[NDArray, " units"], Float64[NDArray, "units+1 units+1"]], Float64[NDArray, " units"]
]

JITTER = 1e-12  # of the mean square: keeps the normal equations of dead layers solvable


@by_order(needs="statistics", compensation="lstsq")
def pelillo_fanelli(layer: UnitLayer) -> list[Removal]:
    """The unit with the smallest ``|w_h|^2 |a_h|^2`` is removed, the rest refitted, and so on."""
    lengths = np.diag(layer.gram)
    return _one_by_one(layer, lambda outgoing, inverse: outgoing * lengths)


@by_order(needs="statistics", compensation="lstsq")
def pelillo_fanelli_residual(layer: UnitLayer) -> list[Removal]:
    """The same by the error that refitting leaves, ``|w_h|^2 / [(A1^T A1)^-1]_hh``."""
    return _one_by_one(layer, lambda outgoing, inverse: outgoing / np.diag(inverse)[:-1])


def _one_by_one(layer: UnitLayer, criterion: Criterion) -> list[Removal]:
    """Removals by the smallest criterion of the weights as least squares leave them.

    With ``P`` the inverse of the normal equations, unit h is ``sum_i -P_ih / P_hh a_i`` of the
    others, and ``P - p_h p_h^T / P_hh`` is the inverse without it.
    """
    with_constant = np.column_stack([layer.activations, np.ones(len(layer.activations))])
    products = with_constant.T @ with_constant
    inverse = np.linalg.inv(
        products + JITTER * np.trace(products) / len(products) * np.eye(len(products))
    )
    weight = np.column_stack([layer.outgoing.weight, layer.outgoing.bias])
    alive, removals = np.ones(layer.units, dtype=bool), []
    for _ in range(layer.units - 1):
        score = criterion((weight[:, :-1] ** 2).sum(axis=0), inverse)
        unit = int(np.where(alive, score, np.inf).argmin())
        column = inverse[:, unit] / inverse[unit, unit]
        weight -= np.outer(weight[:, unit], column)
        inverse -= np.outer(column, inverse[unit])
        inverse[unit, unit] = 1.0  # removed: never divided by zero
        alive[unit] = False
        removals.append(Removal(unit, "ranked"))
    return removals
