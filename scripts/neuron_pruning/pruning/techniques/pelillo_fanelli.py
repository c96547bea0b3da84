"""Iterative removal with least squares (Pelillo & Fanelli 1993; Castellano et al. 1997)."""

from collections.abc import Callable

import numpy as np

from neuron_pruning.pruning.selection import Removal
from neuron_pruning.pruning.units import Layer, Matrix, Vector

JITTER = 1e-12  # of the mean square: keeps the normal equations of dead layers solvable


def pelillo_fanelli(layer: Layer) -> list[Removal]:
    """The unit with the smallest ``|w_h|^2 |a_h|^2`` goes, the rest is refitted, and so on."""
    lengths = np.diag(layer.gram)
    return _one_by_one(layer, lambda outgoing, inverse: outgoing * lengths)


def pelillo_fanelli_residual(layer: Layer) -> list[Removal]:
    """The same by what the refitting cannot mend, ``|w_h|^2 / [(A1^T A1)^-1]_hh``."""
    return _one_by_one(layer, lambda outgoing, inverse: outgoing / np.diag(inverse)[:-1])


def _one_by_one(layer: Layer, criterion: Callable[[Vector, Matrix], Vector]) -> list[Removal]:
    """Removals by the smallest criterion of the weights as least squares leave them.

    With ``P`` the inverse of the normal equations, unit h is ``sum_i -P_ih / P_hh a_i`` of the
    others, and ``P - p_h p_h^T / P_hh`` is the inverse without it.
    """
    known = np.column_stack([layer.activations, np.ones(len(layer.activations))])
    products = known.T @ known
    inverse = np.linalg.inv(
        products + JITTER * np.trace(products) / len(products) * np.eye(len(products))
    )
    weight = np.column_stack([layer.out.weight, layer.out.bias])
    alive, removals = np.ones(layer.units, dtype=bool), []
    for _ in range(layer.units - 1):
        score = criterion((weight[:, :-1] ** 2).sum(axis=0), inverse)
        unit = int(np.where(alive, score, np.inf).argmin())
        column = inverse[:, unit] / inverse[unit, unit]
        weight -= np.outer(weight[:, unit], column)
        inverse -= np.outer(column, inverse[unit])
        inverse[unit, unit] = 1.0  # gone: never divided by zero
        alive[unit] = False
        removals.append(Removal(unit, "ranked"))
    return removals
