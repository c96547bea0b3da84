"""Everything that changes while a network trains, as tensors by name and back again.

A training that loads its state continues as if it had never stopped, to the last bit. The moments
of the optimiser must have the memory layout of their parameters, because fused steps go through
the memory of both alike.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from neuron_pruning.models.networks import Network


@dataclass(frozen=True)
class Epoch:
    """One row of the history; training figures are means over the epoch's own batches.

    They are those of the augmented images; losses are without label smoothing.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    seconds: float
    images_per_second: float


@dataclass
class TrainingProgress:
    """How far a training has come: finished epochs, and steps of the current one."""

    history: list[Epoch] = field(default_factory=list)  # one row per finished epoch
    step: int = 0  # finished optimiser steps of the current epoch
    seconds: float = 0.0  # training time of the current epoch up to the last stop_clock
    _started: float = field(default=0.0, init=False, repr=False)

    @property
    def epoch(self) -> int:
        """The current epoch, from 1."""
        return len(self.history) + 1

    def start_clock(self) -> None:
        """Count the time from now on as training time of the epoch."""
        self._started = time.perf_counter()

    def stop_clock(self) -> None:
        """Add the time since :meth:`start_clock` to ``seconds``."""
        self.seconds += time.perf_counter() - self._started

    def finish_epoch(self, row: Epoch) -> None:
        """Append the row of the current epoch and begin the next one."""
        self.history.append(row)
        self.step, self.seconds = 0, 0.0


@dataclass(frozen=True)
class TrainingState:
    """What a training step changes.

    ``totals`` are the summed loss and the number of correct predictions of the current epoch, on
    the device. Nothing reads their values inside an epoch: a GPU never waits for the host.
    """

    network: Network
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LambdaLR
    augmentation_rng: torch.Generator  # on the CPU
    totals: Tensor
    device: torch.device

    def tensors(self) -> dict[str, Tensor]:
        """All tensors by name; they share the memory of the training."""
        tensors = {f"network/{n}": t for n, t in self.network.state_dict().items()}
        for name, parameter in self.network.named_parameters():
            for key, value in self.optimiser.state.get(parameter, {}).items():
                if isinstance(value, Tensor):
                    tensors[f"optimiser/{name}/{key}"] = value
        tensors["totals"] = self.totals
        tensors["rng/augmentation"] = self.augmentation_rng.get_state()
        tensors["rng/torch"] = torch.get_rng_state()
        if self.device.type == "cuda":
            tensors["rng/cuda"] = torch.cuda.get_rng_state(self.device)
        return tensors

    def numbers(self) -> dict[str, Any]:
        """Position on the schedule, and the learning rates there."""
        keys = ("last_epoch", "_step_count", "_last_lr")
        return {
            "schedule": {key: self.schedule.state_dict()[key] for key in keys},
            "rates": [group["lr"] for group in self.optimiser.param_groups],
        }

    @torch.no_grad()
    def load_state(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Continue from :meth:`tensors` and :meth:`numbers`, except PyTorch's own generators."""
        for name, target in self.network.state_dict().items():
            target.copy_(tensors[f"network/{name}"].reshape(target.shape))
        for name, parameter in self.network.named_parameters():
            for key, saved in with_prefix(tensors, f"optimiser/{name}/").items():
                self.optimiser.state[parameter][key] = (
                    saved.reshape(()).to(parameter.device)  # number of steps
                    if key == "step"
                    else torch.empty_like(parameter).copy_(saved)  # in the layout of the parameter
                )
        self.totals.copy_(tensors["totals"])
        self.augmentation_rng.set_state(tensors["rng/augmentation"])
        self.schedule.load_state_dict({**self.schedule.state_dict(), **numbers["schedule"]})
        for group, rate in zip(self.optimiser.param_groups, numbers["rates"], strict=True):
            group["lr"] = rate

    def load_torch_rng(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue PyTorch's own random numbers, which dropout draws."""
        torch.set_rng_state(tensors["rng/torch"])
        if self.device.type == "cuda" and "rng/cuda" in tensors:
            torch.cuda.set_rng_state(tensors["rng/cuda"], self.device)


def with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix``, by the rest of their names."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
