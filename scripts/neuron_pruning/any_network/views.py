"""Unit layers of any network as techniques and compensations see them: matrices in float64."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import NDArray
from torch import Tensor, nn

from neuron_pruning.any_network.moments import Measured, Reading, reading
from neuron_pruning.any_network.surgery import Part
from neuron_pruning.any_network.tracing import Weighted, WeightedModule
from neuron_pruning.any_network.unit_layers import FoundLayer, FoundLayers
from neuron_pruning.models.dense import Dense
from neuron_pruning.pruning.selection import Selection
from neuron_pruning.pruning.units import Gates, UnitActivations, UnitLayer


def readings(found: FoundLayers) -> dict[str, Reading]:
    """How each consumer of a network's unit layers is read."""
    maps: dict[str, list[NDArray[np.int64]]] = {}
    for layer in found.layers.values():
        for part in layer.of_role("consumer"):
            maps.setdefault(part.module, []).append(part.channel_of)
    return {name: reading(name, of) for name, of in maps.items()}


def channels_of(layer: FoundLayer, consumer: str, how: Reading) -> Int64[NDArray, "units width"]:
    """Channels of a consumer's reading that each unit of a layer is."""
    part = next(p for p in layer.of_role("consumer") if p.module == consumer)
    # A consumer reads all of a layer's units.
    found = np.empty(layer.units * part.width, dtype=np.int64)
    mapped = part.channel_of >= 0
    found[part.channel_of[mapped]] = how.channel_of[mapped]
    return found.reshape(layer.units, part.width)


def unit_rows(
    values: Float64[NDArray, "rows units*width"], width: int
) -> Float64[NDArray, "rows*width units"]:
    """Columns of channels, those of a unit side by side, as columns of units with more rows.

    ASSUME: the first channel of an attention head, or of a group, is compared with the first one
    of another, and so on: a unit of several channels is one that has several values at a position.
    """
    rows, channels = values.shape
    return values.reshape(rows, -1, width).swapaxes(1, 2).reshape(-1, channels // width)


def outgoing_rows(module: WeightedModule, how: Reading) -> Float64[NDArray, "rows channels"]:
    """A consumer's weights, one column per channel: a row is an output at a place of the kernel."""
    weight = as_array(module.weight)
    if isinstance(module, nn.Conv2d):
        ordered = np.moveaxis(weight[:, how.columns[:, 0]], 1, -1)
    else:
        ordered = np.moveaxis(weight[:, how.columns], 1, -1)
    return ordered.reshape(-1, len(how.columns))


def from_rows(
    rows: Float64[NDArray, "rows channels"], module: WeightedModule, how: Reading
) -> Float64[NDArray, "*shape"]:
    """The weights of a consumer again, from :func:`outgoing_rows`."""
    weight = np.empty(tuple(module.weight.shape))
    if isinstance(module, nn.Conv2d):
        outputs, _, *kernel = weight.shape
        weight[:, how.columns[:, 0]] = np.moveaxis(rows.reshape(outputs, *kernel, -1), -1, 1)
    else:
        outputs = len(weight)
        weight[:, how.columns] = np.moveaxis(rows.reshape(outputs, how.places, -1), -1, 1)
    return weight


def weighted(modules: Mapping[str, nn.Module], name: str) -> WeightedModule:
    """The Linear or convolution of that name."""
    module = modules[name]
    assert isinstance(module, Weighted)
    return module


def as_array(values: Tensor) -> Float64[NDArray, "*shape"]:
    """A tensor as an array in float64."""
    return values.detach().cpu().double().numpy()


def incoming_rows(layer: FoundLayer, modules: Mapping[str, nn.Module]) -> Dense:
    """The producers' weights, units x inputs, side by side where there are several."""
    weights, biases = [], []
    for part in layer.of_role("producer"):
        module = weighted(modules, part.module)
        weights.append(by_unit(as_array(module.weight), part, layer.units))
        if module.bias is not None:
            biases.append(by_unit(as_array(module.bias), part, layer.units).sum(axis=1))
    return Dense(np.concatenate(weights, axis=1), np.zeros(layer.units) + sum(biases))


def by_unit(
    values: Float64[NDArray, "*shape"], part: Part, units: int
) -> Float64[NDArray, "units _"]:
    """What a producer has for its outputs, side by side for the outputs of each unit."""
    return values[np.argsort(part.unit_of, kind="stable")].reshape(units, -1)


def unit_view(
    layer: FoundLayer,
    modules: Mapping[str, nn.Module],
    how: Mapping[str, Reading],
    measured: Mapping[str, Measured],
    *,
    scores: Mapping[str, Float64[NDArray, " units"]] | None = None,
    gates: Gates | None = None,
    seed: int = 0,
) -> UnitLayer:
    """A unit layer for techniques.

    ASSUME: its activations are what its first consumer reads, and its outgoing weights those of
    all consumers, one below the other. Rows where they were sampled, else rows of the same moments.
    """
    rows = []
    for consumer in layer.consumers:
        weights = outgoing_rows(weighted(modules, consumer), how[consumer])
        channels = channels_of(layer, consumer, how[consumer])
        rows.append(unit_rows(weights[:, channels.ravel()], channels.shape[1]))
    outgoing = np.concatenate(rows)
    recorded = None
    first = layer.consumers[0]
    if first in measured:
        channels, rows_of = channels_of(layer, first, how[first]).ravel(), measured[first].rows
        if rows_of is not None:
            recorded = UnitActivations(rows_of[:, channels])
        else:
            recorded = measured[first].moments.of(channels).activations
        recorded = replace(recorded, activations=unit_rows(recorded.activations, layer.width))
    return UnitLayer(
        layer.name, incoming_rows(layer, modules), Dense(outgoing, np.zeros(len(outgoing))),
        recorded, scores or {}, seed, measured_gates=gates,
    )  # fmt: skip


def renumbered(
    selection: Selection, numbers: Int64[NDArray, "units width"], total: int
) -> Selection:
    """A selection among other numbers: those of a consumer's channels for those of the units.

    A unit of several channels goes channel by channel, each with the same one of its partner.
    """
    removals = tuple(
        replace(
            removal,
            unit=int(of[removal.unit]),
            partner=None if removal.partner is None else int(of[removal.partner]),
            members=tuple(int(of[member]) for member in removal.members),
        )
        for removal in selection.removals
        for of in numbers.T
    )
    return Selection(total, removals)
