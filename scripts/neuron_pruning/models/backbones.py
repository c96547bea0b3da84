"""Torchvision's classifiers as convolutional parts of our networks.

The layer that scores the classes is taken away (the last linear layer or convolution of the
classifier), and what it read are the features that our first fully connected layer reads.
"""

from functools import cache

import torch
import torchvision
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from neuron_pruning.core.errors import UserError, reason_of
from neuron_pruning.models.backbone_sizes import SIDE, BackboneSize
from neuron_pruning.models.local_contrast import LocalContrast

AUXILIARY = ("googlenet", "inception_v3")  # have more classifiers, for training
HEADS = ("fc", "classifier", "head", "heads")  # torchvision's names for a classifier


class Backbone(nn.Module):
    """A torchvision network without its class scores: N x 3 x h x w images to N x features.

    Images come in our range, [-1, 1], and pass through ``contrast`` first. ``scale`` and
    ``shift`` bring every channel to what the weights were trained with; 1 and 0 from scratch.
    They are stored with the network.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, body: nn.Module, contrast: nn.Module) -> None:
        super().__init__()
        self.contrast = contrast
        self.register_buffer("scale", torch.ones(3, 1, 1))
        self.register_buffer("shift", torch.zeros(3, 1, 1))
        self.body = body

    def forward(self, images: Tensor) -> Tensor:
        """Features of normalised images."""
        features: Tensor = self.body(self.contrast(images) * self.scale + self.shift)
        return features


def build_backbone(name: str, input_size: tuple[int, int], contrast: bool = False) -> Backbone:
    """New backbone with torchvision's own initialisation, behind local contrast if asked for.

    Raises:
        UserError: torchvision does not know the name, or refuses images of that height and width.
    """
    check_input_size(name, input_size)
    first = LocalContrast(input_size) if contrast else nn.Identity()
    return Backbone(_build(name), first)


@cache
def check_input_size(name: str, input_size: tuple[int, int]) -> None:
    """Pass a batch of one image through the shapes of a network in training, not its numbers.

    Batch normalisation refuses there what leaves one value per channel.

    Raises:
        UserError: the network does not take images of that size; with torchvision's reason.
    """
    with torch.device("meta"), torch.no_grad():
        body = _build(name).train()
        try:
            body(torch.empty(1, 3, *input_size))
        except (AssertionError, RuntimeError, ValueError) as error:
            height, width = input_size
            raise UserError(
                f"torchvision/{name} does not take images of {height} x {width} (height x width): "
                f"{reason_of(error)}; choose a larger input_size; most take {SIDE} x {SIDE}"
            ) from error


def measure_backbone(name: str) -> BackboneSize:
    """What ``backbone_sizes`` lists of a network, from its shapes alone."""
    outputs = 0

    def count(module: nn.Module, inputs: object, output: object) -> None:
        nonlocal outputs
        outputs += output.numel() if isinstance(output, Tensor) else 0

    with torch.device("meta"), torch.no_grad():
        body = _build(name).eval()
        for module in body.modules():
            if not any(module.children()):
                module.register_forward_hook(count)
        with FlopCounterMode(display=False) as counter:
            features = body(torch.empty(1, 3, SIDE, SIDE))
    parameters = sum(parameter.numel() for parameter in body.parameters())
    return BackboneSize(features.shape[1], parameters, counter.get_total_flops() // 2, outputs)


def _build(name: str) -> nn.Module:
    """A classifier without what scores the classes, also inside it for training."""
    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        raise UserError(f"torchvision {torchvision.__version__} has no classifier {name!r}")
    options = {"aux_logits": False, "init_weights": True} if name in AUXILIARY else {}
    try:
        body = torchvision.models.get_model(name, weights=None, **options)
    except NotImplementedError:  # RegNets compute their widths with tensors: not without numbers
        device = torch.get_default_device()
        with torch.device("cpu"):
            body = torchvision.models.get_model(name, weights=None, **options)
        body.to_empty(device=device)
    body.set_submodule(scores_layer(body), nn.Identity())
    return body


def scores_layer(body: nn.Module) -> str:
    """Dotted name of the layer that scores the classes: the last one of the classifier."""
    return [
        place
        for place, module in body.named_modules()
        if place.split(".")[0] in HEADS and isinstance(module, nn.Linear | nn.Conv2d)
    ][-1]
