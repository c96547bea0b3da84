"""Physical removal of units, with what the rest gets in return."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuron_pruning.angles import check_activations
from neuron_pruning.architectures import Architecture
from neuron_pruning.checkpoints import Checkpoint
from neuron_pruning.distinctiveness import Removal, Selection
from neuron_pruning.errors import UserError

if TYPE_CHECKING:  # work on arrays needs no torch
    from neuron_pruning.networks import Network

Compensation = Literal["none", "add"]
Matrix = NDArray[np.float64]


def prune_layer(
    network: "Network",
    layer: str,
    selection: Selection,
    compensation: Compensation = "add",
    activations: ArrayLike | None = None,
) -> "Network":
    """Smaller copy of ``network`` without the selected units of a hidden layer.

    Args:
        network: the unpruned network; left as it is.
        layer: name of a hidden fully connected layer, for instance ``fc3``.
        selection: which units go, and in whose favour.
        compensation: ``none`` drops the columns; ``add`` is Gedeon & Harris's: a similar unit's
            outgoing weights go to its survivor.
        activations: N patterns x H units; needed to replace constant units by a bias.

    Raises:
        UserError: no such hidden layer, or a selection of another layer size.
    """
    whole = copy.deepcopy(network.to_checkpoint())  # nothing shared: both may go on to learn
    return network.from_checkpoint(
        prune_checkpoint(whole, layer, selection, compensation, activations)
    )


def prune_checkpoint(
    checkpoint: Checkpoint,
    layer: str,
    selection: Selection,
    compensation: Compensation = "add",
    activations: ArrayLike | None = None,
) -> Checkpoint:
    """As :func:`prune_layer`, on a network as arrays; what stays is shared with the original."""
    following = following_layer(checkpoint.architecture, layer)
    units = len(checkpoint.linear(layer)[1])
    if selection.units != units:
        raise UserError(f"{layer} has {units} units, not {selection.units}")
    matrix = None if activations is None else check_activations(activations)
    weight, bias = (array.astype(np.float64) for array in checkpoint.linear(following))
    for removal in selection.removals:
        COMPENSATIONS[compensation](weight, bias, removal, matrix)
    return _cut(checkpoint, layer, following, selection, weight, bias)


def following_layer(architecture: Architecture, layer: str) -> str:
    """Name of the layer that reads from ``layer``; the output layer has none."""
    place = architecture.place_of(layer)
    *hidden, last = architecture.layer_names
    if layer == last:
        raise UserError(f"{layer} is the output layer: its units are the classes; use {hidden}")
    return architecture.layer_names[place + 1]


def _compensate_none(
    weight: Matrix, bias: Matrix, removal: Removal, activations: Matrix | None
) -> None:
    """Nothing in return."""


def _compensate_add(
    weight: Matrix, bias: Matrix, removal: Removal, activations: Matrix | None
) -> None:
    """Outgoing weights to the survivor (Gedeon & Harris 1991); constant effects to the bias."""
    unit, partner = removal.unit, removal.partner
    if removal.rule == "similar":
        weight[:, partner] += weight[:, unit]
    elif removal.rule == "constant":
        bias += weight[:, unit] * _needed(activations)[:, unit].mean()
    elif removal.rule == "complementary" and not removal.together:
        _compensate_scaled(weight, bias, removal, activations)
    elif removal.rule == "complementary":
        # ASSUME: a_j = 1 - a_i, so the pair's centred parts cancel (exactly if w_i = w_j) and
        # 0.5 (w_i + w_j) is left: each of the two gives its half to the bias.
        bias += 0.5 * weight[:, unit]


def _compensate_scaled(
    weight: Matrix, bias: Matrix, removal: Removal, activations: Matrix | None
) -> None:
    """The survivor stands in with the best scale about 0.5: exact for any scaled clone."""
    centred = _needed(activations) - 0.5
    gone, survivor = centred[:, removal.unit], centred[:, removal.partner]
    scale = (survivor @ gone) / (survivor @ survivor)
    weight[:, removal.partner] += scale * weight[:, removal.unit]
    bias += 0.5 * (1.0 - scale) * weight[:, removal.unit]


def _needed(activations: Matrix | None) -> Matrix:
    if activations is None:
        raise UserError("this compensation is fitted: give the activations")
    return activations


COMPENSATIONS: dict[str, Callable[[Matrix, Matrix, Removal, Matrix | None], None]] = {
    "none": _compensate_none,
    "add": _compensate_add,
}


def _cut(
    checkpoint: Checkpoint,
    layer: str,
    following: str,
    selection: Selection,
    weight: Matrix,
    bias: Matrix,
) -> Checkpoint:
    """Without the rows of ``layer`` and the columns of ``following`` that go."""
    kept, architecture = list(selection.kept), checkpoint.architecture
    own_weight, own_bias = checkpoint.linear(layer)
    kind = own_weight.dtype
    changed = {
        f"classifier.{layer}.weight": own_weight[kept],
        f"classifier.{layer}.bias": own_bias[kept],
        f"classifier.{following}.weight": weight[:, kept].astype(kind),
        f"classifier.{following}.bias": bias.astype(kind),
    }
    widths = list(architecture.widths)
    widths[architecture.place_of(layer)] = len(kept)
    smaller = replace(architecture, widths=tuple(widths))
    return Checkpoint(smaller, {**checkpoint.tensors, **changed})
