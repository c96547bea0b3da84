"""Everything that changes while a network trains, as arrays and back again.

Put back, a training goes on as if it had never stopped, to the last bit. The moments of the
optimiser need the order in memory of their parameters: fused steps go through both alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neuron_pruning.core.resume import Arrays
from neuron_pruning.models.networks import Network
from neuron_pruning.training.sensitivity import Sensitivity


@dataclass(frozen=True)
class Moving:
    """What a training step changes; ``totals`` are the epoch's summed loss and right answers."""

    network: Network
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LambdaLR
    sensitivity: Sensitivity | None
    chance: torch.Generator  # of the augmentation
    totals: Tensor
    device: torch.device

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All tensors, by name; numbers have one dimension, which safetensors wants.

        On the CPU they share the memory of the training: write them before the next step.
        """
        tensors = {f"network/{n}": t for n, t in self.network.state_dict().items()}
        for name, parameter in self.network.named_parameters():
            for key, value in self.optimiser.state.get(parameter, {}).items():
                if isinstance(value, Tensor):
                    tensors[f"optimiser/{name}/{key}"] = value
        if self.sensitivity is not None:
            tensors |= {f"sensitivity/{n}": t for n, t in self.sensitivity.sums.items()}
        tensors |= {"totals": self.totals, "random/augment": self.chance.get_state()}
        tensors |= {"random/torch": torch.get_rng_state()}
        if self.device.type == "cuda":
            tensors |= {"random/cuda": torch.cuda.get_rng_state(self.device)}
        return {
            name: np.atleast_1d(tensor.detach().cpu().numpy()) for name, tensor in tensors.items()
        }

    def numbers(self) -> dict[str, Any]:
        """Position on the schedule, and the learning rates there."""
        kept = ("last_epoch", "_step_count", "_last_lr")
        return {
            "schedule": {key: self.schedule.state_dict()[key] for key in kept},
            "rates": [group["lr"] for group in self.optimiser.param_groups],
        }

    @torch.no_grad()
    def put_back(self, arrays: Arrays, numbers: Mapping[str, Any]) -> None:
        """Continue from :meth:`arrays` and :meth:`numbers`, but for PyTorch's own generators."""
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        for name, place in self.network.state_dict().items():
            place.copy_(tensors[f"network/{name}"].reshape(place.shape))
        for name, parameter in self.network.named_parameters():
            prefix = f"optimiser/{name}/"
            for key in (k.removeprefix(prefix) for k in tensors if k.startswith(prefix)):
                saved = tensors[prefix + key]
                self.optimiser.state[parameter][key] = (
                    saved.reshape(()).to(parameter.device)  # how many steps it has made
                    if key == "step"
                    else torch.empty_like(parameter).copy_(saved)  # in its order in memory
                )
        if self.sensitivity is not None:
            self.sensitivity.put_back(
                {n.partition("/")[2]: t for n, t in tensors.items() if n.startswith("sensitivity/")}
            )
        self.totals.copy_(tensors["totals"])
        self.chance.set_state(tensors["random/augment"])
        self.schedule.load_state_dict({**self.schedule.state_dict(), **numbers["schedule"]})
        for group, rate in zip(self.optimiser.param_groups, numbers["rates"], strict=True):
            group["lr"] = rate

    def put_back_random(self, arrays: Arrays) -> None:
        """Continue PyTorch's own random numbers, which dropout takes."""
        torch.set_rng_state(torch.from_numpy(arrays["random/torch"]))
        if self.device.type == "cuda" and "random/cuda" in arrays:
            torch.cuda.set_rng_state(torch.from_numpy(arrays["random/cuda"]), self.device)
