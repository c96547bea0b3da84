"""Batches of normalised images from the prepared array."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neuron_pruning.errors import UserError


def open_array(path: Path) -> NDArray[np.uint8]:
    """Memory map of the prepared images, N x height x width x 3."""
    try:
        return np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is no array of images ({error}); delete it, run again") from error


def normalise(pixels: Tensor) -> Tensor:
    """Bytes to [-1, 1]: (x / 255 - 0.5) / 0.5 (the paper, section 2.1)."""
    return pixels.float().div_(127.5).sub_(1.0)


def load_batch(
    array: NDArray[np.uint8], positions: NDArray[np.int64], device: torch.device
) -> Tensor:
    """Images at ``positions``, B x 3 x height x width, normalised, channels last in memory."""
    pixels = torch.from_numpy(array[positions]).to(device)
    return normalise(pixels).permute(0, 3, 1, 2)


def batches(positions: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    """``positions`` in pieces of ``size``; the last may be shorter."""
    for start in range(0, len(positions), size):
        yield positions[start : start + size]
