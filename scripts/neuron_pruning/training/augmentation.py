"""Random changes of training images, one batch at a time on the device that holds them."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from neuron_pruning.core.numerics import LUMA
from neuron_pruning.training.settings import AugmentationSettings

LARGEST_ERASED = 0.4  # of a side


def augment(images: Tensor, settings: AugmentationSettings, generator: torch.Generator) -> Tensor:
    """Changed copies of normalised images, N x 3 x height x width, or themselves without a change.

    What happens to an image depends on the generator, which is on the CPU, and on how many images
    came before, not on the device or on how images are batched: each takes as many draws.
    """
    if not settings.draws:
        return images
    uniform = _send(torch.rand(len(images), 14, generator=generator), images.device)
    if settings.moves:
        images = _warp(images, settings, uniform[:, :5])
    if settings.colour > 0 or settings.grey > 0:
        images = _recolour(images, settings, uniform[:, 5:9])
    if settings.erase > 0:
        images = _erase(images, settings.erase, uniform[:, 9:])
    return images.contiguous(memory_format=torch.channels_last)


def _warp(images: Tensor, settings: AugmentationSettings, uniform: Tensor) -> Tensor:
    """Flip, crop and rotate in one resampling; ``uniform`` is N x 5."""
    height, width = images.shape[2:]
    mirrored = 1.0 - 2.0 * (uniform[:, 0] < 0.5) * settings.flip
    share = 1.0 - settings.crop * uniform[:, 1]
    shift = (1.0 - share)[:, None] * _signed(uniform[:, 2:4])
    angle = math.radians(settings.rotation) * _signed(uniform[:, 4])
    along, across = share * angle.cos(), share * angle.sin()
    # Coordinates go from -1 to 1 along both sides, but rotating needs them in pixels.
    rows = [
        torch.stack([along * mirrored, -across * height / width, shift[:, 0]], dim=1),
        torch.stack([across * mirrored * width / height, along, shift[:, 1]], dim=1),
    ]
    grid = functional.affine_grid(torch.stack(rows, dim=1), list(images.shape), False)
    return functional.grid_sample(images, grid, "bilinear", "border", False)


def _recolour(images: Tensor, settings: AugmentationSettings, uniform: Tensor) -> Tensor:
    """Change saturation, contrast and brightness within [-1, 1]; ``uniform`` is N x 4."""
    changes = (settings.colour * _signed(uniform[:, :3]))[:, :, None, None, None]
    brightness, contrast, saturation = changes.unbind(dim=1)
    kept = (1.0 + saturation) * (uniform[:, 3] >= settings.grey)[:, None, None, None]
    luma = _send(torch.tensor(LUMA, dtype=images.dtype), images.device)[:, None, None]
    grey = (images * luma).sum(dim=1, keepdim=True)
    middle = grey.mean(dim=(2, 3), keepdim=True)
    coloured = grey + kept * (images - grey)
    return (middle + (1.0 + contrast) * (coloured - middle) + brightness).clamp(-1.0, 1.0)


def _erase(images: Tensor, share: float, uniform: Tensor) -> Tensor:
    """Draw mid-grey rectangles in a share of the images; ``uniform`` is N x 5."""
    height, width = images.shape[2:]
    down = _random_interval(height, uniform[:, 1], uniform[:, 2])[:, :, None]
    across = _random_interval(width, uniform[:, 3], uniform[:, 4])[:, None, :]
    erased = (uniform[:, 0] < share)[:, None, None] & down & across
    return images.masked_fill(erased[:, None], 0.0)


def _random_interval(length: int, size: Tensor, place: Tensor) -> Tensor:
    """Which of ``length`` pixels a random interval covers, N x length."""
    sides = length * LARGEST_ERASED * size
    start = (length - sides) * place
    pixels = torch.arange(length, device=size.device) + 0.5
    return (pixels >= start[:, None]) & (pixels < (start + sides)[:, None])


def _send(values: Tensor, device: torch.device) -> Tensor:
    """Values of the CPU on ``device``; the host does not wait until a GPU has them."""
    if device.type == "cuda":
        values = values.pin_memory()
    return values.to(device, non_blocking=True)


def _signed(uniform: Tensor) -> Tensor:
    """From [0, 1) to [-1, 1)."""
    return 2.0 * uniform - 1.0
