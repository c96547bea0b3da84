"""Training of a pruned network after the cut, for those who have no training loop of their own."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from neuron_pruning.any_network.batches import Batches, device_of
from neuron_pruning.any_network.logits import check_labels, logits_of
from neuron_pruning.any_network.result import PruningResult
from neuron_pruning.any_network.tracing import BatchNorm
from neuron_pruning.core.errors import NotFinite, UserError


def fine_tune(
    network: PruningResult | nn.Module,
    loader: Iterable[Any],
    epochs: int,
    *,
    teacher: nn.Module | None = None,
    distil: bool = True,
    learning_rate: float = 1e-3,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> None:
    """Train a pruned network in place, by Adam; it is in evaluation mode afterwards.

    Args:
        network: what :func:`prune` returned, or a network.
        loader: batches of images, or ``(images, labels)``, gone through once per epoch.
        epochs: how often.
        teacher: what the network imitates; of a result, the unpruned network.
        distil: the loss is the Kullback-Leibler divergence from the teacher's predictions, which
            needs no labels. False: cross-entropy with the labels.
        learning_rate: of Adam.
        seed: of dropout, and of the order of a loader that torch shuffles.
        progress: is told the mean loss of each epoch, a line at a time.

    Raises:
        UserError: no teacher, no labels, no images, or nothing that may be trained.
        NotFinite: the loss is no longer finite.
    """
    model = network.model if isinstance(network, PruningResult) else network
    if distil and teacher is None:
        if not isinstance(network, PruningResult):
            raise UserError(
                "distil=True needs a teacher: give the unpruned network, or distil=False"
            )
        teacher = network.unpruned
    teacher = teacher.to(device_of(model)).eval() if distil and teacher is not None else None
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not weights:
        raise UserError("all parameters are frozen: call requires_grad_(True) on the network first")
    optimiser = torch.optim.Adam(weights, learning_rate)
    batches = Batches.of(model, loader)
    model.train()
    try:
        with torch.random.fork_rng(), torch.enable_grad():
            torch.manual_seed(seed)
            for epoch in range(epochs):
                loss = _epoch(model, teacher, batches, optimiser)
                if progress is not None:
                    progress(f"epoch {epoch + 1} of {epochs}: loss {loss:.4g}")
    finally:
        model.eval()


def _epoch(
    model: nn.Module, teacher: nn.Module | None, batches: Batches, optimiser: torch.optim.Optimizer
) -> float:
    """Mean loss over the images of one epoch of training."""
    total, seen = 0.0, 0
    normalises = any(isinstance(module, BatchNorm) for module in model.modules())
    for images, labels in batches.labelled():
        if len(images) < 2 and normalises:
            continue  # one value has no variance
        loss = _loss(model, teacher, images, labels)
        if not torch.isfinite(loss):
            raise NotFinite("the loss of fine-tuning is NaN or infinite: lower learning_rate")
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total, seen = total + float(loss.detach()) * len(images), seen + len(images)
    if not seen:
        raise UserError("the loader yields no batch to train on: give some, of two images at least")
    return total / seen


def _loss(
    model: nn.Module, teacher: nn.Module | None, images: Tensor, labels: Tensor | None
) -> Tensor:
    logits = logits_of(model, images)
    if teacher is not None:
        with torch.no_grad():
            wanted = logits_of(teacher, images).log_softmax(dim=-1)
        ours = logits.log_softmax(dim=-1)
        return functional.kl_div(ours, wanted, reduction="batchmean", log_target=True)
    if labels is None:
        raise UserError("distil=False needs labels: give a loader of (images, labels)")
    check_labels(labels, logits.shape[1])
    return functional.cross_entropy(logits, labels)
