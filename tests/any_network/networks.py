"""Small networks of every kind that the tests of any network share, and images for them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from neuron_pruning.any_network.batches import Batches
from neuron_pruning.any_network.options import Method
from neuron_pruning.any_network.pruner import Cut, Pruner
from neuron_pruning.any_network.unit_layers import FoundLayers, find_unit_layers


class Functional(nn.Module):
    """A network of these modules with this forward function."""

    def __init__(self, forward: Callable[[Any, Tensor], Any], **modules: nn.Module) -> None:
        super().__init__()
        self._function = forward
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, images: Tensor) -> Any:
        return self._function(self, images)


def pooled() -> list[nn.Module]:
    """From maps to one number per channel."""
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten()]


def images(count: int = 24, size: int = 8, channels: int = 3, seed: int = 0) -> Tensor:
    """Random images in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((count, channels, size, size), generator=generator, dtype=torch.float64)


def loader(count: int = 24, size: int = 8, batch: int = 8, classes: int | None = None) -> list[Any]:
    """Batches of images in float64, with labels where there are classes."""
    parts = images(count, size).split(batch)
    if classes is None:
        return [(part,) for part in parts]
    generator = torch.Generator().manual_seed(1)
    return [(p, torch.randint(0, classes, (len(p),), generator=generator)) for p in parts]


def found_in(model: nn.Module, size: int = 8) -> FoundLayers:
    """Its unit layers."""
    return find_unit_layers(model, images(1, size))


def pruner_of(model: nn.Module, batches: list[Any] | None = None, size: int = 8) -> Pruner:
    """A pruner that fits on all of the images."""
    given = loader(size=size) if batches is None else batches
    return Pruner(model, found_in(model, size), Batches(given, 0.0, torch.device("cpu")))


def cut(model: nn.Module, amounts: dict[str, int], **method: Any) -> Cut:
    """Remove units on the test images; batch-norm statistics stay unless asked otherwise."""
    return pruner_of(model).cut(amounts, Method(**{"batch_norm": "keep", **method}))
