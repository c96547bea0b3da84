"""The paper's two networks (sections 2.2.1 and 2.2.2) at any width and input size, and others.

The convolutions may be a classifier of torchvision (:mod:`neuron_pruning.models.backbones`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from neuron_pruning.models import checkpoints
from neuron_pruning.models.architectures import (
    FEATURES,
    PLANS,
    Architecture,
    Normalisation,
    check_architecture,
    describe,
    layer_sizes,
)
from neuron_pruning.models.checkpoints import Checkpoint
from neuron_pruning.models.convolutions import run_features
from neuron_pruning.models.local_contrast import LocalContrast


class Network(nn.Module):
    """Convolutions, then fully connected layers ``fc1`` ... ``fcN`` with sigmoids between.

    New, with PyTorch's default initialisation.

    Raises:
        UserError: what ``architecture`` describes cannot be built.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        check_architecture(architecture)
        self.architecture = architecture
        self.features = _build_features(architecture)
        self.classifier = nn.ModuleDict(
            {
                layer.name: nn.Linear(layer.inputs, layer.outputs)
                for layer in layer_sizes(architecture)
                if layer.name in self.layer_names
            }
        )

    @property
    def layer_names(self) -> list[str]:
        """Names of the fully connected layers, input side first; the last gives the logits."""
        return self.architecture.layer_names

    def linear(self, name: str) -> nn.Linear:
        """Fully connected layer of that name.

        Raises:
            UserError: there is none; the message lists those there are.
        """
        self.architecture.place_of(name)
        layer = self.classifier[name]
        assert isinstance(layer, nn.Linear)
        return layer

    def to_checkpoint(self) -> Checkpoint:
        """The network as arrays, which share its memory where it is on the CPU."""
        tensors = {name: value.detach().cpu().numpy() for name, value in self.state_dict().items()}
        return Checkpoint(self.architecture, tensors)

    @staticmethod
    def from_checkpoint(checkpoint: Checkpoint) -> "Network":
        """Network in evaluation mode on the CPU, which shares the memory of the arrays.

        Raises:
            RuntimeError: the arrays do not fit the architecture.
        """
        with torch.device("meta"):
            network = Network(checkpoint.architecture)
        tensors = {name: torch.from_numpy(array) for name, array in checkpoint.tensors.items()}
        network.load_state_dict(tensors, assign=True)
        return network.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Logits, N x classes, of normalised images, N x 3 x height x width."""
        return self.activations(images)[self.layer_names[-1]]

    def activations(self, images: Tensor) -> dict[str, Tensor]:
        """Outputs of every fully connected layer by name, N x units; the last are the logits.

        Under ``features`` what the convolutions give to the first of them.
        """
        values = run_features(self.features, images).flatten(1)
        outputs = {FEATURES: values}
        *hidden, last = self.layer_names
        for name in hidden:
            values = outputs[name] = self.linear(name)(values).sigmoid()
        outputs[last] = self.linear(last)(values)
        return outputs


def build_network(
    name: str,
    input_size: tuple[int, int] = (576, 720),
    widths: Sequence[int] | None = None,
    channels: Sequence[int] | None = None,
    normalisation: Normalisation = "none",
) -> Network:
    """New network with PyTorch's default initialisation.

    Args:
        name: ``alexnet``, ``vgg``, ``vgg8`` or ``torchvision/`` and the name of a classifier there.
        input_size: height and width of the images.
        widths: units of the fully connected layers, the classes last; None: the paper's, or those
            of ``vgg8``. Torchvision's need some.
        channels: kernels of the convolutions; None: the architecture's own.
        normalisation: ``batch`` puts batch normalisation before every ReLU, as torchvision's
            networks have it anyway; ``contrast`` also normalises the local contrast of images.

    Raises:
        UserError: unknown name, wrong number of widths, or images too small for the layers.
    """
    return Network(describe(name, input_size, widths, channels, normalisation))


def save_network(network: Network, path: Path, provenance: dict[str, Any]) -> None:
    """Write weights to ``path``, a ``.safetensors`` file, and all else to the JSON beside it.

    Args:
        network: pruned or not.
        path: of the weights.
        provenance: where the network comes from, as JSON holds it; {} if that does not matter.

    Raises:
        UserError: the disk is full, or weights are not finite or not float32.
    """
    with checkpoints.as_written_network(path):  # numpy has no bfloat16
        checkpoint = network.to_checkpoint()
    checkpoints.save_checkpoint(checkpoint, path, provenance)


def load_network(path: Path | str) -> Network:
    """Network in evaluation mode on the CPU.

    Args:
        path: of the weights; the JSON lies beside it.

    Raises:
        UserError: a file is missing or damaged, weights are not finite or not float32, or weights
            and description do not match.
    """
    checkpoint = checkpoints.load_checkpoint(Path(path))
    with checkpoints.as_network_file(path):
        return Network.from_checkpoint(checkpoint)


def _build_features(architecture: Architecture) -> nn.Module:
    """What is in front of the fully connected layers."""
    contrast = architecture.normalisation == "contrast"
    if architecture.backbone is not None:
        # Only here: the paper's networks do not wait for torchvision.
        from neuron_pruning.models.backbones import build_backbone

        return build_backbone(architecture.backbone, architecture.input_size, contrast)
    inputs = 3
    layers: list[nn.Module] = [LocalContrast(architecture.input_size)] if contrast else []
    for plan, kernels in zip(PLANS[architecture.name], architecture.channels, strict=True):
        layers.append(nn.Conv2d(inputs, kernels, *plan.convolution))
        if architecture.normalisation != "none":
            layers.append(nn.BatchNorm2d(kernels))
        if plan.pooling is not None:
            # Before the ReLU: the same function, as it never swaps a maximum, on fewer values.
            layers.append(nn.MaxPool2d(plan.pooling.size, plan.pooling.stride))
        layers.append(nn.ReLU())
        inputs = kernels
    return nn.Sequential(*layers)
