"""Removal of units from a network of any kind: smaller tensors, the same modules."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from jaxtyping import Bool, Int64
from numpy.typing import NDArray
from torch import Tensor, nn

from neuron_pruning.any_network.network_copy import copied
from neuron_pruning.any_network.tracing import BatchNorm, first_tensor
from neuron_pruning.core.errors import reason_of

if TYPE_CHECKING:
    from neuron_pruning.any_network.unit_layers import FoundLayer

Role = Literal["producer", "channelwise", "consumer", "heads", "head channels"]
TOLERANCE = 1e-9  # relative, in float64: a removed unit and a silenced one


@dataclass(frozen=True)
class Part:
    """A module that goes with the units of a layer.

    Attributes:
        module: its name in the network.
        role: whether it writes the units, works on each alone, or reads them; or holds the
            producers, and states how many heads there are, or channels of all heads.
        channel_of: channel of each entry along its axis of channels, those of a unit side by side;
            -1: none of this layer's.
        width: channels of each unit there: more than one in attention heads and groups.
    """

    module: str
    role: Role
    channel_of: Int64[NDArray, " entries"]
    width: int = 1

    @property
    def unit_of(self) -> Int64[NDArray, " entries"]:
        """Unit of each entry; -1: none of this layer's."""
        return self.channel_of // self.width

    def axis(self, name: str, tensor: Tensor) -> int | None:
        """Axis along which a tensor of the module follows the units; None: it does not."""
        return _axis(self.role, len(self.channel_of), name, tensor)

    def size(self, module: nn.Module) -> int:
        """Number of the module's parameters that go with the units."""
        entries = int((self.unit_of >= 0).sum())
        return sum(
            tensor.numel() // len(self.unit_of) * entries
            for name, tensor in module.named_parameters(recurse=False)
            if self.axis(name, tensor) is not None
        )


def _axis(role: Role, entries: int, name: str, tensor: Tensor) -> int | None:
    if role == "consumer":
        return 1 if name == "weight" else None
    if role in ("heads", "head channels"):
        # Whole numbers are indices, as of pairs of positions; a bias alone has all channels.
        follows = tensor.is_floating_point() and (role == "heads" or tensor.ndim == 1)
        axes = [axis for axis, size in enumerate(tensor.shape) if size == entries and follows]
        return axes[0] if axes else None
    return 0 if tensor.ndim else None  # a batch normalisation counts its batches


Kept = Mapping[tuple[str, Role], Bool[NDArray, " entries"]]


def kept_entries(removed: Iterable[tuple["FoundLayer", Sequence[int]]]) -> Kept:
    """What stays of each module's axis when these units go; removals of several layers add up."""
    kept: dict[tuple[str, Role], NDArray[np.bool_]] = {}
    for layer, units in removed:
        for part in layer.parts:
            stays = ~np.isin(part.unit_of, np.asarray(units, dtype=np.int64))
            key = (part.module, part.role)
            kept[key] = kept[key] & stays if key in kept else stays
    return kept


def kept_heads(owner: str, stays: Bool[NDArray, " heads"], width: int) -> Kept:
    """What stays of a module that states how many heads of so many channels there are."""
    return {(owner, "heads"): stays, (owner, "head channels"): np.repeat(stays, width)}


@torch.no_grad()
def cut(model: nn.Module, kept: Kept) -> None:
    """Remove entries from the modules of a network, in place."""
    modules = dict(model.named_modules())
    for (name, role), stays in kept.items():
        if not stays.all():
            _cut_module(modules[name], role, stays)


def _cut_module(module: nn.Module, role: Role, stays: Bool[NDArray, " entries"]) -> None:
    chosen = torch.from_numpy(np.flatnonzero(stays))
    for name, tensor in [
        *module.named_parameters(recurse=False),
        *module.named_buffers(recurse=False),
    ]:
        axis = _axis(role, len(stays), name, tensor)
        if axis is not None and not (isinstance(module, nn.PReLU) and tensor.numel() == 1):
            set_tensor(module, name, tensor.index_select(axis, chosen.to(tensor.device)))
    if role in ("heads", "head channels"):
        _restate(module, role, len(stays), len(chosen))
    resize(module)


def _restate(module: nn.Module, role: Role, before: int, after: int) -> None:
    """Change the numbers of heads, or of their channels, that an attention module states.

    ASSUME: these are its whole numbers of that value, whatever their names; but what is called a
    size or dimension is no number of heads. Verification refuses the layer where that is wrong.
    """
    for name, value in list(vars(module).items()):
        counts_channels = "dim" in name or "size" in name
        if type(value) is int and value == before and not (role == "heads" and counts_channels):
            setattr(module, name, after)


def set_tensor(module: nn.Module, name: str, values: Tensor) -> None:
    """Give a parameter or buffer other values, of any shape."""
    old = getattr(module, name)
    if isinstance(old, nn.Parameter):
        setattr(module, name, nn.Parameter(values.detach().clone(), old.requires_grad))
    else:
        setattr(module, name, values.detach().clone())


def resize(module: nn.Module) -> None:
    """Make the numbers that a module states of its size those of its tensors."""
    if isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, nn.Conv2d):
        if module.groups > 1:  # each keeps as many outputs
            module.groups = len(module.weight) * module.groups // module.out_channels
        module.out_channels = len(module.weight)
        module.in_channels = module.weight.shape[1] * module.groups
    elif isinstance(module, BatchNorm):
        tensor = module.weight if module.weight is not None else module.running_mean
        if tensor is not None:
            module.num_features = len(tensor)
    elif isinstance(module, nn.PReLU):
        module.num_parameters = len(module.weight)


@torch.no_grad()
def mask(model: nn.Module, kept: Kept) -> None:
    """Silence units, in place: what reads them has no weights for them."""
    modules = dict(model.named_modules())
    for (name, role), stays in kept.items():
        if role == "consumer":
            gone = torch.from_numpy(np.flatnonzero(~stays))
            modules[name].weight.index_fill_(1, gone.to(modules[name].weight.device), 0.0)


def removed_as_masked(
    model: nn.Module, example: Tensor, layers: Sequence["FoundLayer"]
) -> str | None:
    """Why a network without half of these layers' units is not the network with them silenced.

    None: it is, in float64 on random images of the example's shape.
    """
    # At random: every second one stays every second one where a network shuffles its channels.
    drawn = np.random.default_rng(0)
    kept = kept_entries(
        (layer, drawn.permutation(layer.units)[: layer.units // 2].tolist()) for layer in layers
    )
    if not layers:
        return None
    whole = copied(model).cpu().double().eval()
    generator = torch.Generator().manual_seed(0)
    images = torch.randn((2, *example.shape[1:]), generator=generator, dtype=torch.float64)
    mask(whole, kept)
    with torch.inference_mode():
        try:
            expected = first_tensor(whole(images))
        except Exception as error:  # noqa: BLE001 - whatever the network's own code raises
            return (
                "the network does not run in float64, so nothing can be verified "
                f"({reason_of(error)})"
            )
        try:
            cut(whole, kept)
            outputs = first_tensor(whole(images))
        except Exception as error:  # noqa: BLE001 - whatever the network's own code raises
            return f"the network does not run without some of its units ({reason_of(error)})"
    scale = float(expected.abs().max()) or 1.0
    if outputs.shape != expected.shape:
        return "without some of its units the network returns something else in shape"
    apart = float((outputs - expected).abs().max()) / scale
    if not apart <= TOLERANCE:
        return f"without some of its units the network computes something else ({apart:.1g} apart)"
    return None
