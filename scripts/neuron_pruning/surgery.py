"""Physical removal of units, with what the rest gets in return."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from neuron_pruning.angles import check_activations
from neuron_pruning.distinctiveness import Removal, Selection
from neuron_pruning.errors import UserError
from neuron_pruning.networks import Network

Compensation = Literal["none", "add"]
Matrix = NDArray[np.float64]


def prune_layer(
    network: Network,
    layer: str,
    selection: Selection,
    compensation: Compensation = "add",
    activations: ArrayLike | None = None,
) -> Network:
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
    following = _following_layer(network, layer)
    hidden = network.linear(layer)
    if selection.units != hidden.out_features:
        raise UserError(f"{layer} has {hidden.out_features} units, not {selection.units}")
    matrix = None if activations is None else check_activations(activations)
    outgoing = network.linear(following)
    weight = outgoing.weight.detach().double().numpy().copy()
    bias = outgoing.bias.detach().double().numpy().copy()
    for removal in selection.removals:
        COMPENSATIONS[compensation](weight, bias, removal, matrix)
    return _cut(network, layer, following, selection, weight, bias)


def _following_layer(network: Network, layer: str) -> str:
    """Name of the layer that reads from ``layer``; the output layer has none."""
    network.linear(layer)
    *hidden, last = network.layer_names
    if layer == last:
        raise UserError(f"{layer} is the output layer: its units are the classes; use {hidden}")
    return network.layer_names[network.layer_names.index(layer) + 1]


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
    network: Network, layer: str, following: str, selection: Selection, weight: Matrix, bias: Matrix
) -> Network:
    """Copy with the rows of ``layer`` and the columns of ``following`` that stay."""
    kept = list(selection.kept)
    pruned = copy.deepcopy(network)
    hidden, outgoing = pruned.linear(layer), pruned.linear(following)
    kind = outgoing.weight.dtype
    hidden.weight = torch.nn.Parameter(hidden.weight.detach()[kept].clone())
    hidden.bias = torch.nn.Parameter(hidden.bias.detach()[kept].clone())
    outgoing.weight = torch.nn.Parameter(torch.from_numpy(weight[:, kept]).to(kind))
    outgoing.bias = torch.nn.Parameter(torch.from_numpy(bias).to(kind))
    hidden.out_features = outgoing.in_features = len(kept)
    widths = list(network.architecture.widths)
    widths[network.layer_names.index(layer)] = len(kept)
    pruned.architecture = replace(network.architecture, widths=tuple(widths))
    return pruned.eval()
