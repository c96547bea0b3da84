"""What the checks run on: a device, networks of every kind, images, and trainings of them."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neuron_pruning.data.images import Patterns
from neuron_pruning.models.architectures import describe
from neuron_pruning.models.initialisation import InitialisationSettings, initialise_network
from neuron_pruning.models.networks import Network
from neuron_pruning.training.callbacks import Callback
from neuron_pruning.training.loop import train_network
from neuron_pruning.training.settings import AugmentationSettings, TrainingSettings
from neuron_pruning.training.state import Epoch

CPU = torch.device("cpu")
BATCH, TRAIN, TEST = 8, 20, 4  # images; an epoch has two whole steps and a shorter one
SETTINGS = TrainingSettings(learning_rate=0.0005, batch_size=BATCH, seed=0, epochs=1)
EVERY_CHANGE = AugmentationSettings(
    flip=True, crop=0.2, rotation=15.0, colour=0.3, grey=0.2, erase=0.3
)
PAPER: dict[str, dict[str, Any]] = {"alexnet": {}, "vgg": {}}  # in the paper's sizes
SMALL: dict[str, dict[str, Any]] = {
    "alexnet": {"input_size": (300, 300), "channels": (8, 8, 16, 16, 16, 16), "widths": (32, 20)},
    "vgg": {"input_size": (128, 130), "channels": (2, 4, 4, 8, 8, 8, 16), "widths": (64, 40, 20)},
}
OTHERS: dict[str, dict[str, Any]] = {  # what a rehearsal has no time for
    "vgg8": {"input_size": (64, 64)},
    "torchvision/resnet18": {"input_size": (64, 64), "widths": (16,)},
}
OUTPUTS = 7


@dataclass
class Bed:
    """A device and what runs there; ``full`` gives the paper's networks the paper's sizes."""

    device: torch.device
    threads: int
    full: bool
    folder: Path  # for files
    _initial: dict[str, Network] = field(default_factory=dict)
    _losses: dict[str, list[float]] = field(default_factory=dict)

    @property
    def models(self) -> list[str]:
        """Names of the networks of which every kind of training is checked."""
        return [*PAPER, *(OTHERS if self.full else ())]

    def network(self, name: str) -> Network:
        """New copy of an initial network, on the CPU; ``small NAME`` has the small sizes."""
        if name not in self._initial:
            sizes = {**SMALL, **OTHERS, **(PAPER if self.full else {})}
            model = name.removeprefix("small ")
            settings = dict(SMALL[model] if name != model else sizes[model])
            if "widths" in settings:
                settings["widths"] = (*settings["widths"], OUTPUTS)
            architecture = describe(model, **settings)
            self._initial[name] = initialise_network(architecture, InitialisationSettings(), 0)
        return copy.deepcopy(self._initial[name])

    def reference(self, name: str) -> list[float]:
        """Losses of the network's training on the CPU in float32."""
        if name not in self._losses:
            self._losses[name] = train(self.network(name), CPU).losses
        return self._losses[name]


@dataclass(frozen=True)
class Outcome:
    """A trained network and its history."""

    network: Network
    epochs: list[Epoch]

    @property
    def losses(self) -> list[float]:
        """Training loss and test loss of the first epoch."""
        return [self.epochs[0].train_loss, self.epochs[0].test_loss]

    @property
    def tensors(self) -> dict[str, torch.Tensor]:
        """The network's tensors by name, on the CPU."""
        return {name: values.cpu() for name, values in self.network.state_dict().items()}


def random_images(network: Network, count: int = TRAIN + TEST) -> NDArray[np.uint8]:
    """Images of the network's size, N x height x width x 3."""
    shape = (count, *network.architecture.input_size, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def patterns(network: Network) -> tuple[Patterns, Patterns]:
    """Training and test images of all classes."""
    images, rows = random_images(network), np.arange(TRAIN + TEST)
    parts = rows[:TRAIN], rows[TRAIN:]
    return Patterns(images, parts[0], parts[0] % 7), Patterns(images, parts[1], parts[1] % 7)


def train(
    network: Network,
    device: torch.device,
    callbacks: Sequence[Callback] = (),
    room: float | None = None,
    **settings: Any,
) -> Outcome:
    """Train ``network`` on ``device`` for an epoch, or as the settings say."""
    parts = patterns(network)
    chosen = replace(SETTINGS, **settings)
    return Outcome(network, train_network(network, *parts, chosen, device, callbacks, room))


def check(true: bool, otherwise: str) -> None:
    """Fail with ``otherwise`` unless ``true``; an ``assert`` would vanish under ``python -O``."""
    if not true:
        raise AssertionError(otherwise)


def check_close(found: Any, wanted: Any, relative: float, what: str) -> str:
    """Largest difference as a share of the largest value; fail if it is above ``relative``."""
    found, wanted = (torch.as_tensor(x).detach().double().cpu() for x in (found, wanted))
    check(bool(torch.isfinite(found).all()), f"{what}: values that are not finite")
    share = float((found - wanted).abs().max() / wanted.abs().max().clamp_min(1e-30))
    check(share <= relative, f"{what}: off by {share:.1e}, more than {relative:.0e}")
    return f"{what} off by {share:.1e}"


def check_same(first: Outcome, second: Outcome, what: str) -> str:
    """Fail unless two trainings ended in the same bits."""
    pairs = zip(first.tensors.items(), second.tensors.values(), strict=True)
    other = [name for (name, a), b in pairs if not torch.equal(a, b)]
    check(not other, f"{what}: {len(other)} tensors differ, first {other[:1]}")
    check(first.losses == second.losses, f"{what}: losses differ")
    return f"{what}: the same bits"
