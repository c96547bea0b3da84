"""Descriptors of images: LPQ for texture and PHOG for shape, side by side in a Parquet file."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from skimage.color import rgb2gray

from neuron_pruning.baselines.lpq import lpq_histogram
from neuron_pruning.baselines.phog import pyramid_of_gradients
from neuron_pruning.core.parquet import column, read_frame, schema, write_rows

FEATURES_SCHEMA = schema(
    column("position", pa.int64(), "row of the index"),
    column("image", pa.string(), "file, relative to the folder of class folders"),
    column("features", pa.list_(pa.float32()), "numbers that describe it; none: not a number"),
    run=False,
)


@dataclass(frozen=True)
class DescriptorSettings:
    """Of LPQ: side of the window in pixels, and blocks; of PHOG: levels, and bins a circle."""

    window: int = 7
    blocks: tuple[int, int] = (4, 4)
    levels: int = 4
    bins: int = 16


def describe_image(pixels: NDArray[np.uint8], settings: DescriptorSettings) -> NDArray[np.float32]:
    """LPQ and PHOG of an image, H x W x 3, as one vector.

    ASSUME: grey values are the luminance of ITU-R BT.709, as scikit-image has it.

    Raises:
        UserError: the image is too small for the settings.
    """
    grey = rgb2gray(pixels)
    texture = lpq_histogram(grey, settings.blocks, settings.window)
    shape = pyramid_of_gradients(grey, settings.levels, settings.bins)
    return np.concatenate([texture, shape]).astype(np.float32)


def describe_images(
    images: Iterable[NDArray[np.uint8]], settings: DescriptorSettings, threads: int = 1
) -> Iterator[NDArray[np.float32]]:
    """Vectors of images in their order."""
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(partial(describe_image, settings=settings), images)


def write_features(
    path: Path, images: Iterable[str], features: Iterable[NDArray[np.floating]]
) -> None:
    """Write one row per image, in the order of the index."""
    pairs = enumerate(zip(images, features, strict=True))
    rows = ({"position": n, "image": name, "features": vector} for n, (name, vector) in pairs)
    write_rows(path, rows, FEATURES_SCHEMA)


def read_features(path: Path) -> tuple[list[str], NDArray[np.float64]]:
    """Images and their features, N x D."""
    rows = read_frame([path])
    return rows["image"].to_list(), np.stack(rows["features"].to_list()).astype(np.float64)
