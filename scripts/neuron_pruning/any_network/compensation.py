"""What the kept units of any network get for the removed ones.

Every consumer of a layer is compensated by itself, from what it reads. Weights of removed units
become zero: the network computes what it will compute after the cut.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from numpy.typing import NDArray
from torch import Tensor, nn

from neuron_pruning.any_network.least_squares import refit
from neuron_pruning.any_network.moments import Measured, Moments, Reading
from neuron_pruning.any_network.options import LEAST_SQUARES
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
from neuron_pruning.models.dense import Dense
from neuron_pruning.pruning.compensations import compensate
from neuron_pruning.pruning.selection import Selection
from neuron_pruning.pruning.units import UnitLayer

WITHOUT_STATISTICS = ("none", "add", "fold")
# ASSUME: kernels of 3 x 3 on up to 256 channels: 42 MB of products per consumer.
PATCH_VALUES = 2304  # that a kernel sees, for which ``auto`` looks at patches


class LayerError(NamedTuple):
    """Mean square by which a consumer's outputs change, as a share of their variance.

    ASSUME: of a convolution, the sum over the places of its kernel, as if these were independent.
    """

    without_compensation: float
    with_compensation: float


def uses_patches(name: str, module: nn.Module) -> bool:
    """Whether a compensation looks at the patches that a consumer's kernels see."""
    if not isinstance(module, nn.Conv2d) or module.kernel_size == (1, 1):
        return False
    seen = module.in_channels * math.prod(module.kernel_size)
    return name == "lstsq_patches" or (name == "auto" and seen <= PATCH_VALUES)


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
    # Variance of each output after the change over that before it, where the rows are the outputs.
    variance_ratio: Float64[NDArray, " outputs"] | None = None


@dataclass(frozen=True)
class Consumers:
    """The consumers of a network's unit layers, and what was measured of them.

    Attributes:
        modules: of the network, by name.
        unpruned: of the unpruned network.
        found: its unit layers.
        readings: how the consumers are read.
        measured: what they read.
        alive: channels of the consumers that no earlier cut has removed.
    """

    modules: Mapping[str, nn.Module]
    unpruned: Mapping[str, nn.Module]
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
        alive, measured = self.alive[consumer], self.measured.get(consumer)
        if name in LEAST_SQUARES:
            assert measured is not None
            gone = np.isin(np.arange(len(alive)), channels[list(selection.removed)])
            return self._fitted(consumer, name, measured, alive, gone)
        held = self._holds_constant(consumer)
        moments = None if measured is None else measured.moments
        return _by_channels(module, how, moments, channels, selection, alive, name, held)

    def _fitted(
        self,
        consumer: str,
        name: str,
        measured: Measured,
        alive: Bool[NDArray, " channels"],
        gone: Bool[NDArray, " channels"],
    ) -> Change:
        """What a consumer gets by least squares, on its channels or on its kernels' patches."""
        module, how = weighted(self.modules, consumer), self.readings[consumer]
        unpruned = weighted(self.unpruned, consumer)
        constant = self._holds_constant(consumer)
        if uses_patches(name, module):
            assert measured.patches is not None
            weight, target = (
                as_array(m.weight).reshape(len(m.weight), -1) for m in (module, unpruned)
            )
            of = np.repeat(how.channel_of, weight.shape[1] // len(how.channel_of))
            fitted, added, error, ratio = _by_least_squares(
                weight, target, measured, measured.patches, alive[of], gone[of], constant
            )
            return Change(fitted.reshape(tuple(module.weight.shape)), added, error, ratio)
        fitted, added, error, ratio = _by_least_squares(
            outgoing_rows(module, how), outgoing_rows(unpruned, how), measured, measured.joint,
            alive, gone, constant and not pads_with_zeros(module),
        )  # fmt: skip
        single = len(fitted) == len(module.weight)
        return Change(
            from_rows(fitted, module, how), _by_output(added, module), error,
            ratio if single else None,
        )  # fmt: skip

    def _holds_constant(self, consumer: str) -> bool:
        return weighted(self.modules, consumer).bias is not None or consumer in self.found.norms

    @torch.no_grad()
    def apply(
        self, layer: FoundLayer, selection: Selection, name: str, rescale: bool = False
    ) -> dict[str, LayerError]:
        """Change the network for a selection of a layer's units, which stay in it, silenced.

        Returns:
            What the removal does to each consumer's outputs, where its input was measured.
        """
        if name == "fold":
            _average(self.modules, layer, selection)
        changes = self.changes(layer, selection, name)
        for consumer, change in changes.items():
            weight = weighted(self.modules, consumer).weight
            weight.copy_(torch.from_numpy(change.weight))
            fits_unpruned = name in LEAST_SQUARES and self.measured[consumer].beside_unpruned
            former = self.unpruned if fits_unpruned else self.modules
            if self._holds_constant(consumer):
                self._add(consumer, torch.from_numpy(change.constants), former)
            if rescale and change.variance_ratio is not None and consumer in self.found.norms:
                self._rescale(consumer, torch.from_numpy(change.variance_ratio), former)
        return {c: change.error for c, change in changes.items() if change.error is not None}

    def _add(self, consumer: str, constants: Tensor, to: Mapping[str, nn.Module]) -> None:
        """Add constants to a layer's outputs: to its bias, or to the mean that normalises them.

        They are added to what is there, or to what was there in the unpruned network.
        """
        bias, before = weighted(self.modules, consumer).bias, weighted(to, consumer).bias
        if bias is not None and before is not None:
            bias.copy_(before + constants.to(before))
            return
        (mean, _), (old, _) = (self._statistics(consumer, m) for m in (self.modules, to))
        mean.copy_(old - constants.to(old))

    def _rescale(self, consumer: str, ratio: Tensor, of: Mapping[str, nn.Module]) -> None:
        """Give what normalises a layer's outputs so much of the variance that there is, or was."""
        (_, variance), (_, old) = (self._statistics(consumer, m) for m in (self.modules, of))
        variance.copy_(old * ratio.to(old))

    def _statistics(self, consumer: str, modules: Mapping[str, nn.Module]) -> tuple[Tensor, Tensor]:
        """Running mean and variance of what normalises a layer's outputs."""
        norm = modules[self.found.norms[consumer]]
        assert isinstance(norm, BatchNorm)
        assert norm.running_mean is not None and norm.running_var is not None
        return norm.running_mean, norm.running_var


def _by_channels(
    module: WeightedModule,
    how: Reading,
    moments: Moments | None,
    channels: Int64[NDArray, "units width"],
    selection: Selection,
    alive: Bool[NDArray, " channels"],
    name: str,
    held: bool,
) -> Change:
    """What a consumer gets, channel by channel; without constants where nothing holds them."""
    rows = outgoing_rows(module, how)
    there = np.flatnonzero(alive)
    constant = held and not pads_with_zeros(module)
    known = None if moments is None else moments.of(there)
    view = _view(rows[:, there], known, constant)
    chosen = renumbered(selection, np.searchsorted(there, channels), len(there))
    weights = compensate(view, chosen, "add" if name == "fold" else name)
    if not held:
        weights.outgoing.bias[:] = 0.0
    rows, kept = np.zeros_like(rows), list(chosen.kept)
    rows[:, there[kept]] = weights.outgoing.weight[:, kept]
    error = None
    if known is not None:
        before = view.outgoing.weight
        silenced, given = (
            np.where(np.isin(np.arange(len(there)), kept), values, 0.0)
            for values in (before, weights.outgoing.weight)
        )
        error = _error(known, before, silenced, Dense(given, weights.outgoing.bias))
    return Change(from_rows(rows, module, how), _by_output(weights.outgoing.bias, module), error)


def _by_output(
    biases: Float64[NDArray, " rows"], module: WeightedModule
) -> Float64[NDArray, " outputs"]:
    """Constants of a consumer's outputs from those at the places of its kernel."""
    return biases.reshape(len(module.weight), -1).sum(axis=1)


def _by_least_squares(
    rows: Float64[NDArray, "rows columns"],
    target: Float64[NDArray, "rows columns"],
    measured: Measured,
    moments: Moments,
    alive: Bool[NDArray, " columns"],
    gone: Bool[NDArray, " columns"],
    constant: bool,
) -> tuple[
    Float64[NDArray, "rows columns"],
    Float64[NDArray, " rows"],
    LayerError,
    Float64[NDArray, " rows"],
]:
    """Weights and constants by least squares on the columns that stay.

    Where the unpruned network was measured beside the pruned one, its outputs are what is fitted,
    by what the consumer reads now: errors of the cuts in front are made up for as well. Columns of
    the unpruned network stand behind those of the pruned one, and all of them are removed.
    """
    there, columns = np.flatnonzero(alive), len(alive)
    if measured.beside_unpruned:
        chosen = np.concatenate([there, columns + np.arange(columns)])
        outgoing = np.hstack([np.zeros((len(rows), len(there))), target])
        leaves = np.concatenate([gone[there], np.ones(columns, dtype=bool)])
    else:
        chosen, outgoing, leaves = there, rows[:, there], gone[there]
    known = moments.of(chosen)
    given = refit(outgoing, known, leaves, constant)
    fitted, silenced = np.zeros_like(rows), np.zeros_like(outgoing)
    fitted[:, there] = given.weight[:, : len(there)]
    silenced[:, : len(there)] = np.where(leaves[: len(there)], 0.0, rows[:, there])
    before, after = _variances(outgoing, known), _variances(given.weight, known)
    ratio = np.divide(after, before, out=np.ones_like(before), where=before > 0.0)
    return fitted, given.bias, _error(known, outgoing, silenced, given), ratio


def _variances(
    weights: Float64[NDArray, "rows columns"], moments: Moments
) -> Float64[NDArray, " rows"]:
    """Variance of each output, from the moments of what is read."""
    found = ((weights @ moments.products) * weights).sum(axis=1) / moments.rows
    return np.maximum(found, 0.0)  # rounding


def _error(
    moments: Moments,
    outgoing: Float64[NDArray, "rows columns"],
    silenced: Float64[NDArray, "rows columns"],
    given: Dense,
) -> LayerError:
    """What a removal does to a consumer's outputs, from the moments of what it reads."""

    def apart(weights: NDArray[np.float64], constants: NDArray[np.float64] | float) -> float:
        shifts = weights @ moments.mean + constants
        return float((_variances(weights, moments) + shifts**2).sum())

    spread = float(_variances(outgoing, moments).sum())
    scale = spread if spread > 0.0 else 1.0
    lost, left = apart(silenced - outgoing, 0.0), apart(given.weight - outgoing, given.bias)
    return LayerError(lost / scale, left / scale)


def _view(
    outgoing: Float64[NDArray, "rows channels"], moments: Moments | None, constant: bool
) -> UnitLayer:
    recorded = None if moments is None else moments.activations
    channels = outgoing.shape[1]
    incoming = Dense(np.zeros((channels, 1)), np.zeros(channels))
    return UnitLayer(
        "consumer", incoming, Dense(outgoing, np.zeros(len(outgoing))), recorded,
        takes_constant=constant,
    )  # fmt: skip


def _average(modules: Mapping[str, nn.Module], layer: FoundLayer, selection: Selection) -> None:
    """Give a merge target the mean of all that its cluster's units have (Wang et al. 2025).

    ASSUME: of what normalisations and depthwise convolutions have for each unit, too.
    """
    clusters = selection.clusters
    for part in layer.parts:
        if part.role not in ("producer", "channelwise"):
            continue
        module = modules[part.module]
        for tensor in [*module.parameters(recurse=False), *module.buffers(recurse=False)]:
            if tensor.ndim == 0 or len(tensor) != len(part.unit_of):
                continue
            before = tensor.clone()
            for target, members in clusters.items():
                if len(members) > 1:
                    among = np.stack([np.flatnonzero(part.unit_of == unit) for unit in members])
                    at = np.flatnonzero(part.unit_of == target)
                    tensor[at] = before[torch.from_numpy(among)].mean(dim=0)
