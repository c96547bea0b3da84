"""Statistics of batch normalisation, measured again on a pruned network (Li et al. 2020)."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain

import torch
from torch import Tensor, nn

from neuron_pruning.any_network.tracing import BatchNorm

EPSILON = 1e-12  # of a variance: a channel that never varied has none
SMALLEST_BATCH = 16  # ASSUME: images whose variance is worth as much as that of a larger batch


def tracks(module: nn.Module) -> bool:
    """Whether a module normalises by statistics that it has kept."""
    return isinstance(module, BatchNorm) and module.running_mean is not None


@contextmanager
def _measuring(model: nn.Module) -> Iterator[None]:
    """Only batch normalisations are in training mode, and average over all batches equally."""
    norms = [m for m in model.modules() if isinstance(m, BatchNorm) and tracks(m)]
    before = [(norm.training, norm.momentum) for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
        norm.momentum = None
    try:
        yield
    finally:
        for norm, (training, momentum) in zip(norms, before, strict=True):
            norm.train(training)
            norm.momentum = momentum


@torch.no_grad()
def reestimate(model: nn.Module, batches: Iterable[Tensor]) -> dict[str, float]:
    """Measure the statistics of every batch normalisation on images, in place, in one pass.

    ASSUME: as mean over batches of each batch's mean and variance, layers at once: a layer sees
    what the layers before give when they normalise by the batch, as in training.

    Returns:
        By how many of the former standard deviations the means moved, the mean over channels, by
        name.
    """
    norms = {n: m for n, m in model.named_modules() if isinstance(m, BatchNorm) and tracks(m)}
    joined = _large_enough(batches)
    first = next(joined, None) if norms else None
    if first is None:
        return {}
    before = {name: _statistics(norm) for name, norm in norms.items()}
    with _measuring(model):
        for images in chain([first], joined):
            model(images)
    shifts = {}
    for name, (mean, variance) in before.items():
        moved = (_statistics(norms[name])[0] - mean).abs()
        shifts[name] = float((moved / (variance + EPSILON).sqrt()).mean())
    return shifts


def _statistics(norm: BatchNorm) -> tuple[Tensor, Tensor]:
    """Copies of the running mean and variance."""
    assert norm.running_mean is not None and norm.running_var is not None
    return norm.running_mean.clone(), norm.running_var.clone()


def _large_enough(batches: Iterable[Tensor]) -> Iterator[Tensor]:
    """Small batches joined; a small rest is left out, unless nothing came before it."""
    waiting, given = list[Tensor](), False
    for images in batches:
        waiting.append(images)
        if sum(map(len, waiting)) >= SMALLEST_BATCH:
            yield torch.cat(waiting)
            waiting, given = [], True
    if not given and sum(map(len, waiting)) > 1:  # one value has no variance
        yield torch.cat(waiting)
