"""Weights from a file into a network: names unwrapped, every tensor accounted for."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from neuron_pruning.core.errors import NotFinite, UserError, refuse_unreadable
from neuron_pruning.data.image_folder import shortened
from neuron_pruning.models.weight_files import read_tensors

PREFIXES = ("module.", "_orig_mod.", "model.")  # of DataParallel, torch.compile, Lightning
REMEDY = "choose another checkpoint"
COUNTERS = "num_batches_tracked"  # old files have none

Tensors = Mapping[str, Tensor]


def load_weights(
    module: nn.Module,
    path: Path,
    source: str,
    rename: Callable[[Tensors], Tensors] = lambda tensors: tensors,
) -> None:
    """Put the tensors of a file into a network, in place.

    Args:
        module: in its own layout; numbers become of its kind.
        path: of the file, see ``read_tensors``. Prefixes of DataParallel, torch.compile and
            Lightning are taken off its names.
        source: of the network, for messages.
        rename: brings the names of an older version to those of the network.

    Raises:
        UserError: the file is no weights, or of another network.
    """
    own = module.state_dict()
    tensors = rename(without_prefixes(read_tensors(path), own))
    odd = [name for name in tensors if name in own and not _alike(tensors[name], own[name])]
    fitting = OrderedDict((name, tensor) for name, tensor in tensors.items() if name not in odd)
    # MNASNet insists on a version. Modules inside get none: they then bring older names to today's.
    fitting._metadata = {"": own._metadata[""]}  # type: ignore[attr-defined]
    with refuse_unreadable(f"{path} does not fit {source}", "give the weights of this network"):
        missing, unexpected = module.load_state_dict(fitting, strict=False)
    buffers = {name for name, _ in module.named_buffers()}  # some are no longer stored
    faults = {
        "missing": [
            f"{name} {_shape(own[name])}"
            for name in missing
            if name not in odd and not name.endswith(COUNTERS)
        ],
        "not expected": [
            f"{name} {_shape(tensors[name])}"
            for name in unexpected
            if name not in buffers and not name.endswith(COUNTERS)
        ],
        "of another shape or kind of number": [
            f"{name} {_shape(tensors[name])}, should be {_shape(own[name])}" for name in odd
        ],
    }
    if any(faults.values()):
        found = "; ".join(f"{shortened(names)} {fault}" for fault, names in faults.items() if names)
        raise UserError(f"{path} does not fit {source}: {found}. {_hint(own, tensors, odd)}")


def check_finite(tensors: Tensors, origin: str, remedy: str = REMEDY) -> None:
    """All numbers of a network are finite.

    Args:
        tensors: its parameters and buffers by name.
        origin: of the network, for messages.
        remedy: for messages.

    Raises:
        NotFinite: naming the first tensor that holds others.
        UserError: a tensor has no numbers yet.
    """
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise UserError(
                f"{origin}: {name} is a {type(tensor).__name__}, not a tensor, as in a quantised "
                "network: prune first, and quantise the result"
            )
        if nn.parameter.is_lazy(tensor) or tensor.is_meta:
            raise UserError(
                f"{origin}: {name} has no values yet; build the network on the CPU, pass an image "
                "through it where layers are lazy, and return it then"
            )
        if not torch.isfinite(tensor).all():
            raise NotFinite(
                f"{origin}: {name} holds NaN or infinity; the network diverged in training, or the "
                f"file is damaged: {remedy}"
            )


def without_prefixes(tensors: Tensors, own: Iterable[str]) -> Tensors:
    """Tensors without a prefix that all their names have, and those of the network have not."""
    for prefix in PREFIXES:
        theirs = all(name.startswith(prefix) for name in tensors)
        if theirs and not all(name.startswith(prefix) for name in own):
            cut = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
            return without_prefixes(cut, own)
    return tensors


def _alike(given: Tensor, wanted: Tensor) -> bool:
    """Whether one may take the other's place; 16 bits become 32, whole numbers no fractions."""
    if nn.parameter.is_lazy(wanted):
        return True
    same_kind = given.is_floating_point() == wanted.is_floating_point()
    return given.shape == wanted.shape and same_kind


def _hint(own: Tensors, tensors: Tensors, odd: list[str]) -> str:
    """What to do about weights that do not fit."""
    if not set(own) & set(tensors):
        return (
            f"No name is the same, the file's begin with {shortened(list(tensors))}, the network's "
            f"with {shortened(list(own))}: give weights that the same library has saved"
        )
    counts = {_other_rows(tensors[name], own[name]) for name in odd}
    if len(counts) == 1 and None not in counts:
        return (
            f"If these layers score the classes, the weights are for {counts.pop()} of them: build "
            "the network for so many (classes, where it is one of torchvision or timm)"
        )
    return "Give the weights of this network, or the network of these weights"


def _other_rows(given: Tensor, wanted: Tensor) -> int | None:
    """Rows of a tensor that differs from another in their number alone."""
    same = given.ndim > 0 and given.shape[1:] == wanted.shape[1:]
    return len(given) if same and len(given) != len(wanted) else None


def _shape(tensor: Tensor) -> str:
    kind = str(tensor.dtype).removeprefix("torch.")
    return f"{list(tensor.shape)} of {kind}"
