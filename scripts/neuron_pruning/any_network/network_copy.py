"""A user's network as pruning takes it: a plain module of its own, checked before anything else."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from neuron_pruning.core.errors import UserError, reason_of

WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel, AveragedModel)


def unwrapped(model: nn.Module) -> nn.Module:
    """The network inside of DataParallel, torch.compile and the like.

    Raises:
        UserError: no network, or one of TorchScript.
    """
    inner: Any = model
    while inner is not None:
        model = inner
        # The other attribute is that of torch.compile.
        inner = model.module if isinstance(model, WRAPPERS) else getattr(model, "_orig_mod", None)
    if isinstance(model, torch.jit.ScriptModule):
        raise UserError(
            "the network is a TorchScript program, which has no layers left to cut: give the "
            "module that it was made from"
        )
    if not isinstance(model, nn.Module):
        raise UserError(
            f"the network must be a torch.nn.Module, not {type(model).__name__}: build it, and "
            "load its weights"
        )
    return model


def copied(model: nn.Module, memo: dict[int, Any] | None = None) -> nn.Module:
    """A copy of a network; with ``memo``, some of its tensors are others.

    Tensors of former passes that modules keep as attributes, or in lists and dictionaries there,
    lose their graph, which cannot be copied.

    Raises:
        UserError: weights that are computed from others, or what cannot be copied.
    """
    memo = {} if memo is None else memo
    for name, module in model.named_modules():
        for attribute, value in vars(module).items():
            if attribute == "weight" and isinstance(value, Tensor):
                raise UserError(
                    f"the network cannot be copied: the weights of {name or 'it'} are computed "
                    "from others, as by weight_norm, spectral_norm or torch.nn.utils.prune; remove "
                    "that first, for instance with torch.nn.utils.remove_weight_norm or "
                    "torch.nn.utils.prune.remove"
                )
            if not attribute.startswith("_"):  # else PyTorch's own: parameters, modules, hooks
                memo |= {id(t): t.detach().clone() for t in _tensors_in(value) if not t.is_leaf}
    try:
        return copy.deepcopy(model, memo)
    except (RuntimeError, TypeError) as error:
        raise UserError(
            f"the network cannot be copied ({reason_of(error)}): remove from it what is no part "
            "of a network, such as locks, open files and results of former passes"
        ) from error


def _tensors_in(value: Any) -> Iterator[Tensor]:
    """A tensor, or those in lists and dictionaries."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _tensors_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _tensors_in(inner)
