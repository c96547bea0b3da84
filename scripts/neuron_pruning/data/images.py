"""Batches of normalised images from the prepared array."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neuron_pruning.core.errors import refuse_unreadable

RESIDENT_SHARE = 0.5  # of a GPU's free memory, which images may take

Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Patterns:
    """Images of one part: rows of the array, and their class numbers."""

    array: NDArray[np.uint8]
    positions: Positions
    classes: NDArray[np.int64]


def open_array(path: Path) -> NDArray[np.uint8]:
    """Memory map of the prepared images, N x height x width x 3; never written."""
    with refuse_unreadable(f"{path} is no array of images", "delete it, run again"):
        return np.load(path, mmap_mode="r")


def normalise(pixels: Tensor) -> Tensor:
    """Bytes to [-1, 1]: (x / 255 - 0.5) / 0.5 (the paper, section 2.1)."""
    # The same in one pass less over a GPU's memory; a CPU divides bytes more slowly.
    scaled = pixels.div(127.5) if pixels.is_cuda else pixels.float().div_(127.5)
    return scaled.sub_(1.0)


def batches(positions: Positions, size: int) -> Iterator[Positions]:
    """``positions`` in pieces of ``size``; the last may be shorter."""
    for start in range(0, len(positions), size):
        yield positions[start : start + size]


def rows_on(device: torch.device, pieces: Iterable[Positions]) -> Sequence[Tensor]:
    """Pieces of rows on a device, moved there at once: an epoch then waits for none of them."""
    pieces = list(pieces)
    if not pieces:
        return ()
    rows = torch.from_numpy(np.concatenate(pieces)).to(device)
    return rows.split([len(piece) for piece in pieces])


class ImageReader:
    """Normalised images on a device, B x 3 x height x width, channels last in memory.

    A GPU holds the bytes of all images where they take no more than half of its free memory,
    so that an epoch moves nothing to it. Otherwise, and on a CPU, a thread reads the next piece
    from the map while the network works on this one.
    """

    def __init__(
        self,
        array: NDArray[np.uint8],
        device: torch.device,
        positions: Positions | None = None,
        room: float | None = None,
    ) -> None:
        """Read from ``array``; rows are counted within ``positions``, or in it as it is.

        ``room`` is how many bytes of images the device may hold; None: what it has room for.
        """
        self.device = device
        with warnings.catch_warnings():
            # A map that could be written, and so is not warned of, must fit into memory.
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            self._pixels = torch.from_numpy(array)
        self._positions = None if positions is None else torch.from_numpy(positions)
        count = len(array if positions is None else positions)
        size = count * self._pixels[0].numel()
        self.resident = size <= (_room_on(device) if room is None else room)
        if self.resident:
            rows = slice(None) if self._positions is None else self._positions
            self._pixels, self._positions = self._pixels[rows].to(device), None

    def read(self, pieces: Iterable[Positions]) -> Iterator[Tensor]:
        """Images of every piece in turn."""
        if self.resident:
            yield from (_prepare(self._pixels[rows]) for rows in rows_on(self.device, pieces))
            return
        with ThreadPoolExecutor(1, "images") as thread:
            coming = (thread.submit(self._read, torch.from_numpy(piece)) for piece in pieces)
            nothing: Future[Tensor] = Future()
            for current, _ in pairwise(chain(coming, [nothing])):  # the next is being read
                yield _prepare(current.result().to(self.device, non_blocking=True))

    def _read(self, rows: Tensor) -> Tensor:
        """Bytes of ``rows``, in page-locked memory where a GPU fetches them."""
        rows = rows if self._positions is None else self._positions[rows]
        pixels = self._pixels.index_select(0, rows)
        return pixels.pin_memory() if self.device.type == "cuda" else pixels


def first_images(array: NDArray[np.uint8], most: int) -> Tensor:
    """The first normalised images of an array, on the CPU."""
    rows = np.arange(min(most, len(array)))
    return next(iter(ImageReader(array, torch.device("cpu")).read([rows])))


def _prepare(pixels: Tensor) -> Tensor:
    return normalise(pixels).permute(0, 3, 1, 2)


def _room_on(device: torch.device) -> float:
    """Bytes of images that a device may hold; on the CPU the map is as near."""
    if device.type == "cpu":
        return -1.0
    free, _ = torch.cuda.mem_get_info(device)
    return RESIDENT_SHARE * free
