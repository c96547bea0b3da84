"""Training of one network (the paper, section 2.2.3)."""

import itertools
import logging
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Literal, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from neuron_pruning.core.errors import UserError
from neuron_pruning.core.numerics import Precision, precision_context
from neuron_pruning.core.resume import Arrays, Resume, StateKeeper
from neuron_pruning.core.seeds import derive_seed
from neuron_pruning.data.images import ImageReader, Patterns, Rows, batches, rows_on
from neuron_pruning.models.networks import Network
from neuron_pruning.training.augmentation import AugmentationSettings, augment
from neuron_pruning.training.sensitivity import Sensitivity
from neuron_pruning.training.state import Moving

OptimiserName = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "cosine"]


@dataclass(frozen=True)
class OptimiserSettings:
    """How weights move. ASSUME: the paper names no optimiser; Adam is the default.

    ``linear_fan_in`` and ``convolution_fan_in`` shorten the steps of wide layers: a weight of a
    layer with more inputs than that learns at ``learning_rate * fan_in_reference / inputs``, so
    that a step moves no pre-activation further in a wide layer than in a narrow one.
    ``centred_gradients`` subtracts from every unit's weight gradient its mean over the inputs
    (gradient centralisation, Yong et al. 2020), so that a step does not shift all inputs alike.
    """

    name: OptimiserName = "adam"
    weight_decay: float = 0.0
    momentum: float = 0.9
    linear_fan_in: float | None = None
    convolution_fan_in: float | None = None
    centred_gradients: bool = False
    warmup_steps: int = 0
    schedule: Schedule = "constant"


@dataclass(frozen=True)
class TrainingSettings:
    """One run: the paper's hyper-parameters and what it leaves open.

    ``label_smoothing`` is the share of the wanted probability that goes to all classes alike
    (Szegedy et al. 2016).
    """

    learning_rate: float
    batch_size: int
    seed: int
    epochs: int = 10
    precision: Precision = "float32"
    micro_batch: int | None = None
    autotune: bool = False
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    label_smoothing: float = 0.0


@dataclass(frozen=True)
class Epoch:
    """One row of the history; training figures are means over the epoch's own batches.

    Those are of the images as augmented; losses are without label smoothing.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    seconds: float
    images_per_second: float


Progress = Callable[[int], None]  # images of a step
Trained = TypeVar("Trained")


class _Part:
    """Images and classes of one part, as a device gets them."""

    def __init__(self, patterns: Patterns, device: torch.device) -> None:
        self.count = len(patterns.positions)
        self._reader = ImageReader(patterns.array, device, patterns.positions)
        self._classes = torch.from_numpy(patterns.classes).to(device)

    def read(self, pieces: Iterable[Rows]) -> Iterator[tuple[Tensor, Tensor]]:
        """Images and classes of every piece in turn; rows are counted within the part."""
        pieces = list(pieces)
        rows = rows_on(self._classes.device, pieces)
        for places, images in zip(rows, self._reader.read(pieces), strict=True):
            yield images, self._classes[places]


@dataclass(frozen=True)
class _Run:
    """What the steps of one training share."""

    moving: Moving
    settings: TrainingSettings
    progress: Progress | None
    keeper: StateKeeper | None

    def augment(self, images: Tensor) -> Tensor:
        """Training images as the network sees them."""
        return augment(images, self.settings.augmentation, self.moving.chance)

    def forward(self, images: Tensor) -> Tensor:
        """Logits in float32, computed in the precision of the settings."""
        settings = self.settings
        with precision_context(settings.precision, self.moving.device, settings.autotune):
            return self.moving.network(images).float()


@dataclass
class _Position:
    """How far a training has come: finished epochs, and steps of the next."""

    history: list[Epoch] = field(default_factory=list)
    step: int = 0
    seconds: float = 0.0  # of those steps, up to ``since``
    since: float = 0.0
    arrays: Arrays | None = None  # of an earlier process, until they are put back

    @property
    def epoch(self) -> int:
        """The epoch that is under way, from 1."""
        return len(self.history) + 1


def _totals(device: torch.device) -> Tensor:
    """Room for a summed loss and a number of right answers, on the device.

    Nothing asks for their values inside an epoch, so that a card never waits for the host.
    """
    return torch.zeros(2, dtype=torch.float64, device=device)


def train_network(
    network: Network,
    train: Patterns,
    test: Patterns,
    settings: TrainingSettings,
    device: torch.device,
    progress: Progress | None = None,
    sensitivity: Sensitivity | None = None,
    resume: Resume | None = None,
) -> list[Epoch]:
    """Train ``network`` in place and return the history, a row an epoch.

    ``sensitivity`` is told of every step. With ``resume`` the whole state is written every so
    many minutes, and a training that was killed goes on from it.

    Raises:
        UserError: the loss is no longer a number.
    """
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = build_optimiser(network, settings.learning_rate, settings.optimiser)
    schedule = build_schedule(optimiser, settings, len(train.positions))
    chance = torch.Generator().manual_seed(derive_seed(settings.seed, "augment"))
    moving = Moving(network, optimiser, schedule, sensitivity, chance, _totals(device), device)
    run = _Run(moving, settings, progress, None if resume is None else StateKeeper(resume))
    at = _put_back(run, len(train.positions))
    training, testing = _Part(train, device), _Part(test, device)
    orders = _orders(settings.seed, training.count, at.epoch)
    while at.epoch <= settings.epochs:
        loss, accuracy = _train_epoch(run, training, next(orders), at)
        if not math.isfinite(loss):
            raise UserError(
                f"training diverged: the loss of epoch {at.epoch} is {loss}; "
                f"try a learning rate below {settings.learning_rate} or another recipe"
            )
        tested = _loss_and_accuracy(run, testing)
        speed = at.seconds, training.count / at.seconds
        at.history.append(Epoch(at.epoch, loss, accuracy, *tested, *speed))
        at.step, at.seconds = 0, 0.0
        moving.totals.zero_()
    return at.history


def within_memory(
    attempt: Callable[[TrainingSettings], Trained], settings: TrainingSettings
) -> Trained:
    """What ``attempt`` returns, with half as many images at once each time a card has no room.

    Raises:
        UserError: not even one image fits.
    """
    while True:
        try:
            return attempt(settings)
        except torch.cuda.OutOfMemoryError as error:
            at_once = settings.micro_batch or settings.batch_size
            if at_once == 1:
                raise UserError(
                    "the card has no memory for a single image; take a smaller network or input "
                    "size, or run fewer jobs a card (resources: gpu)"
                ) from error
            settings = replace(settings, micro_batch=at_once // 2)
        _say(f"the card's memory is full: going on with {at_once // 2} images at once")
        torch.cuda.empty_cache()


def _say(warning: str) -> None:
    """To the log and to whoever watches."""
    logging.warning(warning)
    print(f"warning: {warning}", file=sys.stderr, flush=True)


def _orders(seed: int, images: int, first: int) -> Iterator[Rows]:
    """Order of the training images in every epoch from the ``first`` on."""
    shuffle = np.random.default_rng(derive_seed(seed, "shuffle"))
    for epoch in itertools.count(1):
        order = shuffle.permutation(images)
        if epoch >= first:
            yield order


def _put_back(run: _Run, images: int) -> _Position:
    """Where the training begins: at the state of an earlier process, if there is one."""
    found = None if run.keeper is None else run.keeper.load()
    if found is None:
        return _Position()
    arrays, about = found
    run.moving.put_back(arrays, about["numbers"])
    at = _Position([Epoch(**row) for row in about["history"]], about["step"], about["seconds"])
    at.arrays = arrays
    logging.info("going on in epoch %d after step %d of it", at.epoch, at.step)
    if run.progress is not None:
        run.progress(len(at.history) * images + at.step * run.settings.batch_size)
    return at


@contextmanager
def _dropout_from(seed: int, device: torch.device) -> Iterator[None]:
    """PyTorch's own random numbers, which dropout takes, from ``seed`` inside the block."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def build_optimiser(
    network: nn.Module, learning_rate: float, settings: OptimiserSettings
) -> torch.optim.Optimizer:
    """Optimiser with one group of parameters a step length."""
    groups: dict[float, list[nn.Parameter]] = {}
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            scale = _step_scale(module, name, settings)
            groups.setdefault(scale, []).append(parameter)
    parameters = [{"params": ps, "lr": learning_rate * scale} for scale, ps in groups.items()]
    decay = settings.weight_decay
    if settings.name == "sgd":
        return torch.optim.SGD(
            parameters, learning_rate, momentum=settings.momentum, weight_decay=decay, fused=True
        )
    if settings.name == "adamw":
        return torch.optim.AdamW(parameters, learning_rate, weight_decay=decay, fused=True)
    return torch.optim.Adam(parameters, learning_rate, weight_decay=decay, fused=True)


def _step_scale(module: nn.Module, name: str, settings: OptimiserSettings) -> float:
    """Factor on the learning rate of one parameter; only weights of wide layers have one."""
    if name != "weight" or not isinstance(module, nn.Linear | nn.Conv2d):
        return 1.0
    linear = isinstance(module, nn.Linear)
    reference = settings.linear_fan_in if linear else settings.convolution_fan_in
    if reference is None:
        return 1.0
    return min(1.0, reference / module.weight[0].numel())


@torch.no_grad()
def centre_gradients(network: nn.Module) -> None:
    """Give the weight gradient of every unit and kernel the mean 0 over its inputs."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d) and layer.weight.grad is not None:
            gradient = layer.weight.grad
            gradient.sub_(gradient.mean(dim=tuple(range(1, gradient.ndim)), keepdim=True))


def build_schedule(
    optimiser: torch.optim.Optimizer, settings: TrainingSettings, images: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """Linear warm-up, then constant or a cosine to zero, by optimiser step."""
    warmup = settings.optimiser.warmup_steps
    steps = settings.epochs * math.ceil(images / settings.batch_size)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if settings.optimiser.schedule == "constant":
            return 1.0
        return 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))

    return torch.optim.lr_scheduler.LambdaLR(optimiser, factor)


def _train_epoch(run: _Run, train: _Part, order: Rows, at: _Position) -> tuple[float, float]:
    """Mean loss and accuracy over one pass through the training images in ``order``."""
    settings, moving = run.settings, run.moving
    moving.network.train()
    steps = [
        list(batches(rows, settings.micro_batch or len(rows)))
        for rows in batches(order, settings.batch_size)
    ][at.step :]
    patterns = train.read(piece for pieces in steps for piece in pieces)
    with _dropout_from(derive_seed(settings.seed, f"dropout/{at.epoch}"), moving.device):
        if at.arrays is not None:
            moving.put_back_random(at.arrays)
            at.arrays = None
        at.since = time.perf_counter()
        for pieces in steps:
            _take_step(run, patterns, pieces)
            at.step += 1
            _save_if_due(run, at)
    loss, accuracy = (moving.totals / len(order)).tolist()
    at.seconds += time.perf_counter() - at.since
    return loss, accuracy


def _save_if_due(run: _Run, at: _Position) -> None:
    """Write the state if the last one is old enough."""
    if run.keeper is not None and run.keeper.due:
        at.seconds += time.perf_counter() - at.since
        history = [asdict(epoch) for epoch in at.history]
        about = {"history": history, "step": at.step, "seconds": at.seconds}
        run.keeper.save(run.moving.arrays(), {**about, "numbers": run.moving.numbers()})
        at.since = time.perf_counter()


def _take_step(run: _Run, patterns: Iterator[tuple[Tensor, Tensor]], pieces: list[Rows]) -> None:
    """Move the weights by the gradients of a whole batch, which comes in ``pieces``."""
    images, moving = sum(map(len, pieces)), run.moving
    moving.optimiser.zero_grad()
    for _ in pieces:
        moving.totals.add_(_add_gradients(run, *next(patterns), images))
    if run.settings.optimiser.centred_gradients:
        centre_gradients(moving.network)
    if moving.sensitivity is not None:
        moving.sensitivity.before_step()
    moving.optimiser.step()
    if moving.sensitivity is not None:
        moving.sensitivity.after_step()
    moving.schedule.step()
    if run.progress is not None:
        run.progress(images)


def _add_gradients(run: _Run, images: Tensor, classes: Tensor, batch: int) -> Tensor:
    """Add one piece's share of the gradient of the batch's mean loss.

    ASSUME: batch normalisation sees the pieces of a batch that ``micro_batch`` cuts, not the
    batch. Returns the summed loss and the number of right answers.
    """
    logits = run.forward(run.augment(images))
    smoothing = run.settings.label_smoothing
    wanted = nn.functional.cross_entropy(
        logits, classes, reduction="sum", label_smoothing=smoothing
    )
    (wanted / batch).backward()
    with torch.no_grad():
        loss = nn.functional.cross_entropy(logits, classes, reduction="sum")
        right = (logits.argmax(dim=1) == classes).sum()
    return torch.stack([loss.double(), right.double()])


@torch.inference_mode()
def _loss_and_accuracy(run: _Run, part: _Part) -> tuple[float, float]:
    """Mean cross-entropy and share of right answers in evaluation mode."""
    run.moving.network.eval()
    totals = _totals(run.moving.device)
    size = run.settings.micro_batch or run.settings.batch_size
    for images, classes in part.read(batches(np.arange(part.count), size)):
        logits = run.forward(images)
        loss = nn.functional.cross_entropy(logits, classes, reduction="sum")
        right = (logits.argmax(dim=1) == classes).sum()
        totals += torch.stack([loss.double(), right.double()])
    loss, accuracy = (totals / part.count).tolist()
    return loss, accuracy
