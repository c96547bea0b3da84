"""Training of one network (the paper, section 2.2.3)."""

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neuron_pruning.core.errors import UserError
from neuron_pruning.core.numerics import autocast, precision_context
from neuron_pruning.core.seeds import derive_seed
from neuron_pruning.data.images import ImageReader, Patterns, Positions, batches, rows_on
from neuron_pruning.data.split_file import Split
from neuron_pruning.models.networks import Network
from neuron_pruning.training.augmentation import augment
from neuron_pruning.training.callbacks import Callback, StepContext
from neuron_pruning.training.optimisers import build_optimiser, build_schedule, centre_gradients
from neuron_pruning.training.settings import TrainingSettings
from neuron_pruning.training.state import Epoch, TrainingProgress, TrainingState


class Subset:
    """Images and labels of one subset, as a device gets them."""

    def __init__(self, patterns: Patterns, device: torch.device, room: float | None = None) -> None:
        """Read on ``device``, which may hold ``room`` bytes of images; None: what it has."""
        self.count = len(patterns.positions)
        self._reader = ImageReader(patterns.array, device, patterns.positions, room)
        self._labels = torch.from_numpy(patterns.classes).to(device)

    def read(self, row_batches: Iterable[Positions]) -> Iterator[tuple[Tensor, Tensor]]:
        """Images and labels of every batch in turn; rows are counted within the subset."""
        row_batches = list(row_batches)
        rows = rows_on(self._labels.device, row_batches)
        for indices, images in zip(rows, self._reader.read(row_batches), strict=True):
            yield images, self._labels[indices]


def train_and_test(images: NDArray[np.uint8], split: Split) -> tuple[Patterns, Patterns]:
    """Training and test images of a split, of N x height x width x 3 images."""
    train, test = split.positions("train"), split.positions("test")
    return Patterns(images, train, split.labels[train]), Patterns(images, test, split.labels[test])


def train_network(
    network: Network,
    train: Patterns,
    test: Patterns,
    settings: TrainingSettings,
    device: torch.device,
    callbacks: Sequence[Callback] = (),
    room: float | None = None,
) -> list[Epoch]:
    """Train ``network`` in place and on ``device``.

    Callbacks are called at fixed points of the loop, in their order. The network is evaluated on
    ``test`` after every epoch. The device may hold ``room`` bytes of each part's images; None: what
    it has room for.

    Returns:
        The history, one row per epoch.

    Raises:
        UserError: the loss is no longer finite.
    """
    images = len(train.positions)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = build_optimiser(network, settings.learning_rate, settings.optimiser)
    schedule = build_schedule(optimiser, settings, images)
    augmentation_rng = torch.Generator().manual_seed(derive_seed(settings.seed, "augment"))
    totals = torch.zeros(2, dtype=torch.float64, device=device)
    state = TrainingState(network, optimiser, schedule, augmentation_rng, totals, device)
    context = StepContext(state, TrainingProgress(), settings, images, callbacks)
    try:
        context.notify("on_training_start")
        _train_epochs(context, Subset(train, device, room), Subset(test, device, room))
    finally:
        context.notify("on_training_end")
    return context.progress.history


def _train_epochs(context: StepContext, train: Subset, test: Subset) -> None:
    """Train all epochs that are left and append their rows to the history."""
    progress, settings = context.progress, context.settings
    rng = np.random.default_rng(derive_seed(settings.seed, "shuffle"))
    # ASSUME: a new order in every epoch; the last, smaller batch is a step like the others.
    for epoch in range(1, settings.epochs + 1):
        order = rng.permutation(train.count)  # of epochs of an earlier process, too
        if epoch < progress.epoch:
            continue
        loss, accuracy = _train_epoch(context, train, order)
        _check_loss(context, loss)
        evaluated = _loss_and_accuracy(context, test)
        _check_loss(context, evaluated[0])  # the last step comes after the last training loss
        speed = progress.seconds, train.count / progress.seconds
        progress.finish_epoch(Epoch(epoch, loss, accuracy, *evaluated, *speed))
        context.state.totals.zero_()
        context.notify("on_epoch_end")


def _check_loss(context: StepContext, loss: float) -> None:
    if not math.isfinite(loss):
        raise UserError(
            f"training diverged: the loss of epoch {context.progress.epoch} is {loss}; try a "
            f"learning rate below {context.settings.learning_rate} or another recipe"
        )


def _train_epoch(context: StepContext, train: Subset, order: Positions) -> tuple[float, float]:
    """Mean loss and accuracy over one pass through the training images in ``order``."""
    settings, state, progress = context.settings, context.state, context.progress
    state.network.train()
    steps = [
        list(batches(rows, settings.micro_batch or len(rows)))
        for rows in batches(order, settings.batch_size)
    ][progress.step :]
    patterns = train.read(micro_batch for step in steps for micro_batch in step)
    with torch.random.fork_rng([state.device] if state.device.type == "cuda" else []):
        torch.manual_seed(derive_seed(settings.seed, f"dropout/{progress.epoch}"))
        context.notify("on_epoch_start")
        progress.start_clock()
        for step in steps:
            _take_step(context, patterns, step)
            progress.step += 1
            context.notify("after_step")
    loss, accuracy = (state.totals / len(order)).tolist()
    progress.stop_clock()
    return loss, accuracy


def _take_step(
    context: StepContext, patterns: Iterator[tuple[Tensor, Tensor]], micro_batches: list[Positions]
) -> None:
    """Update the weights by the gradients of one batch, which comes in micro-batches."""
    state, images = context.state, sum(map(len, micro_batches))
    state.optimiser.zero_grad()
    for _ in micro_batches:
        state.totals.add_(_add_gradients(context, *next(patterns), images))
    if context.settings.optimiser.centred_gradients:
        centre_gradients(state.network)
    context.notify("before_step")
    state.optimiser.step()
    state.schedule.step()


def _add_gradients(context: StepContext, images: Tensor, labels: Tensor, batch: int) -> Tensor:
    """Add one micro-batch's share of the gradient of the batch's mean loss.

    ASSUME: batch normalisation sees micro-batches, not the batch that they are cut from.

    Returns:
        The summed loss and the number of correct predictions.
    """
    settings, rng = context.settings, context.state.augmentation_rng
    images = augment(images, settings.augmentation, rng)  # never in tf32: it blurs coordinates
    with precision_context(settings.precision, settings.autotune):
        logits = _logits(context, images)
        objective = nn.functional.cross_entropy(
            logits, labels, reduction="sum", label_smoothing=settings.label_smoothing
        )
        (objective / batch).backward()
    return _loss_and_correct(logits, labels)


def _logits(context: StepContext, images: Tensor) -> Tensor:
    """Logits in float32, of a forward pass in the precision of the settings."""
    with autocast(context.settings.precision, context.state.device):
        return context.state.network(images).float()


@torch.no_grad()
def _loss_and_correct(logits: Tensor, labels: Tensor) -> Tensor:
    """Summed cross-entropy and number of correct predictions, on the device."""
    loss = nn.functional.cross_entropy(logits, labels, reduction="sum")
    correct = (logits.argmax(dim=1) == labels).sum()
    return torch.stack([loss.double(), correct.double()])


@torch.inference_mode()
def _loss_and_accuracy(context: StepContext, subset: Subset) -> tuple[float, float]:
    """Mean cross-entropy and accuracy in evaluation mode."""
    state, settings = context.state, context.settings
    state.network.eval()
    totals = torch.zeros_like(state.totals)
    size = settings.micro_batch or settings.batch_size
    with precision_context(settings.precision, settings.autotune):
        for images, labels in subset.read(batches(np.arange(subset.count), size)):
            totals += _loss_and_correct(_logits(context, images), labels)
    loss, accuracy = (totals / subset.count).tolist()
    return loss, accuracy
