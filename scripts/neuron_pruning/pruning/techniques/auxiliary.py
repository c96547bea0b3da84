"""An auxiliary linear layer that is made sparse, in the spirit of Burkitt (1991)."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from neuron_pruning.core.errors import UserError
from neuron_pruning.models.dense import Dense, pre_activations
from neuron_pruning.pruning.selection import Removal, Selection
from neuron_pruning.pruning.techniques.technique import SelectAtAmount, by_count, whole_count
from neuron_pruning.pruning.units import Layer
from neuron_pruning.statistics.metrics import softmax

Mixing = Float64[NDArray, "units units"]

STRENGTHS = 80  # of the penalty, in equal ratios
WEAKEST = 1e-4  # of the strength at which every column vanishes
MAX_UNITS = 2048  # units: the auxiliary layer holds their square


@by_count(needs="loss", compensation="fitted", fits_weights=True)
def auxiliary(layer: Layer, *, steps: int = 25) -> SelectAtAmount:
    """Units whose column of ``M`` vanishes in ``y = W M a + b`` under a growing penalty.

    ``M`` starts as the identity; the loss ``+ lambda sum_j |M[:, j]|`` is minimised by
    accelerated proximal gradient steps, ``steps`` at each of 80 strengths. ``W <- W M``.
    """
    if layer.units > MAX_UNITS:
        raise UserError(
            f"auxiliary holds the square of {layer.units} units; it takes {MAX_UNITS} at most"
        )
    if not len(layer.labels):
        raise UserError("auxiliary minimises the loss: it needs patterns with labels")
    path = list(_path(layer, steps))

    def select_at(amount: float) -> Selection:
        count = whole_count(amount, layer.units)
        order, mixing = next((found for found in path if len(found[0]) >= count), path[-1])
        removals = tuple(Removal(unit, "ranked") for unit in order[:count])
        weights = Dense(layer.outgoing.weight @ mixing, layer.outgoing.bias)
        return Selection(layer.units, removals, fitted=weights)

    return select_at


def _path(layer: Layer, steps: int) -> Iterator[tuple[list[int], Mixing]]:
    """Vanished units in their order, and the mixing matrix, at every strength."""
    mixing, order = np.eye(layer.units), list[int]()
    yield order, mixing
    reach = np.linalg.norm(layer.activations, 2) * np.linalg.norm(layer.outgoing.weight, 2)
    for dense in layer.downstream:  # a sigmoid's slope is a quarter at most
        reach *= np.linalg.norm(dense.weight, 2) / 4.0
    strongest = np.linalg.norm(_gradient(layer, np.zeros_like(mixing)), axis=0).max()
    if strongest == 0.0 or reach == 0.0:  # the units do not reach the loss
        yield list(range(layer.units - 1, -1, -1)), mixing
        return
    length = float(2.0 * len(layer.activations) / reach**2)
    for strength in np.geomspace(WEAKEST * strongest, 2.0 * strongest, STRENGTHS):
        before = np.linalg.norm(mixing, axis=0)
        mixing = _descend(layer, mixing, strength, length, steps)
        vanished = np.flatnonzero(~mixing.any(axis=0))
        fresh = vanished[np.argsort(before[vanished], kind="stable")].tolist()
        order = list(dict.fromkeys([*order, *fresh]))
        yield order, mixing
    rest = np.argsort(np.linalg.norm(mixing, axis=0), kind="stable").tolist()
    yield list(dict.fromkeys([*order, *rest])), mixing


def _descend(layer: Layer, mixing: Mixing, strength: float, length: float, steps: int) -> Mixing:
    """Accelerated proximal gradient steps; a column that has vanished stays so."""
    dead = ~mixing.any(axis=0)
    ahead, pace = mixing, 1.0
    for _ in range(steps):
        moved = ahead - length * _gradient(layer, ahead)
        norms = np.linalg.norm(moved, axis=0)
        shrunk = moved * np.maximum(0.0, 1.0 - length * strength / np.maximum(norms, 1e-300))
        shrunk[:, dead] = 0.0
        faster = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * pace**2))
        ahead = shrunk + (pace - 1.0) / faster * (shrunk - mixing)
        mixing, pace = shrunk, faster
    return mixing


def _gradient(layer: Layer, mixing: Mixing) -> Mixing:
    """Gradient of the mean loss by the mixing matrix."""
    mixed = Dense(layer.outgoing.weight @ mixing, layer.outgoing.bias)
    values = pre_activations(mixed, layer.activations)
    probabilities = softmax(layer.logits_of_following(values))
    error = probabilities - np.eye(probabilities.shape[1])[layer.labels]
    delta = layer.backpropagate(error, values) / len(values)
    return layer.outgoing.weight.T @ (delta.T @ layer.activations)
