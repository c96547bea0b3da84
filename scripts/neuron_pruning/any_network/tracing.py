"""Which channels of a network's layers reach which inputs of its other layers.

Every Linear and every convolution of a copy gets outputs of its own, random and cut off from what
the layer reads. So the graph falls into pieces that begin at the outputs of layers, the *writers*,
and end at what other layers read, the *readers*. Two derivatives of a reader's input then tell
which of its columns a channel reaches: one of its sum under random weights, one of the same sum
with each column times a random *code*. Where a channel reaches one column at a position, the
ratio of the two is that column's code, to rounding; any other ratio means that columns are mixed.
Queries and keys reach all columns of their attention head: what is mixed is looked at once more,
with a code for each of as many blocks of columns as the reach of the first column suggests.

Nothing is assumed of the operations in between: normalisation, pooling, flattening, concatenation,
gating, attention and functional calls are seen by what they do.
"""

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, Int64
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from neuron_pruning.any_network.network_copy import copied
from neuron_pruning.core.errors import UserError

OUTPUT = "output"  # the reader that stands for what the network returns
SEED = 20_260_101  # of the random outputs, weights and codes; nothing depends on which it is
IMAGES = 2  # that are traced: one of positive values, one of negative
TOLERANCE = 1e-9  # of a ratio of derivatives in float64
# The layers that have an input and an output axis of units.
Weighted = (nn.Linear, nn.Conv2d)
WeightedModule = nn.Linear | nn.Conv2d
# Modules that treat each channel on its own and have one value of each parameter for each.
BatchNorm = nn.modules.batchnorm._BatchNorm
Channelwise = (BatchNorm, nn.PReLU)
# Modules that compute each output from many channels: no unit passes them.
Mixing = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


@dataclass(frozen=True)
class Reach:
    """Where the channels of one writer arrive at one reader.

    Attributes:
        channels: of the writer, one per pair of channel and column.
        columns: of the reader's input, likewise.
        mixed: channels of the writer that arrive mixed with others.
        joint: channels that arrive mixed with others in one block of columns each, as queries and
            keys do in the columns of their attention head.
    """

    channels: Int64[NDArray, " pairs"]
    columns: Int64[NDArray, " pairs"]
    mixed: Int64[NDArray, " channels"]
    joint: Int64[NDArray, " channels"]


@dataclass
class Call:
    """What one module read and wrote in the traced pass."""

    module: nn.Module
    inputs: Tensor
    outputs: Tensor | None = None  # of a writer: random, a leaf of the graph
    times: int = 1
    products: int = 0  # multiply-adds of functions since the call in front, per image

    @property
    def written(self) -> Tensor:
        """What it wrote."""
        assert self.outputs is not None
        return self.outputs

    @property
    def channels(self) -> int:
        """How many it wrote."""
        return self.written.shape[channel_axis(self.module)]

    @property
    def positions(self) -> int:
        """Places per image at which the module's weights are applied."""
        return self.written.numel() // self.channels // IMAGES


@dataclass(frozen=True)
class Trace:
    """A network's writers and readers, and what reaches what.

    Attributes:
        writers: Linears and convolutions by name, in the order of their calls.
        readers: those, and channel-by-channel modules, by name, in the same order.
        reaches: by reader, then by writer; what is absent does not arrive.
        mixers: by writer, a module that mixes its channels.
        parameters: by reader, names of parameters of other modules that work on what it reads.
        activations: by reader, the nonlinear functions in front of it.
        unused: Linears and convolutions whose module is never called.
        multiply_adds: per image, of each module's first call and of all products of functions,
            such as attention's; as PyTorch counts them.
    """

    writers: dict[str, Call]
    readers: dict[str, Call]
    reaches: dict[str, dict[str, Reach]]
    mixers: dict[str, str]
    parameters: dict[str, tuple[str, ...]]
    activations: dict[str, tuple[str, ...]]
    unused: tuple[str, ...]
    multiply_adds: int


def channel_axis(module: nn.Module) -> int:
    """Axis of the channels in what a module reads and writes."""
    return 1 if isinstance(module, (nn.Conv2d, *Channelwise)) else -1


def is_depthwise(module: nn.Module) -> bool:
    """Whether a convolution treats each channel on its own."""
    return isinstance(module, nn.Conv2d) and (
        module.groups == module.in_channels == module.out_channels > 1
    )


def is_grouped(module: nn.Module) -> bool:
    """Whether a convolution treats groups of channels each on their own."""
    return isinstance(module, nn.Conv2d) and module.groups > 1 and not is_depthwise(module)


def trace(model: nn.Module, example_inputs: Tensor) -> Trace:
    """Trace a network; it is left as it is.

    Args:
        model: any network that maps a batch of images to a tensor, or to a structure with one.
        example_inputs: one image at least, N x channels x height x width.

    Raises:
        UserError: the network does not run on the example.
    """
    replica = _replica(model)
    counter = _Counter()
    recorder = _Recorder(replica, counter)
    first = example_inputs[:1].detach().cpu()
    images = torch.cat([first] * IMAGES).double()
    with torch.enable_grad(), recorder.recording(), counter:
        outputs = first_tensor(run(replica, images))
    readers = dict(recorder.readers)
    readers[OUTPUT] = Call(nn.Identity(), outputs)
    parameters = {n: p for n, p in replica.named_parameters() if id(p) in recorder.other_parameters}
    reaches, touched, activations = {}, {}, {}
    for name, call in readers.items():
        reaches[name], touched[name] = _reaches(call, recorder.writers, parameters)
        activations[name] = _activations(call.inputs)
    mixers: dict[str, str] = {}
    for name, values in recorder.mixed.items():
        for writer in _sources(values, recorder.writers):
            mixers.setdefault(writer, f"{type(replica.get_submodule(name)).__name__} {name}")
    weighted = [n for n, m in replica.named_modules() if isinstance(m, Weighted)]
    unused = tuple(n for n in weighted if n not in readers)
    return Trace(
        recorder.writers, readers, reaches, mixers, touched, activations, unused,
        counter.multiply_adds // IMAGES,
    )  # fmt: skip


def run(model: nn.Module, images: Tensor) -> Any:
    """What a network returns.

    Raises:
        UserError: it does not run; says in which module it fails.
    """
    try:
        return model(images)
    except Exception as error:
        where, kind = _innermost_module(model, error), str(images.dtype).removeprefix("torch.")
        raise UserError(
            f"the network does not run on an example of shape {tuple(images.shape)} in {kind}: "
            f"{type(error).__name__} in {where}: {error}; give images of the right size and kind, "
            "or wrap it in a module that takes such images alone"
        ) from error


def _innermost_module(model: nn.Module, error: BaseException) -> str:
    """Name of the module whose call failed."""
    names = {id(module): name for name, module in model.named_modules()}
    found, frame = "the network", error.__traceback__
    while frame is not None:
        owner = frame.tb_frame.f_locals.get("self")
        if names.get(id(owner)):
            found = f"{names[id(owner)]!r}"
        frame = frame.tb_next
    return found


def _replica(model: nn.Module) -> nn.Module:
    """A copy in float64 and evaluation mode whose parameters hide no channel.

    Weights of Linears and convolutions are one number each, expanded: they take no memory. Zeros
    elsewhere, as in a normalisation that begins at zero, would hide what a channel reaches.
    """
    if any(nn.parameter.is_lazy(parameter) for parameter in model.parameters()):
        raise UserError("the network has weights without a shape yet: run it on a batch first")
    memo: dict[int, Any] = {}
    for module in model.modules():
        if isinstance(module, Weighted):
            for parameter in module.parameters(recurse=False):
                value = torch.tensor(0.1, dtype=torch.float64)
                memo[id(parameter)] = nn.Parameter(value.expand(parameter.shape))
    replica = copied(model, memo).cpu().double().eval().requires_grad_(True)
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for module in replica.modules():
            if isinstance(module, BatchNorm):
                module.reset_running_stats()
            if not isinstance(module, Weighted):
                for parameter in module.parameters(recurse=False):
                    parameter.copy_(0.5 + _random(parameter.shape, generator))
    return replica


def _random(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Between 0.5 and 1.5."""
    return 0.5 + torch.rand(shape, generator=generator, dtype=torch.float64)


def first_tensor(value: Any) -> Tensor:
    """Of what a network returns, what is named logits, or the first tensor."""
    if isinstance(value, Tensor):
        return value
    if is_dataclass(value):
        value = {part.name: getattr(value, part.name) for part in fields(value)}
    if isinstance(value, Mapping) and isinstance(value.get("logits"), Tensor):
        return value["logits"]
    values = value.values() if isinstance(value, Mapping) else value
    for item in values if isinstance(value, Mapping | tuple | list) else ():
        if isinstance(item, Tensor | Mapping | tuple | list):
            return first_tensor(item)
    raise UserError(f"the network returns {type(value).__name__}, and no tensor of logits in it")


@dataclass
class _Recorder:
    """Stands in for the forward functions of a network's weighted and channelwise modules."""

    model: nn.Module
    counter: "_Counter"
    writers: dict[str, Call] = field(default_factory=dict)
    readers: dict[str, Call] = field(default_factory=dict)
    mixed: dict[str, Tensor] = field(default_factory=dict)  # what mixing modules read

    def __post_init__(self) -> None:
        self._generator = torch.Generator().manual_seed(SEED)
        known = [
            m for m in self.model.modules() if isinstance(m, (*Weighted, *Channelwise, *Mixing))
        ]
        own = {id(p) for module in known for p in module.parameters(recurse=False)}
        self.other_parameters = {id(p) for p in self.model.parameters()} - own
        self._counted = 0

    def recording(self) -> "_Patched":
        """While this is entered, calls are recorded."""
        calls: dict[nn.Module, Callable[..., Tensor]] = {}
        for name, module in self.model.named_modules():
            if isinstance(module, Channelwise) or is_depthwise(module):
                calls[module] = self._observe(name, module)
            elif isinstance(module, Weighted):
                calls[module] = self._write(name, module)
            elif isinstance(module, Mixing):
                calls[module] = self._mix(name)
        return _Patched(calls)

    def _observe(self, name: str, module: nn.Module) -> Callable[..., Tensor]:
        forward = module.forward

        def observed(values: Tensor) -> Tensor:
            values = values.clone()  # what else reads them does not read this
            first = self._read(name, module, values)
            outputs: Tensor = forward(values)
            if first:
                self.readers[name].outputs = outputs.detach()
            self._counted = self.counter.multiply_adds
            return outputs

        return observed

    def _write(self, name: str, module: nn.Module) -> Callable[..., Tensor]:
        def written(values: Tensor) -> Tensor:
            if self._read(name, module, values):
                # One image of positive values, one of negative: a ReLU lets one of the two pass.
                # Of a table of positions, which is no batch, half of the rows.
                leaf = _random(_output_shape(module, values), self._generator)
                rows = leaf if channel_axis(module) == 1 else leaf.view(-1, leaf.shape[-1])
                rows[len(rows) // IMAGES :] *= -1.0
                call = self.readers[name]
                call.outputs = leaf.requires_grad_(True)
                self.writers[name] = call
            self._counted = self.counter.multiply_adds
            again = _written_again(self.writers[name], values)
            self.counter.multiply_adds = self._counted  # only its shape was asked for
            return again.clone()  # an operation in place may follow

        return written

    def _mix(self, name: str) -> Callable[..., Tensor]:
        def mixed(values: Tensor) -> Tensor:
            self.mixed[name] = values
            return _random(values.shape, self._generator)

        return mixed

    def _read(self, name: str, module: nn.Module, values: Tensor) -> bool:
        """Whether this is the module's first call."""
        if name in self.readers:
            self.readers[name].times += 1
            return False
        products = (self.counter.multiply_adds - self._counted) // IMAGES
        self.readers[name] = Call(module, values, products=products)
        return True


class _Counter(TorchDispatchMode):
    """Counts multiply-adds while it is entered, those of shapes without numbers included."""

    multiply_adds = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        found = function(*args, **(kwargs or {}))
        operations = flop_registry.get(function.overloadpacket)
        if operations is not None:
            self.multiply_adds += operations(*args, **(kwargs or {}), out_val=found) // 2
        return found


@dataclass
class _Patched:
    """Modules whose ``forward`` is another function while this is entered."""

    calls: Mapping[nn.Module, Callable[..., Tensor]]

    def __enter__(self) -> None:
        for module, call in self.calls.items():
            module.forward = call

    def __exit__(self, *error: object) -> None:
        for module in self.calls:
            del module.forward


def _output_shape(module: nn.Module, values: Tensor) -> torch.Size:
    """Shape of what a module returns, computed without numbers."""
    # Parameters first: a copy of expanded ones would take all the memory that they stand for.
    memo: dict[int, Any] = {
        id(p): nn.Parameter(p.detach().to("meta")) for p in module.parameters(recurse=False)
    }
    with torch.no_grad():
        empty = copy.deepcopy(module, memo)
        empty.__dict__.pop("forward", None)
        shape: torch.Size = empty(values.detach().to("meta")).shape
    return shape


def _written_again(call: Call, values: Tensor) -> Tensor:
    """What a writer wrote; for inputs of another shape, at its first positions over and over."""
    if values.shape == call.inputs.shape:
        return call.written
    axis = channel_axis(call.module)
    shape = list(_output_shape(call.module, values))
    rows = call.written.movedim(axis, -1).reshape(-1, call.channels)
    shape.append(shape.pop(axis))
    wanted = torch.arange(math.prod(shape[:-1])) % len(rows)
    return rows[wanted].view(shape).movedim(-1, axis)


def _sources(values: Tensor, writers: Mapping[str, Call]) -> list[str]:
    """Writers that a tensor was computed from."""
    if not values.requires_grad:
        return []
    leaves = [call.written for call in writers.values()]
    gradients = torch.autograd.grad(values.sum(), leaves, retain_graph=True, allow_unused=True)
    return [name for name, found in zip(writers, gradients, strict=True) if found is not None]


def _reaches(
    call: Call, writers: Mapping[str, Call], parameters: Mapping[str, Tensor]
) -> tuple[dict[str, Reach], tuple[str, ...]]:
    """What arrives at a reader, by writer, and which parameters it meets on the way."""
    values = call.inputs
    if not values.requires_grad:  # it reads the images
        return {}, ()
    axis = channel_axis(call.module) % values.ndim
    columns = values.shape[axis]
    generator = torch.Generator().manual_seed(SEED + 1)
    weights = _random(values.shape, generator)
    codes = torch.sort(_random(torch.Size([columns]), generator)).values
    leaves = {name: writer.written for name, writer in writers.items() if writer is not call}
    sources = [*leaves.values(), *parameters.values()]

    def derivatives(of_columns: Tensor) -> list[Tensor | None]:
        shape = [-1 if axis == a else 1 for a in range(values.ndim)]
        total = (values * weights * of_columns.view(shape)).sum()
        return list(torch.autograd.grad(total, sources, retain_graph=True, allow_unused=True))

    def by_channel(name: str, of_columns: Tensor) -> _Derivatives:
        gradient = derivatives(of_columns)[list(leaves).index(name)]
        assert gradient is not None
        return _by_channel(writers[name].module, gradient)

    plain, coded = derivatives(torch.ones_like(codes)), derivatives(codes)
    found: dict[str, Reach] = {}
    for name, one, other in zip(leaves, plain, coded, strict=False):
        if one is None or other is None or not one.any():
            continue
        module = writers[name].module
        below, above = _by_channel(module, one), _by_channel(module, other)
        reach = _decode(below, above, codes.numpy())
        if len(reach.mixed):
            reach = _in_blocks(reach, below, codes, partial(by_channel, name))
        found[name] = reach
    touched = [n for n, g in zip(parameters, plain[len(leaves) :], strict=True) if g is not None]
    return found, tuple(touched)


_Derivatives = Float64[NDArray, "channels positions"]


def _by_channel(module: nn.Module, gradient: Tensor) -> _Derivatives:
    return gradient.movedim(channel_axis(module), 0).flatten(1).numpy()


def _decode(below: _Derivatives, above: _Derivatives, codes: Float64[NDArray, " columns"]) -> Reach:
    """Columns from the derivatives of the plain and the coded sum by a writer's outputs."""
    reached = (below != 0.0) | (above != 0.0)
    ratios = np.divide(above, below, out=np.full_like(below, -1.0), where=below != 0.0)
    low = ratios.min(axis=1, where=reached, initial=np.inf)
    if not (ratios - low[:, None] > TOLERANCE).any(where=reached):
        # All positions of a channel say the same, as everywhere but at a flattening.
        ratios, reached = low[:, None], reached.any(axis=1, keepdims=True)
    places = np.clip(np.searchsorted(codes, ratios), 1, len(codes) - 1) if len(codes) > 1 else 0
    if len(codes) > 1:
        places = places - (ratios - codes[places - 1] < codes[places] - ratios)
    else:
        places = np.zeros(ratios.shape, dtype=np.int64)
    clear = np.abs(ratios - codes[places]) <= TOLERANCE
    mixed = np.flatnonzero((reached & ~clear).any(axis=1))
    channels, positions = np.nonzero(reached & clear)
    arrives = np.zeros((len(below), len(codes)), dtype=bool)
    arrives[channels, places[channels, positions]] = True
    arrives[mixed] = True  # somewhere: whoever shares a column with these goes with them
    found = np.nonzero(arrives)
    return Reach(found[0], found[1], mixed, mixed[:0])


def _in_blocks(
    reach: Reach,
    below: _Derivatives,
    codes: Float64[Tensor, " columns"],
    derivatives: Callable[[Tensor], _Derivatives],
) -> Reach:
    """The same reach where each mixed channel arrives in one of several blocks of columns.

    One channel alone reaches a block where pooling with overlaps stands before flattening. Several
    do inside of an attention head.
    """
    mixed, columns = reach.mixed, len(codes)
    first = torch.zeros_like(codes)
    first[0] = 1.0
    sharing = int(derivatives(first)[mixed].any(axis=1).sum())
    blocks = len(mixed) // max(sharing, 1)
    if blocks < 2 or columns % blocks:
        return reach
    size, own = columns // blocks, codes[:blocks]
    above, below = derivatives(own.repeat_interleave(size))[mixed], below[mixed]
    # Of all positions at once: where derivatives almost cancel, a single ratio has few digits.
    plain, coded = ((np.sign(below) * d).sum(axis=1, keepdims=True) for d in (below, above))
    found = _decode(plain, coded, own.numpy())
    if len(found.mixed):
        return reach
    clear = ~np.isin(reach.channels, mixed)
    starts = found.columns[:, None] * size
    return Reach(
        np.concatenate([reach.channels[clear], np.repeat(mixed[found.channels], size)]),
        np.concatenate([reach.columns[clear], (starts + np.arange(size)).ravel()]),
        mixed[:0],
        mixed if sharing > 1 else mixed[:0],
    )


def _activations(values: Tensor) -> tuple[str, ...]:
    """Names of the nonlinear functions of the piece that ends here, the nearest first."""
    seen, names, stack = set[Any](), list[str](), [values.grad_fn]
    while stack:
        function = stack.pop(0)
        if function is None or function in seen:
            continue
        seen.add(function)
        name = type(function).__name__.split("Backward")[0].lower()
        if name in NONLINEAR and name not in names:
            names.append(name)
        stack += [parent for parent, _ in function.next_functions]
    return tuple(names)


# As autograd names them.
NONLINEAR = frozenset(
    {"relu", "gelu", "silu", "sigmoid", "tanh", "hardswish", "hardsigmoid", "hardtanh", "elu"}
    | {"leakyrelu", "prelu", "softplus", "celu", "mish", "logsigmoid"}
)


def walk(trace: Trace, writer: str) -> Iterator[tuple[str, Reach]]:
    """Readers at which a writer's channels arrive, and where."""
    for reader, by_writer in trace.reaches.items():
        if writer in by_writer:
            yield reader, by_writer[writer]
