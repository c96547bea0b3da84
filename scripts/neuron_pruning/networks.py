"""The paper's two networks (sections 2.2.1 and 2.2.2) at any width and input size."""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from neuron_pruning.convolutions import run_features
from neuron_pruning.errors import UserError

Normalisation = Literal["none", "batch"]

DEFAULT_CHANNELS = {
    "alexnet": (96, 96, 256, 384, 384, 256),
    "vgg": (8, 16, 32, 64, 128, 256, 512),
}
# ASSUME: the paper's 3072 and 10240 neurons are fully connected layers behind a flatten of the
# same size. The compact reading, flatten only, is widths (1526, 100, 7) and (5120, 1000, 100, 7).
DEFAULT_WIDTHS = {
    "alexnet": (3072, 1526, 100, 7),
    "vgg": (10240, 5120, 1000, 100, 7),
}


@dataclass(frozen=True)
class Architecture:
    """What a network is made of; stored beside its weights.

    ``input_size`` is height, width; ``widths`` the units of the fully connected layers, the
    last being the classes.
    """

    name: str
    input_size: tuple[int, int]
    channels: tuple[int, ...]
    widths: tuple[int, ...]
    normalisation: Normalisation = "none"


class Network(nn.Module):
    """Convolutions, then fully connected layers ``fc1`` ... ``fcN`` with sigmoids between."""

    def __init__(self, architecture: Architecture, features: nn.Sequential, flat: int) -> None:
        super().__init__()
        self.architecture = architecture
        self.features = features
        self.classifier = nn.ModuleDict()
        for number, width in enumerate(architecture.widths, start=1):
            self.classifier[f"fc{number}"] = nn.Linear(flat, width)
            flat = width

    @property
    def layer_names(self) -> list[str]:
        """Names of the fully connected layers, input side first; the last gives the logits."""
        return list(self.classifier)

    def linear(self, name: str) -> nn.Linear:
        """Fully connected layer of that name.

        Raises:
            UserError: there is none; the message lists those there are.
        """
        if name not in self.classifier:
            known = ", ".join(self.layer_names)
            raise UserError(f"{self.architecture.name} has no layer {name!r}; it has {known}")
        layer = self.classifier[name]
        assert isinstance(layer, nn.Linear)
        return layer

    def forward(self, images: Tensor) -> Tensor:
        """Logits, N x classes, of normalised images, N x 3 x height x width."""
        return self.activations(images)[self.layer_names[-1]]

    def activations(self, images: Tensor) -> dict[str, Tensor]:
        """Outputs of every fully connected layer by name, N x units; the last are the logits."""
        outputs: dict[str, Tensor] = {}
        values = run_features(self.features, images).flatten(1)
        *hidden, last = self.layer_names
        for name in hidden:
            values = torch.sigmoid(self.classifier[name](values))
            outputs[name] = values
        outputs[last] = self.classifier[last](values)
        return outputs


def _convolution(
    inputs: int,
    kernels: int,
    kernel: tuple[int, int, int],
    normalisation: Normalisation,
    pool: tuple[int, int] | None,
) -> list[nn.Module]:
    """Layers of one convolution; ``kernel`` is size, stride, padding, ``pool`` size, stride.

    Pooling stands before the ReLU: the same function, as the ReLU never swaps a maximum, on
    fewer values.
    """
    size, stride, padding = kernel
    layers: list[nn.Module] = [nn.Conv2d(inputs, kernels, size, stride=stride, padding=padding)]
    if normalisation == "batch":
        layers.append(nn.BatchNorm2d(kernels))
    if pool is not None:
        layers.append(nn.MaxPool2d(*pool))
    return [*layers, nn.ReLU()]


def _alexnet(channels: Sequence[int], normalisation: Normalisation) -> nn.Sequential:
    # ASSUME: stride 4 in the second convolution too: only it gives the paper's 3072.
    kernels = [(11, 4, 0), (11, 4, 0), (5, 1, 2), (3, 1, 1), (3, 1, 1), (3, 1, 1)]
    pooled = {0, 1, 5}
    layers: list[nn.Module] = []
    inputs = 3
    for index, (width, kernel) in enumerate(zip(channels, kernels, strict=True)):
        pool = (3, 2) if index in pooled else None
        layers += _convolution(inputs, width, kernel, normalisation, pool)
        inputs = width
    return nn.Sequential(*layers)


def _vgg(channels: Sequence[int], normalisation: Normalisation) -> nn.Sequential:
    layers: list[nn.Module] = []
    inputs = 3
    for width in channels:
        layers += _convolution(inputs, width, (3, 1, 1), normalisation, (2, 2))
        inputs = width
    return nn.Sequential(*layers)


FEATURES: dict[str, Callable[[Sequence[int], Normalisation], nn.Sequential]] = {
    "alexnet": _alexnet,
    "vgg": _vgg,
}


def build_network(
    name: str,
    input_size: tuple[int, int] = (576, 720),
    widths: Sequence[int] | None = None,
    channels: Sequence[int] | None = None,
    normalisation: Normalisation = "none",
) -> Network:
    """New network with PyTorch's default initialisation.

    Args:
        name: ``alexnet`` or ``vgg``.
        input_size: height and width of the images.
        widths: units of the fully connected layers, the classes last; None: the paper's.
        channels: kernels of the convolutions; None: the paper's.
        normalisation: ``batch`` puts batch normalisation before every ReLU.

    Raises:
        UserError: unknown name, wrong number of widths, or images too small for the layers.
    """
    if name not in FEATURES:
        raise UserError(f"unknown model {name!r}; known: {', '.join(FEATURES)}")
    architecture = Architecture(
        name,
        (int(input_size[0]), int(input_size[1])),
        tuple(channels or DEFAULT_CHANNELS[name]),
        tuple(widths or DEFAULT_WIDTHS[name]),
        normalisation,
    )
    return build_architecture(architecture)


def with_classes(architecture: Mapping[str, Any], classes: int) -> Architecture:
    """Architecture of a config's hidden widths and the number of classes of the data."""
    widths = [*architecture["widths"], classes]
    with torch.device("meta"):
        return build_network(**{**architecture, "widths": widths}).architecture


def build_architecture(architecture: Architecture) -> Network:
    """New network of a given architecture; see :func:`build_network`."""
    expected = len(DEFAULT_CHANNELS[architecture.name])
    if len(architecture.channels) != expected:
        raise UserError(
            f"{architecture.name} has {expected} convolutions, got {len(architecture.channels)}"
        )
    if len(architecture.widths) < 2 or min(*architecture.widths, *architecture.channels) < 1:
        raise UserError("widths need a hidden and an output layer, each of one unit or more")
    features = FEATURES[architecture.name](architecture.channels, architecture.normalisation)
    return Network(architecture, features, _flat_size(features, architecture))


def _flat_size(features: nn.Sequential, architecture: Architecture) -> int:
    """Outputs of the convolutions for one image, found by arithmetic on the meta device."""
    height, width = architecture.input_size
    probe = copy.deepcopy(features).to("meta").eval()
    try:
        return math.prod(probe(torch.empty(1, 3, height, width, device="meta")).shape)
    except RuntimeError as error:
        least = smallest_input(architecture.name)
        raise UserError(
            f"images of {height} x {width} (height x width) are too small for "
            f"{architecture.name}: it needs {least} x {least} at least"
        ) from error


def smallest_input(name: str) -> int:
    """Smallest height and width in pixels that leave one output a channel."""
    size = 1
    for layer in reversed(list(FEATURES[name](DEFAULT_CHANNELS[name], "none"))):
        if isinstance(layer, nn.Conv2d):
            (kernel, _), (stride, _) = layer.kernel_size, layer.stride
            padding = int(layer.padding[0])
        elif isinstance(layer, nn.MaxPool2d):
            (kernel, stride), padding = _square(layer), 0
        else:
            continue
        size = max((size - 1) * stride + kernel - 2 * padding, 1)
    return size


def _square(layer: nn.MaxPool2d) -> tuple[int, int]:
    """Kernel and stride of a pooling that was built from two whole numbers."""
    assert isinstance(layer.kernel_size, int) and isinstance(layer.stride, int)
    return layer.kernel_size, layer.stride


def count_parameters(network: Network) -> int:
    """Trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def count_multiply_adds(network: Network) -> int:
    """Multiply-adds of one forward pass of one image, convolutions and linear layers."""
    probe = copy.deepcopy(network).to("meta").eval()
    counts: list[int] = []

    def count(layer: nn.Module, _inputs: object, output: Tensor) -> None:
        weight = layer.weight
        assert isinstance(weight, Tensor)
        counts.append(output.numel() * weight[0].numel())

    for layer in probe.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    height, width = network.architecture.input_size
    values = probe.features(torch.empty(1, 3, height, width, device="meta")).flatten(1)
    for name in probe.layer_names:
        values = probe.classifier[name](values)
    return sum(counts)
