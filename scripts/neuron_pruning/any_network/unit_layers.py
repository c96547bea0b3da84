"""The unit layers of a network: which units can be removed, and everything that goes with them.

A unit layer has *producers*, whose outputs are its units; modules that work on each unit alone,
such as normalisation and depthwise convolutions; and *consumers*, which read the units. Several
producers write the same units where their outputs are added, as along a residual stream, or
multiplied, as by squeeze-and-excitation.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int64
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor, nn

from neuron_pruning.any_network.surgery import Part, removed_as_masked
from neuron_pruning.any_network.tracing import (
    OUTPUT,
    BatchNorm,
    Call,
    Channelwise,
    Trace,
    Weighted,
    channel_axis,
    is_depthwise,
    trace,
    walk,
)
from neuron_pruning.core.errors import UserError

Kind = Literal["linear", "convolution"]


@dataclass(frozen=True)
class FoundLayer:
    """Units that can be removed, and the parts of the network that go with them.

    Attributes:
        name: of the first producer, a module's name in the network.
        kind: of that producer.
        units: how many.
        parts: producers, channel-by-channel modules and consumers, in the order of their calls.
        coupled: whether several producers write the units, as along a residual stream. Gates,
            whose one value per channel multiplies all positions, do not count.
        normalisation: name of the first normalisation between producer and consumers.
        activation: the nonlinear function in front of the first consumer.
        parameters: share of the network's parameters that goes with all of the units.
        multiply_adds: likewise, of its multiply-adds.
    """

    name: str
    kind: Kind
    units: int
    parts: tuple[Part, ...]
    coupled: bool
    normalisation: str | None
    activation: str | None
    parameters: float
    multiply_adds: float

    def of_role(self, role: str) -> tuple[Part, ...]:
        """Its parts of one role."""
        return tuple(part for part in self.parts if part.role == role)

    @property
    def producers(self) -> tuple[str, ...]:
        """Names of the modules that write the units."""
        return tuple(part.module for part in self.of_role("producer"))

    @property
    def consumers(self) -> tuple[str, ...]:
        """Names of the modules that read the units."""
        return tuple(part.module for part in self.of_role("consumer"))


@dataclass(frozen=True)
class NoLayer:
    """A Linear or convolution whose outputs are no units that can be removed, and why."""

    name: str
    kind: Kind
    reason: str


@dataclass(frozen=True)
class FoundLayers:
    """Unit layers of a network in the order of their calls, and the layers that are none.

    Attributes:
        layers: by name.
        refused: by name.
        total_parameters: of the network.
        total_multiply_adds: likewise, per image, of all that multiplies matrices or convolves.
        costs: multiply-adds of each Linear and convolution, per image.
        norms: by layer, the batch normalisation that alone reads its outputs, if there is one.
    """

    layers: Mapping[str, FoundLayer]
    refused: Mapping[str, NoLayer]
    total_parameters: int
    total_multiply_adds: int
    costs: Mapping[str, int]
    norms: Mapping[str, str]

    def __getitem__(self, name: str) -> FoundLayer:
        if name in self.layers:
            return self.layers[name]
        if name in self.refused:
            raise UserError(f"{name} cannot be pruned: {self.refused[name].reason}")
        owner = next((f.name for f in self.layers.values() if name in f.producers), None)
        if owner is not None:
            raise UserError(f"{name} writes the units of {owner}: name that layer")
        raise UserError(f"the network has no layer {name!r}; it has {', '.join(self.layers)}")

    def why_not(self) -> str:
        """One line per layer whose units cannot be removed."""
        return "\n".join(f"  {name}: {layer.reason}" for name, layer in self.refused.items())

    @property
    def inner(self) -> tuple[str, ...]:
        """Names of the layers with units of their own: those that are pruned by default."""
        return tuple(name for name, layer in self.layers.items() if not layer.coupled)


def find_unit_layers(
    model: nn.Module, example_inputs: Tensor, *, verify: bool = True
) -> FoundLayers:
    """Every unit layer of a network, and for every other Linear or convolution why it is none.

    Args:
        model: any image classifier; it is left as it is, its mode included.
        example_inputs: an image or more, N x channels x height x width.
        verify: remove half of the units of every layer from a copy, and refuse the layers without
            which it does not compute the same as with these units silenced.

    Raises:
        UserError: the network does not run on the example.
    """
    traced = trace(model, example_inputs)
    found = _found(model, traced)
    if verify:
        found = verified(model, example_inputs, found)
    return _readable(model, found)


def _found(model: nn.Module, traced: Trace) -> FoundLayers:
    costs = {
        name: call.times * call.positions * call.module.weight.numel()
        for name, call in traced.readers.items()
        if isinstance(call.module, Weighted)
    }
    # What no module computes, such as the products of attention, counts too.
    once = sum(cost // traced.readers[name].times for name, cost in costs.items())
    total = sum(costs.values()) + max(0, traced.multiply_adds - once)
    parameters = sum(p.numel() for p in model.parameters())
    reasons = _own_reasons(traced)
    layers: dict[str, FoundLayer] = {}
    for writers in _coupled_writers(traced):
        parts_or_reason = _parts(writers, traced, reasons)
        if isinstance(parts_or_reason, str):
            for name in writers:
                reasons.setdefault(name, parts_or_reason)
        else:
            layer = _described(parts_or_reason, traced)
            layers[layer.name] = replace(
                layer,
                parameters=layer.parameters / parameters,
                multiply_adds=_share(layer, costs) / max(1, total),
            )
    refused = {
        name: NoLayer(name, _kind(m), reasons[name])
        for name, m in _weighted(model)
        if name in reasons
    }
    return FoundLayers(layers, refused, parameters, total, costs, _norms(traced))


def _weighted(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    return ((n, m) for n, m in model.named_modules() if isinstance(m, Weighted))


def _kind(module: nn.Module) -> Kind:
    return "linear" if isinstance(module, nn.Linear) else "convolution"


def _own_reasons(traced: Trace) -> dict[str, str]:
    """Why layers are no unit layers, as far as one writer alone says it."""
    reasons = {name: "the network uses its weights without calling it" for name in traced.unused}
    for name, call in traced.readers.items():
        if is_depthwise(call.module):
            reasons[name] = "a depthwise convolution has no units of its own: its input's go on"
    shared = _sharing(traced)
    for name, call in traced.writers.items():
        reason = _reason(name, call, traced, shared)
        if reason is not None:
            reasons[name] = reason
    return reasons


def _sharing(traced: Trace) -> dict[str, str]:
    """By module that has parameters of another: that module."""
    owners: dict[int, list[str]] = {}
    for name, call in traced.readers.items():
        for parameter in call.module.parameters(recurse=False):
            owners.setdefault(id(parameter), []).append(name)
    return {
        name: next(other for other in names if other != name)
        for names in owners.values()
        if len(names) > 1
        for name in names
    }


def _reason(name: str, call: Call, traced: Trace, shared: Mapping[str, str]) -> str | None:
    module = call.module
    if call.times > 1:
        return f"the network calls it {call.times} times on different inputs"
    if isinstance(module, nn.Conv2d) and module.groups > 1:
        return f"a grouped convolution ({module.groups} groups) has no channel of its own"
    if hasattr(module, "parametrizations") or len(list(module.parameters(recurse=False))) == 0:
        return "its weights are computed from others (a parametrisation); remove that first"
    if name in shared:
        return f"it shares its weights with {shared[name]}"
    if name in traced.mixers:
        return f"{traced.mixers[name]} mixes its outputs"
    readers = dict(walk(traced, name))
    if not readers:
        return "no layer reads its outputs"
    for reader, reach in readers.items():
        if reader == OUTPUT:
            return "its outputs are those of the network"
        if len(reach.mixed):
            touched = traced.parameters[reader]
            through = f" (by {touched[0].rpartition('.')[0] or touched[0]})" if touched else ""
            return f"its outputs are mixed with one another before {reader} reads them{through}"
        if traced.parameters[reader]:
            return f"the parameter {traced.parameters[reader][0]} works on its outputs"
        target = traced.readers[reader]
        if (
            isinstance(target.module, nn.Conv2d)
            and not is_depthwise(target.module)
            and target.module.groups > 1
        ):
            return (
                f"{reader} reads its outputs, a grouped convolution ({target.module.groups} groups)"
            )
        if target.times > 1:
            return f"{reader} reads its outputs, and is called {target.times} times"
        if reader in shared:
            return f"{reader} reads its outputs, and shares its weights with {shared[reader]}"
    return None


def _coupled_writers(traced: Trace) -> list[list[str]]:
    """Writers that share columns of a reader, together; in the order of their calls."""
    names = list(traced.writers)
    index = {name: i for i, name in enumerate(names)}
    pairs = []
    for by_writer in traced.reaches.values():
        owner: dict[int, int] = {}
        for name, reach in by_writer.items():
            for column in np.unique(reach.columns).tolist():
                first = owner.setdefault(column, index[name])
                pairs.append((first, index[name]))
    edges = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    matrix = coo_array((np.ones(len(edges)), edges.T), shape=(len(names), len(names)))
    labels = connected_components(matrix, directed=False)[1]
    groups: dict[int, list[str]] = {}
    for name, label in zip(names, labels.tolist(), strict=True):
        groups.setdefault(label, []).append(name)
    return list(groups.values())


def _parts(writers: list[str], traced: Trace, reasons: Mapping[str, str]) -> tuple[Part, ...] | str:
    """Parts of the layer that these writers make, or why they make none."""
    for name in writers:
        if name in reasons:
            others = [other for other in writers if other != name]
            return f"{name} writes the same units, and {reasons[name]}" if others else reasons[name]
    units, count = _units(writers, traced)
    if count < 2:
        return "it has a single unit"
    parts = []
    for name in writers:
        if len(np.unique(units[name])) < len(units[name]):
            return f"a unit of it is two channels of {name}"
        if len(units[name]) < count:
            return f"{name} writes only some of its units"
        parts.append(Part(name, "producer", units[name]))
    readers: dict[str, NDArray[np.int64]] = {}
    for name in writers:
        for reader, reach in walk(traced, name):
            call = traced.readers[reader]
            columns = call.inputs.shape[channel_axis(call.module)]
            of_columns = readers.setdefault(reader, np.full(columns, -1))
            of_columns[reach.columns] = units[name][reach.channels]
    for reader, of_columns in readers.items():
        module = traced.readers[reader].module
        each = isinstance(module, Channelwise) or is_depthwise(module)
        if not each and len(np.setdiff1d(np.arange(count), of_columns)):
            return f"{reader} reads only some of its units"
        parts.append(Part(reader, "channelwise" if each else "consumer", of_columns))
    if not any(part.role == "consumer" for part in parts):
        return "no layer reads its units"
    order = list(traced.readers)
    return tuple(sorted(parts, key=lambda part: order.index(part.module)))


def _units(writers: list[str], traced: Trace) -> tuple[dict[str, Int64[NDArray, " _"]], int]:
    """The unit of each writer's channels, and how many units there are."""
    starts, total = {}, 0
    for name in writers:
        starts[name] = total
        call = traced.writers[name]
        total += call.channels
    channels = total
    edges = []
    for by_writer in traced.reaches.values():
        present = [(name, by_writer[name]) for name in writers if name in by_writer]
        if present:
            ends = np.concatenate([reach.columns for _, reach in present]) + total
            begins = np.concatenate([reach.channels + starts[name] for name, reach in present])
            edges.append(np.stack([begins, ends]))
            total = max(total, int(ends.max()) + 1)
    both = np.concatenate(edges, axis=1)
    matrix = coo_array((np.ones(both.shape[1]), both), shape=(total, total))
    labels = connected_components(matrix, directed=False)[1][:channels]
    # Units by the first channel that they have.
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    ranks = np.argsort(np.argsort(first))
    numbered = ranks[inverse]
    ends_of = [*list(starts.values())[1:], channels]
    units = {n: numbered[s:e] for (n, s), e in zip(starts.items(), ends_of, strict=True)}
    return units, len(first)


def _described(parts: tuple[Part, ...], traced: Trace) -> FoundLayer:
    """A layer of these parts; its ``parameters`` are a number yet."""
    producers = [part for part in parts if part.role == "producer"]
    consumer = next(part for part in parts if part.role == "consumer")
    norms = [
        part.module
        for part in parts
        if part.role == "channelwise" and isinstance(traced.readers[part.module].module, BatchNorm)
    ]
    places = [traced.writers[part.module].positions for part in producers]
    writing = sum(p > 1 for p in places) or len(places)  # a gate writes one value per image
    name, units = producers[0].module, int(producers[0].unit_of.max()) + 1
    count = sum(part.size(traced.readers[part.module].module) for part in parts)
    activations = traced.activations[consumer.module]
    return FoundLayer(
        name, _kind(traced.writers[name].module), units, parts, writing > 1,
        norms[0] if norms else None, activations[0] if activations else None, count, 0.0,
    )  # fmt: skip


def _share(layer: FoundLayer, costs: Mapping[str, int]) -> float:
    """Multiply-adds that go with all units of a layer."""
    return sum(
        costs[part.module] * (part.unit_of >= 0).mean()
        for part in layer.parts
        if part.module in costs
    )


def _norms(traced: Trace) -> dict[str, str]:
    """Batch normalisations that alone read the outputs of a layer, by that layer."""
    found: dict[str, str] = {}
    for name, call in traced.writers.items():
        for reader, _ in walk(traced, name):
            target = traced.readers[reader]
            measures = (
                isinstance(target.module, BatchNorm) and target.module.running_mean is not None
            )
            if measures and target.times == 1 and torch.equal(target.inputs, call.written):
                found[name] = reader
    if not found:
        return found
    # Where nothing else reads them, all that depends on them does so by the normalisation.
    read = [call.inputs.sum() for call in traced.readers.values() if call.inputs.requires_grad]
    total = torch.stack(read).sum()
    pairs = [(traced.writers[n].written, traced.readers[r].inputs) for n, r in found.items()]
    gradients = torch.autograd.grad(total, [t for pair in pairs for t in pair], retain_graph=True)
    alone = map(torch.allclose, gradients[::2], gradients[1::2])
    return {name: reader for (name, reader), only in zip(found.items(), alone, strict=True) if only}


def _readable(model: nn.Module, found: FoundLayers) -> FoundLayers:
    """Without the layers whose units are blocks of columns beside others of another size."""
    read: dict[str, list[tuple[str, NDArray[np.int64]]]] = {}
    for layer in found.layers.values():
        for part in layer.of_role("consumer"):
            read.setdefault(part.module, []).append((layer.name, part.unit_of))
    odd: dict[str, str] = {}
    for consumer, maps in read.items():
        sizes = {name: set(np.bincount(of[of >= 0]).tolist()) for name, of in maps}
        rest = {1} if sum((of >= 0).sum() for _, of in maps) < len(maps[0][1]) else set[int]()
        if len(rest.union(*sizes.values())) > 1:
            reason = f"{consumer} reads units with unlike numbers of columns"
            odd |= {name: reason for name, of in sizes.items() if of != {1}}
    return _readable(model, _without(model, found, odd)) if odd else found


def verified(model: nn.Module, example: Tensor, found: FoundLayers) -> FoundLayers:
    """Without the layers that cannot be removed as planned; see :func:`removed_as_masked`."""
    return _without(model, found, _not_removable(model, example, [*found.layers.values()]))


def _without(model: nn.Module, found: FoundLayers, reasons: Mapping[str, str]) -> FoundLayers:
    """Without some layers, which are refused for these reasons."""
    layers = {name: layer for name, layer in found.layers.items() if name not in reasons}
    modules = dict(model.named_modules())
    refused = dict(found.refused)
    for name, reason in reasons.items():
        for producer in found.layers[name].producers:
            refused[producer] = NoLayer(producer, _kind(modules[producer]), reason)
    return replace(found, layers=layers, refused=refused)


def _not_removable(
    model: nn.Module, example: Tensor, layers: Sequence[FoundLayer]
) -> dict[str, str]:
    """Why some of these layers cannot be removed as planned: halves of halves where one cannot."""
    reason = removed_as_masked(model, example, layers) if layers else None
    if reason is None:
        return {}
    if len(layers) == 1:
        return {layers[0].name: reason}
    middle = len(layers) // 2
    halves = (layers[:middle], layers[middle:])
    return {n: r for half in halves for n, r in _not_removable(model, example, half).items()}
