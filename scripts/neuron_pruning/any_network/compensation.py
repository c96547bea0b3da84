"""What the kept units of any network get for the removed ones.

Every consumer of a layer is compensated by itself, from what it reads. Weights of removed units
become zero: the network computes what it will compute after the cut.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from numpy.typing import NDArray
from torch import Tensor, nn

from neuron_pruning.any_network.moments import Measured, Moments, Reading, representative_rows
from neuron_pruning.any_network.tracing import BatchNorm, WeightedModule
from neuron_pruning.any_network.unit_layers import FoundLayer, FoundLayers
from neuron_pruning.any_network.views import (
    as_array,
    channels_of,
    from_rows,
    outgoing_rows,
    renumbered,
    weighted,
)
from neuron_pruning.core.errors import UserError
from neuron_pruning.models.dense import Dense
from neuron_pruning.pruning.compensations import compensate
from neuron_pruning.pruning.selection import Removal, Selection
from neuron_pruning.pruning.units import UnitActivations, UnitLayer

NetworkCompensation = Literal[
    "none", "bias", "add", "scaled", "affine", "lstsq", "lstsq_patches", "ridge", "fold"
]
WITHOUT_STATISTICS = ("none", "add", "fold")


class LayerError(NamedTuple):
    """Mean square by which a consumer's outputs change, as a share of their variance.

    Of a convolution, the sum over the places of its kernel; the places are taken as independent.
    """

    without_compensation: float
    with_compensation: float


def check_compensation(name: str) -> None:
    """Refuse, with a UserError, a compensation that networks of any kind cannot have."""
    if name not in get_args(NetworkCompensation):
        known = ", ".join(get_args(NetworkCompensation))
        raise UserError(f"compensation must be one of {known}; not {name!r}")


def uses_patches(name: str, module: nn.Module) -> bool:
    """Whether a compensation looks at the patches that a consumer's kernels see."""
    return (
        name == "lstsq_patches" and isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1)
    )


def pads_with_zeros(module: nn.Module) -> bool:
    """Whether a convolution's kernels see zeros beyond the border of what it reads."""
    if not isinstance(module, nn.Conv2d) or module.padding_mode != "zeros":
        return False
    if isinstance(module.padding, str):
        return module.padding == "same" and module.kernel_size != (1, 1)
    return any(module.padding)


class Change(NamedTuple):
    """What a consumer gets: weights, zero for removed units, and constants for its outputs."""

    weight: Float64[NDArray, "*shape"]
    constants: Float64[NDArray, " outputs"]
    error: LayerError | None  # where its input was measured


@dataclass(frozen=True)
class Consumers:
    """The consumers of a network's unit layers, and what was measured of them.

    Attributes:
        modules: of the network, by name.
        found: its unit layers.
        readings: how the consumers are read.
        measured: what they read.
        alive: channels of the consumers that no earlier cut has removed.
    """

    modules: Mapping[str, nn.Module]
    found: FoundLayers
    readings: Mapping[str, Reading]
    measured: Mapping[str, Measured]
    alive: Mapping[str, Bool[NDArray, " channels"]]

    def changes(self, layer: FoundLayer, selection: Selection, name: str) -> dict[str, Change]:
        """What each consumer of a layer gets for a selection of its units."""
        return {c: self._change(c, layer, selection, name) for c in layer.consumers}

    def _change(self, consumer: str, layer: FoundLayer, selection: Selection, name: str) -> Change:
        module, how = weighted(self.modules, consumer), self.readings[consumer]
        channels = channels_of(layer, consumer, how)
        if (channels < 0).any():
            raise UserError(f"{consumer} reads only some of the units of {layer.name}")
        alive, measured = self.alive[consumer], self.measured.get(consumer)
        if uses_patches(name, module):
            assert measured is not None and measured.patches is not None
            held = self._holds_constant(consumer)
            return _by_patches(module, how, measured.patches, channels, selection, alive, held)
        constant = self._holds_constant(consumer) and not pads_with_zeros(module)
        moments = None if measured is None else measured.moments
        return _by_channels(module, how, moments, channels, selection, alive, name, constant)

    def _holds_constant(self, consumer: str) -> bool:
        return weighted(self.modules, consumer).bias is not None or consumer in self.found.constants

    @torch.no_grad()
    def apply(self, layer: FoundLayer, selection: Selection, name: str) -> dict[str, LayerError]:
        """Change the network for a selection of a layer's units, which stay in it, unheard.

        Returns:
            What the removal does to each consumer's outputs, where its input was measured.
        """
        if name == "fold":
            _average(self.modules, layer, selection)
        changes = self.changes(layer, selection, name)
        for consumer, change in changes.items():
            weight = weighted(self.modules, consumer).weight
            weight.copy_(torch.from_numpy(change.weight))
            if self._holds_constant(consumer):
                self._add(consumer, torch.from_numpy(change.constants))
        return {c: change.error for c, change in changes.items() if change.error is not None}

    def _add(self, consumer: str, constants: Tensor) -> None:
        """Add constants to a layer's outputs: to its bias, or to the mean that normalises them."""
        bias = weighted(self.modules, consumer).bias
        if bias is not None:
            bias.add_(constants.to(bias))
        else:
            norm = self.modules[self.found.constants[consumer]]
            assert isinstance(norm, BatchNorm) and norm.running_mean is not None
            mean = norm.running_mean
            mean.sub_(constants.to(mean))


def _by_channels(
    module: WeightedModule,
    how: Reading,
    moments: Moments | None,
    channels: Int64[NDArray, " units"],
    selection: Selection,
    alive: Bool[NDArray, " channels"],
    name: str,
    constant: bool,
) -> Change:
    """What a consumer gets, channel by channel."""
    rows = outgoing_rows(module, how)
    there = np.flatnonzero(alive)
    view = _view(rows[:, there], None if moments is None else moments.of(there), constant)
    chosen = renumbered(selection, np.searchsorted(there, channels), len(there))
    weights = compensate(view, chosen, {"lstsq_patches": "lstsq", "fold": "add"}.get(name, name))
    rows = np.zeros_like(rows)
    kept = list(chosen.kept)
    rows[:, there[kept]] = weights.outgoing.weight[:, kept]
    added = weights.outgoing.bias.reshape(len(module.weight), -1).sum(axis=1)
    error = None if moments is None else _error(view, chosen, weights.outgoing)
    return Change(from_rows(rows, module, how), added, error)


def _by_patches(
    module: WeightedModule,
    how: Reading,
    moments: Moments,
    channels: Int64[NDArray, " units"],
    selection: Selection,
    alive: Bool[NDArray, " channels"],
    constant: bool,
) -> Change:
    """The same by least squares on the patches that the kernels see, border included."""
    weight = as_array(module.weight)
    outputs, _, *kernel = weight.shape
    size = int(np.prod(kernel))
    channel_of = np.repeat(how.channel_of, size)
    there = np.flatnonzero(alive[channel_of])
    gone = np.isin(channel_of[there], channels[list(selection.removed)])
    removals = tuple(Removal(int(column), "ranked") for column in np.flatnonzero(gone))
    flat = weight.reshape(outputs, -1)
    view = _view(flat[:, there], moments.of(there), constant)
    chosen = Selection(len(there), removals)
    weights = compensate(view, chosen, "lstsq")
    flat = np.zeros_like(flat)
    flat[:, there[~gone]] = weights.outgoing.weight[:, ~gone]
    error = _error(view, chosen, weights.outgoing)
    return Change(flat.reshape(weight.shape), weights.outgoing.bias, error)


def _error(view: UnitLayer, selection: Selection, compensated: Dense) -> LayerError:
    """What a removal does to a consumer's outputs, from the moments of what it reads."""
    outputs = view.activations @ view.outgoing.weight.T
    spread = float(((outputs - outputs.mean(axis=0)) ** 2).sum())
    removed, kept = list(selection.removed), list(selection.kept)
    lost = view.activations[:, removed] @ view.outgoing.weight[:, removed].T
    left = outputs - view.activations[:, kept] @ compensated.weight[:, kept].T - compensated.bias
    scale = spread if spread > 0.0 else 1.0
    return LayerError(float((lost**2).sum()) / scale, float((left**2).sum()) / scale)


def _view(
    outgoing: Float64[NDArray, "rows channels"], moments: Moments | None, constant: bool
) -> UnitLayer:
    recorded = None
    if moments is not None:
        within = (float(moments.low.min()), float(moments.high.max()))
        recorded = UnitActivations(representative_rows(moments), value_range=within)
    channels = outgoing.shape[1]
    incoming = Dense(np.zeros((channels, 1)), np.zeros(channels))
    return UnitLayer(
        "consumer", incoming, Dense(outgoing, np.zeros(len(outgoing))), recorded,
        takes_constant=constant,
    )  # fmt: skip


def _average(modules: Mapping[str, nn.Module], layer: FoundLayer, selection: Selection) -> None:
    """Give a merge target the mean of all that its cluster's units have (Wang et al. 2025)."""
    clusters: dict[int, list[int]] = {unit: [unit] for unit in range(layer.units)}
    for removal in selection.removals:
        if removal.rule == "similar" and removal.merge_target is not None:
            clusters[removal.merge_target] += clusters.pop(removal.unit)
    for part in layer.parts:
        if part.role == "consumer":
            continue
        module = modules[part.module]
        for tensor in [*module.parameters(recurse=False), *module.buffers(recurse=False)]:
            if tensor.ndim == 0 or len(tensor) != len(part.unit_of):
                continue
            before = tensor.clone()
            for target, members in clusters.items():
                if len(members) > 1:
                    among = torch.from_numpy(np.flatnonzero(np.isin(part.unit_of, members)))
                    at = np.flatnonzero(part.unit_of == target)
                    tensor[at] = before[among].mean(dim=0)
