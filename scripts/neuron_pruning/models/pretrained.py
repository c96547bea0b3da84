"""Pretrained weights of torchvision's networks: downloaded by torchvision, or from a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from neuron_pruning.core.errors import UserError, refuse_unreadable
from neuron_pruning.models.backbones import AUXILIARY, HEADS, Backbone
from neuron_pruning.models.checkpoints import WHOLE_NUMBERS, check_values
from neuron_pruning.models.networks import Network
from neuron_pruning.models.weight_files import read_tensors

CONFIG_KEY = "initialisation.weights"
FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)  # others are refused
WEIGHT_SUFFIXES = (".pth", ".pt", ".safetensors")
UNUSED = (*HEADS, "aux1", "aux2", "AuxLogits")  # parts that score ImageNet's classes
# ASSUME: weights in a file were trained with ImageNet's normalisation, as torchvision's are.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@torch.no_grad()
def load_weights(network: Network, weights: str) -> None:
    """Put pretrained weights in front of the fully connected layers, in place.

    The images stay in our range: the backbone brings them to that of the weights itself.

    Args:
        network: of a classifier of torchvision.
        weights: an entry of torchvision's enum, as ``DEFAULT`` or ``IMAGENET1K_V1``, which
            torchvision downloads once; or a file with the tensors of torchvision's network by
            name, ``.pth`` (read without running what a pickle may contain) or ``.safetensors``.
            Numbers of 16 or 64 bits become float32.

    Raises:
        UserError: a network of the paper's, no such entry or file, weights of another network,
            that are not finite or of another kind of number, or no way to download them.
    """
    name, backbone = network.architecture.backbone, network.features
    if name is None or not isinstance(backbone, Backbone):
        raise UserError(
            f"{CONFIG_KEY}: there are none for {network.architecture.name}; write null, or choose "
            "a model torchvision/<name>"
        )
    mean_std: Any = IMAGENET_MEAN, IMAGENET_STD
    if weights.endswith(WEIGHT_SUFFIXES):
        tensors = _read_tensors(Path(weights))
    else:
        tensors, *mean_std = _from_torchvision(name, weights)
    _check_fit(name, weights, tensors, backbone.body)
    remedy = "choose weights that are finite numbers of 16, 32 or 64 bits"
    with refuse_unreadable(f"{CONFIG_KEY}: {weights} cannot be used", remedy):
        _check_kinds(tensors)
        backbone.body.load_state_dict(tensors, strict=False)
        check_values(network.to_checkpoint().tensors)
    if name not in AUXILIARY:  # those were trained with our range
        # Lead [-1, 1] to (x - mean) / std of x in [0, 1].
        centre, spread = (torch.tensor(values).view(3, 1, 1) for values in mean_std)
        backbone.scale.copy_(0.5 / spread)
        backbone.shift.copy_((0.5 - centre) / spread)


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a file by name; a UserError that names the key if there are none."""
    try:
        return read_tensors(path)
    except UserError as error:
        raise UserError(f"{CONFIG_KEY}: {error}") from error


def _from_torchvision(name: str, entry: str) -> tuple[Any, ...]:
    """Tensors of a whole classifier, and mean and deviation that its images were given."""
    known: Mapping[str, Any] = torchvision.models.get_model_weights(name).__members__
    if entry not in known:
        raise UserError(
            f"{CONFIG_KEY}: torchvision/{name} has no weights {entry!r}; known: "
            f"{', '.join(known)}, or a file that ends in {', '.join(WEIGHT_SUFFIXES)}"
        )
    try:
        whole = torchvision.models.get_model(name, weights=known[entry], progress=False)
    except (OSError, RuntimeError) as error:
        place = Path(torch.hub.get_dir()) / "checkpoints" / Path(known[entry].url).name
        raise UserError(
            f"{CONFIG_KEY}: {entry} of torchvision/{name} could not be loaded ({error}); download "
            f"{known[entry].url} elsewhere and put it at {place}"
        ) from error
    transforms = known[entry].transforms()
    return whole.state_dict(), transforms.mean, transforms.std


def _check_kinds(tensors: Mapping[str, Tensor]) -> None:
    """Refuse numbers that load_state_dict would convert without a word, and tensors without any.

    Raises:
        ValueError: naming the first that is refused.
    """
    for name, tensor in tensors.items():
        kinds = (torch.int64,) if name.endswith(WHOLE_NUMBERS) else FLOATS
        plain = tensor.layout == torch.strided and tensor.device.type == "cpu"
        if not plain or tensor.dtype not in kinds:
            raise ValueError(f"{name} is {tensor.dtype}, {tensor.layout}, on {tensor.device}")


def _check_fit(name: str, weights: str, tensors: Mapping[str, Tensor], body: nn.Module) -> None:
    """Compare names and shapes of all but what scores classes.

    Raises:
        UserError: naming the first tensor that is missing, superfluous or of another shape.
    """
    wanted, found = (
        {key: list(tensor.shape) for key, tensor in part.items()}
        for part in (body.state_dict(), tensors)
    )
    for key in [*wanted, *found]:
        expected, given = wanted.get(key, "absent"), found.get(key, "absent")
        unused = expected == "absent" and key.split(".")[0] in UNUSED
        if expected == given or unused or key.endswith("num_batches_tracked"):
            continue  # old files do not count batches
        raise UserError(
            f"{CONFIG_KEY}: {weights} does not fit torchvision/{name}: {key} is {given}, should be "
            f"{expected}; choose the weights of that network"
        )
