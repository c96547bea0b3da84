"""The images as the networks see them: one array at one size."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from neuron_pruning.errors import UserError
from neuron_pruning.files import atomic_path

Resize = Literal["fit", "stretch"]
Pixels = NDArray[np.uint8]

PADDING = (128, 128, 128)  # mid-grey: 0 after normalisation


def resize_image(image: Image.Image, size: tuple[int, int], resize: Resize = "fit") -> Image.Image:
    """Whole frame at ``size``, height and width; one of that size is left as it is.

    ASSUME: ``fit`` keeps the aspect ratio and pads with mid-grey, ``stretch`` does not; both
    use Lanczos resampling. All images of SFEW have the paper's size and stay untouched.

    Raises:
        UserError: unknown ``resize``.
    """
    if resize not in get_args(Resize):
        raise UserError(f"dataset.resize must be fit or stretch, not {resize!r}")
    height, width = size
    if image.size == (width, height):
        return image
    if resize == "stretch":
        return image.resize((width, height), Image.Resampling.LANCZOS)
    return ImageOps.pad(image, (width, height), Image.Resampling.LANCZOS, color=PADDING)


def write_array(
    array: Path,
    images: Sequence[str],
    size: tuple[int, int],
    look: Callable[[str], Image.Image],
    threads: int = 1,
) -> None:
    """Write what ``look`` sees of every image: N x height x width x 3, uint8, .npy.

    Args:
        array: file to write.
        images: names of the index, which give the order.
        size: height and width of what ``look`` returns.
        look: RGB picture of an image.
        threads: pictures made at once.
    """
    shape = (len(images), *size, 3)
    with atomic_path(array) as temporary:
        _reserve(temporary, shape)
        with ThreadPoolExecutor(threads) as pool:
            _fill(temporary, shape, pool.map(lambda image: np.asarray(look(image)), images))


def _reserve(path: Path, shape: tuple[int, ...]) -> None:
    """Claim the space at once: a memory map on a full disk would die without a word."""
    np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape).flush()
    with path.open("r+b") as handle:  # until here the file is but a length
        os.posix_fallocate(handle.fileno(), 0, path.stat().st_size)


def _fill(path: Path, shape: tuple[int, ...], pixels: Iterable[Pixels]) -> None:
    rows = np.lib.format.open_memmap(path, mode="r+", dtype=np.uint8, shape=shape)
    for position, values in enumerate(pixels):
        rows[position] = values
    rows.flush()
