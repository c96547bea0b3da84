"""What a network costs with some units removed: multiply-adds, parameters, milliseconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float64
from numpy.typing import NDArray
from torch import Tensor, nn

from neuron_pruning.any_network.unit_layers import FoundLayers
from neuron_pruning.evaluation.latency import seconds_in_turns

LATENCY_PASSES = 15  # of each network, in turns


@dataclass(frozen=True)
class Size:
    """What a network costs per image."""

    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class CostModel:
    """Sizes of a network by the number of units that each layer loses.

    A tensor's size is that of the whole network times the share of its outputs times the share of
    its inputs that stay; each unit of a layer has as many entries as any other.
    """

    model: nn.Module
    found: FoundLayers

    def size(self, counts: Mapping[str, int]) -> Size:
        """Size without so many units of each layer."""
        removed = np.array([counts.get(name, 0) for name in self.found.layers], dtype=float)
        tensors, outputs, inputs, adds = self._tensors
        stays = (1.0 - outputs @ removed) * (1.0 - inputs @ removed)
        return Size(round(float(tensors @ stays)), round(float(adds @ stays)))

    @cached_property
    def _tensors(self) -> tuple[NDArray[np.float64], ...]:
        """Of each parameter: its size, its shares by unit of each layer, its multiply-adds."""
        rows, names, seen = [], list(self.found.layers), set[int]()
        shares = self._shares
        for module_name, module in self.model.named_modules():
            for name, tensor in module.named_parameters(recurse=False):
                if id(tensor) in seen:
                    continue
                seen.add(id(tensor))
                outputs, inputs = (
                    shares.get((module_name, name, side), np.zeros(len(names)))
                    for side in ("outputs", "inputs")
                )
                adds = self.found.costs.get(module_name, 0) if name == "weight" else 0
                rows.append((float(tensor.numel()), outputs, inputs, float(adds)))
        rest = self.found.total_multiply_adds - sum(self.found.costs.values())
        for place, layer in enumerate(self.found.layers.values()):
            if layer.products:
                share = np.eye(len(names))[place] / layer.units
                rows.append((0.0, share, np.zeros(len(names)), float(layer.products)))
                rest -= layer.products
        rows.append((0.0, np.zeros(len(names)), np.zeros(len(names)), float(rest)))
        sizes, outputs_, inputs_, adds_ = zip(*rows, strict=True)
        return np.array(sizes), np.stack(outputs_), np.stack(inputs_), np.array(adds_)

    @cached_property
    def _shares(self) -> dict[tuple[str, str, str], Float64[NDArray, " layers"]]:
        """Share of a tensor's outputs or inputs that goes with one unit, by layer."""
        found: dict[tuple[str, str, str], NDArray[np.float64]] = {}
        modules = dict(self.model.named_modules())
        for place, layer in enumerate(self.found.layers.values()):
            for part in layer.parts:
                side = "inputs" if part.role == "consumer" else "outputs"
                for name, tensor in modules[part.module].named_parameters(recurse=False):
                    # A PReLU may have one value for all channels.
                    if part.axis(name, tensor) is None or tensor.numel() == 1:
                        continue
                    shares = found.setdefault(
                        (part.module, name, side), np.zeros(len(self.found.layers))
                    )
                    shares[place] += (part.unit_of >= 0).mean() / layer.units
        return found


@torch.inference_mode()
def latency(networks: Sequence[nn.Module], images: Tensor) -> list[float]:
    """Milliseconds of a forward pass of each network on the same images, median of its turns."""
    taken = seconds_in_turns(networks, images, LATENCY_PASSES, warmup=2)
    return [1000.0 * float(np.median(seconds)) for seconds in taken]
