"""The images as the networks see them: one array at one size."""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, get_args

import numpy as np
from PIL import Image, ImageOps

from neuron_pruning.core.array_store import Pixels, write_rows_of
from neuron_pruning.core.errors import UserError

Resize = Literal["fit", "stretch"]

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
    kept: Path | None = None,
    keys: Sequence[str] | None = None,
) -> int:
    """Write what ``look`` sees of every image: N x height x width x 3, uint8, .npy.

    Args:
        array: file to write.
        images: names of the index, which give the order.
        size: height and width of what ``look`` returns.
        look: RGB picture of an image.
        threads: pictures made at once.
        kept: folder for what a later job reuses; None: nothing is kept.
        keys: of every image: what decides its pixels; None: its name.

    Returns:
        How many images were looked at; the others were known from an earlier array.
    """

    def pixels(row: int) -> Pixels:
        return np.asarray(look(images[row]))

    if kept is not None:
        return write_rows_of(array, keys or images, size, pixels, kept, threads)
    array.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=array.parent) as nothing_kept:
        return write_rows_of(array, keys or images, size, pixels, Path(nothing_kept), threads)
