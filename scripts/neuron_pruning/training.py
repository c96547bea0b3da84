"""Training of one network (the paper, section 2.2.3)."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neuron_pruning.errors import UserError
from neuron_pruning.images import batches, load_batch
from neuron_pruning.networks import Network
from neuron_pruning.seeds import derive_seed

Precision = Literal["float32", "tf32", "bfloat16"]
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
    """One run: the paper's hyper-parameters and what it leaves open."""

    learning_rate: float
    batch_size: int
    seed: int
    epochs: int = 10
    precision: Precision = "float32"
    micro_batch: int | None = None
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)


@dataclass(frozen=True)
class Patterns:
    """Images of one part: rows of the array, and their class numbers."""

    array: NDArray[np.uint8]
    positions: NDArray[np.int64]
    classes: NDArray[np.int64]


@dataclass(frozen=True)
class Epoch:
    """One row of the history; training figures are means over the epoch's own batches."""

    epoch: int
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    seconds: float
    images_per_second: float


Progress = Callable[[int, float], None]  # images of the step, mean loss of the epoch so far


@contextmanager
def precision_context(precision: Precision, device: torch.device) -> Iterator[None]:
    """Arithmetic of the matrix products inside the block; weights stay float32."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def train_network(
    network: Network,
    train: Patterns,
    test: Patterns,
    settings: TrainingSettings,
    device: torch.device,
    progress: Progress | None = None,
) -> list[Epoch]:
    """Train ``network`` in place and return the history, a row an epoch.

    Raises:
        UserError: the loss is no longer a number.
    """
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = build_optimiser(network, settings.learning_rate, settings.optimiser)
    schedule = _schedule(optimiser, settings, len(train.positions))
    shuffle = np.random.default_rng(derive_seed(settings.seed, "shuffle"))
    history = []
    for epoch in range(1, settings.epochs + 1):
        started = time.perf_counter()
        order = shuffle.permutation(len(train.positions))
        loss, accuracy = _train_epoch(
            network, train, order, settings, optimiser, schedule, device, progress
        )
        seconds = time.perf_counter() - started
        if not math.isfinite(loss):
            raise UserError(
                f"training diverged: the loss of epoch {epoch} is {loss}; "
                f"try a learning rate below {settings.learning_rate} or another recipe"
            )
        tested = loss_and_accuracy(network, test, settings, device)
        history.append(
            Epoch(epoch, loss, accuracy, *tested, seconds, len(train.positions) / seconds)
        )
    return history


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


def _schedule(
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


def _train_epoch(
    network: Network,
    train: Patterns,
    order: NDArray[np.int64],
    settings: TrainingSettings,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
    device: torch.device,
    progress: Progress | None,
) -> tuple[float, float]:
    """Mean loss and accuracy over one pass through the training images in ``order``."""
    network.train()
    totals = torch.zeros(2, dtype=torch.float64)
    done = 0
    for rows in batches(order, settings.batch_size):
        optimiser.zero_grad()
        totals += _accumulate_gradients(network, train, rows, settings, device)
        if settings.optimiser.centred_gradients:
            centre_gradients(network)
        optimiser.step()
        schedule.step()
        done += len(rows)
        if progress is not None:
            progress(len(rows), totals[0].item() / done)
    loss, accuracy = (totals / len(order)).tolist()
    return loss, accuracy


def _accumulate_gradients(
    network: Network,
    train: Patterns,
    rows: NDArray[np.int64],
    settings: TrainingSettings,
    device: torch.device,
) -> Tensor:
    """Gradient of the batch's mean loss, in pieces of at most ``micro_batch`` images.

    ASSUME: batch normalisation then sees the pieces, not the batch. Returns the summed loss and
    the number of right answers.
    """
    totals = torch.zeros(2, dtype=torch.float64)
    for piece in batches(rows, settings.micro_batch or len(rows)):
        images = load_batch(train.array, train.positions[piece], device)
        classes = torch.from_numpy(train.classes[piece]).to(device)
        with precision_context(settings.precision, device):
            logits = network(images)
        loss = nn.functional.cross_entropy(logits.float(), classes, reduction="sum")
        (loss / len(rows)).backward()
        right = (logits.argmax(dim=1) == classes).sum()
        totals += torch.stack([loss.detach().double(), right.double()]).cpu()
    return totals


@torch.inference_mode()
def loss_and_accuracy(
    network: Network, patterns: Patterns, settings: TrainingSettings, device: torch.device
) -> tuple[float, float]:
    """Mean cross-entropy and share of right answers in evaluation mode."""
    network.eval()
    loss = right = 0.0
    rows = np.arange(len(patterns.positions))
    for piece in batches(rows, settings.micro_batch or settings.batch_size):
        images = load_batch(patterns.array, patterns.positions[piece], device)
        classes = torch.from_numpy(patterns.classes[piece]).to(device)
        with precision_context(settings.precision, device):
            logits = network(images).float()
        loss += nn.functional.cross_entropy(logits, classes, reduction="sum").item()
        right += (logits.argmax(dim=1) == classes).sum().item()
    return loss / len(rows), right / len(rows)
