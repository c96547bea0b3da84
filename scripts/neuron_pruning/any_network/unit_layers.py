"""The unit layers of a network: which units can be removed, and everything that goes with them.

A unit layer has *producers*, whose outputs are its units; modules that work on each unit alone,
such as normalisation and depthwise convolutions; and *consumers*, which read the units. Several
producers write the same units where their outputs are added, as along a residual stream, or
multiplied, as by squeeze-and-excitation.

A unit is a channel, or several that can only go together: an attention head with its rows of
query, key and value, or a group of a grouped convolution with what it reads and what it writes.
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

from neuron_pruning.any_network.network_copy import unwrapped
from neuron_pruning.any_network.surgery import Part, Role, removed_as_masked
from neuron_pruning.any_network.tracing import (
    OUTPUT,
    BatchNorm,
    Call,
    Channelwise,
    Trace,
    Weighted,
    channel_axis,
    is_depthwise,
    is_grouped,
    trace,
    walk,
)
from neuron_pruning.core.errors import UserError, did_you_mean
from neuron_pruning.pruning.angles import Centring

Kind = Literal["linear", "convolution", "heads", "groups"]


@dataclass(frozen=True)
class FoundLayer:
    """Units that can be removed, and the parts of the network that go with them.

    Attributes:
        name: of the first producer, a module's name in the network.
        kind: of that producer; ``heads``: its units are attention heads; ``groups``: groups of a
            grouped convolution and all that goes with them.
        units: how many.
        parts: producers, channel-by-channel modules and consumers, in the order of their calls;
            behind them the modules that state the number of heads.
        coupled: whether several producers write the units, as along a residual stream, or query,
            key and value those of attention. Gates, whose one value per channel multiplies all
            positions, and grouped convolutions do not count.
        normalisation: name of the first normalisation between producer and consumers.
        activation: the nonlinear function in front of the first consumer.
        parameters: share of the network's parameters that goes with all of the units.
        multiply_adds: likewise, of its multiply-adds.
        products: multiply-adds per image of attention's products, which go with all of the units.
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
    products: int = 0

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

    @property
    def centring(self) -> Centring:
        """What its activations are centred about for angles: 0.5 for sigmoids, as in the paper."""
        return "half" if self.activation == "sigmoid" else "mean"

    @property
    def width(self) -> int:
        """Channels of each unit, as its first consumer reads them."""
        return self.of_role("consumer")[0].width

    @property
    def owners(self) -> tuple[str, ...]:
        """Names of the modules that state the number of heads, if these are its units."""
        return tuple(dict.fromkeys(part.module for part in self.of_role("heads")))


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
        meant = did_you_mean(str(name), self.layers)
        raise UserError(
            f"the network has no layer {name!r}; it has {', '.join(self.layers)}{meant}"
        )

    def why_not(self) -> str:
        """One line per layer whose units cannot be removed."""
        return "\n".join(f"  {name}: {layer.reason}" for name, layer in self.refused.items())

    @property
    def inner(self) -> tuple[str, ...]:
        """Names of the layers with units of their own: those that are pruned by default."""
        return tuple(name for name, layer in self.layers.items() if not layer.coupled)


@torch.inference_mode(False)
@torch.enable_grad()
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
    model = unwrapped(model)
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
    reasons = _own_reasons(model, traced)
    layers: dict[str, FoundLayer] = {}
    modules = dict(model.named_modules())
    for writers in _coupled_writers(traced):
        parts_or_reason = _parts(writers, traced, reasons)
        if isinstance(parts_or_reason, str):
            for name in writers:
                reasons.setdefault(name, parts_or_reason)
        else:
            layer = _described(parts_or_reason, traced, modules)
            layers[layer.name] = replace(
                layer,
                parameters=layer.parameters / parameters,
                multiply_adds=(_share(layer, costs) + layer.products) / max(1, total),
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


def _own_reasons(model: nn.Module, traced: Trace) -> dict[str, str]:
    """Why layers are no unit layers, as far as one writer alone says it."""
    reasons = {name: "the network uses its weights without calling it" for name in traced.unused}
    for name in traced.unused:
        if isinstance(model.get_submodule(_parent(name)), nn.MultiheadAttention):
            reasons[name] = (
                f"{_parent(name)} is an nn.MultiheadAttention, which cannot lose heads: all of "
                "them together must be as wide as its input"
            )
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
    if hasattr(module, "parametrizations") or len(list(module.parameters(recurse=False))) == 0:
        return "its weights are computed from others (a parametrisation); remove that first"
    if name in shared:
        return f"it shares its weights with {shared[name]}"
    if is_grouped(module):
        read = [reach.columns for reach in traced.reaches[name].values()]
        if len(np.unique(np.concatenate([*read, []]))) < call.inputs.shape[1]:
            return "a grouped convolution that reads more than the units of other layers"
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
        # What attention has for each head goes with the heads.
        if traced.parameters[reader] and not _reads_heads(traced, reader):
            return f"the parameter {traced.parameters[reader][0]} works on its outputs"
        target = traced.readers[reader]
        if target.times > 1:
            return f"{reader} reads its outputs, and is called {target.times} times"
        if reader in shared:
            return f"{reader} reads its outputs, and shares its weights with {shared[reader]}"
    return None


def _parent(name: str) -> str:
    return name.rpartition(".")[0]


def _reads_heads(traced: Trace, reader: str) -> bool:
    """Whether queries and keys decide what a reader reads."""
    return any(len(reach.joint) for reach in traced.reaches[reader].values())


def _coupled_writers(traced: Trace) -> list[list[str]]:
    """Writers that share columns of a reader, together; in the order of their calls.

    A grouped convolution goes with those that it reads.
    """
    names = list(traced.writers)
    index = {name: i for i, name in enumerate(names)}
    pairs = []
    for reader, by_writer in traced.reaches.items():
        if is_grouped(traced.readers[reader].module):
            pairs += [(index[name], index[reader]) for name in by_writer]
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
    entries = _Entries.of(writers, traced)
    if entries.units < 2:
        return "it has a single unit"
    parts: list[Part] = []
    for name, role, place in entries.places:
        part = entries.part(name, role, place)
        if isinstance(part, str):
            return part
        parts.append(part)
    if not any(part.role == "consumer" for part in parts):
        return "no layer reads its units"
    order = list(traced.readers)
    parts.sort(key=lambda part: order.index(part.module))
    return (*parts, *(part for p in parts for part in _owners(p, writers, traced)))


def _owners(reading: Part, writers: Sequence[str], traced: Trace) -> Iterator[Part]:
    """Parts of the modules that state the number of heads which a consumer reads."""
    if reading.role != "consumer" or not _reads_heads(traced, reading.module):
        return
    heads = np.arange(int(reading.unit_of.max()) + 1)
    channels = np.arange(len(heads) * reading.width)
    inside = [*writers, *traced.parameters[reading.module]]
    for owner in dict.fromkeys(_parent(name) for name in inside):
        yield Part(owner, "heads", heads)
        yield Part(owner, "head channels", channels, reading.width)


@dataclass(frozen=True)
class _Entries:
    """Outputs of some writers and columns of their readers, as nodes of two graphs.

    Attributes:
        places: name and role of each module, and which nodes are its.
        channel_of: by node. Nodes of a channel are connected by the paths of single channels.
        unit_of: by node, -1: of none. Nodes of a unit are connected by any path, those through an
            attention head or a group of a convolution included.
        units: how many; in the order of the first output that each has.
    """

    places: tuple[tuple[str, Role, slice], ...]
    channel_of: Int64[NDArray, " nodes"]
    unit_of: Int64[NDArray, " nodes"]
    units: int

    @classmethod
    def of(cls, writers: Sequence[str], traced: Trace) -> "_Entries":
        """Those of writers that belong together."""
        starts: dict[str, int] = {}
        places: list[tuple[str, Role, slice]] = []
        total = 0
        for name in writers:
            starts[name] = total
            total += traced.writers[name].channels
            places.append((name, "producer", slice(starts[name], total)))
        outputs = total
        single, joint = [np.zeros((2, 0), dtype=np.int64)], [np.zeros((2, 0), dtype=np.int64)]
        for reader, by_writer in traced.reaches.items():
            present = [(name, by_writer[name]) for name in writers if name in by_writer]
            if not present:
                continue
            call = traced.readers[reader]
            for name, reach in present:
                pairs = np.stack([reach.channels + starts[name], reach.columns + total])
                jointly = np.isin(reach.channels, reach.joint)
                single.append(pairs[:, ~jointly])
                joint.append(pairs[:, jointly])
            columns = call.inputs.shape[channel_axis(call.module)]
            if is_grouped(call.module):
                joint.append(_group_edges(call.module, starts[reader], total))
            else:
                each = isinstance(call.module, Channelwise) or is_depthwise(call.module)
                role: Role = "channelwise" if each else "consumer"
                places.append((reader, role, slice(total, total + columns)))
            total += columns
        channels, units = (_components(np.hstack(e), total) for e in (single, single + joint))
        count = int(units[:outputs].max()) + 1
        return cls(tuple(places), channels, np.where(units < count, units, -1), count)

    def part(self, name: str, role: Role, place: slice) -> Part | str:
        """What a module has to do with the units, or why they cannot go."""
        units, channels = self.unit_of[place], self.channel_of[place]
        mapped = units >= 0
        entries = np.bincount(units[mapped], minlength=self.units)
        if role != "channelwise" and not entries.all():
            verb = "writes" if role == "producer" else "reads"
            return f"{name} {verb} only some of its units"
        _, first, inverse = np.unique(channels[mapped], return_index=True, return_inverse=True)
        of_first = units[mapped][first]
        widths = np.bincount(of_first)
        widths = widths[widths > 0]
        if len(set(widths.tolist())) > 1 or (role == "producer" and len(set(entries.tolist())) > 1):
            return f"its units have unlike numbers of channels in {name}"
        # Channels by the unit that they are of, then by their first entry.
        within = np.empty(len(first), dtype=np.int64)
        within[np.lexsort((first, of_first))] = np.tile(np.arange(widths[0]), len(widths))
        channel_of = np.full(len(units), -1)
        channel_of[mapped] = (of_first * widths[0] + within)[inverse]
        return Part(name, role, channel_of, int(widths[0]))


def _group_edges(module: nn.Module, outputs: int, columns: int) -> Int64[NDArray, "2 edges"]:
    """Edges from the first output of each group of a convolution to all that it reads and writes.

    ``outputs`` and ``columns`` are the nodes where these begin.
    """
    assert isinstance(module, nn.Conv2d)
    edges = []
    for count, start in ((module.out_channels, outputs), (module.in_channels, columns)):
        group_of = np.repeat(np.arange(module.groups), count // module.groups)
        first = outputs + group_of * (module.out_channels // module.groups)
        edges.append(np.stack([first, start + np.arange(count)]))
    return np.hstack(edges)


def _components(edges: Int64[NDArray, "2 edges"], nodes: int) -> Int64[NDArray, " nodes"]:
    """Which nodes are connected: numbers in the order of the first node that each set has."""
    matrix = coo_array((np.ones(edges.shape[1]), edges), shape=(nodes, nodes))
    labels = connected_components(matrix, directed=False)[1]
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def _described(
    parts: tuple[Part, ...], traced: Trace, modules: Mapping[str, nn.Module]
) -> FoundLayer:
    """A layer of these parts; its ``parameters`` are a count, of which the caller makes a share."""
    producers = [part for part in parts if part.role == "producer"]
    consumer = next(part for part in parts if part.role == "consumer")
    norms = [
        part.module
        for part in parts
        if part.role == "channelwise" and isinstance(traced.readers[part.module].module, BatchNorm)
    ]
    calls = [traced.writers[p.module] for p in producers if not is_grouped(modules[p.module])]
    writing = sum(c.positions > 1 for c in calls) or len(calls)  # a gate: one value per image
    name, units = producers[0].module, int(producers[0].unit_of.max()) + 1
    heads = any(_reads_heads(traced, p.module) for p in parts if p.role == "consumer")
    kind = _kind(modules[name]) if len(calls) == len(producers) else "groups"
    count = sum(part.size(modules[part.module]) for part in parts)
    activations = traced.activations[consumer.module]
    return FoundLayer(
        name, "heads" if heads else kind, units, parts, heads or writing > 1,
        norms[0] if norms else None, activations[0] if activations else None, count, 0.0,
        traced.readers[consumer.module].products if heads else 0,
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
            read.setdefault(part.module, []).append((layer.name, part.channel_of))
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
