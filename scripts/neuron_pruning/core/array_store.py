"""An array of images, written in chunks; it resumes after a kill and reuses known rows.

In the folder ``kept``: the array in progress, and a journal with place, key and checksum of each
finished row; and once it is finished a hard link to the array, which takes no space, and the
journal. The next array takes the rows it knows from there; one that is damaged is made again.
"""

import logging
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from neuron_pruning.core.files import atomic_path, explain_full_disk
from neuron_pruning.core.row_cache import Journal

Pixels = NDArray[np.uint8]
CHUNK = 256  # images after which the journal is written


def write_rows_of(
    array: Path,
    keys: Sequence[str],
    size: tuple[int, int],
    look: Callable[[int], Pixels],
    kept: Path,
    threads: int = 1,
) -> int:
    """Write N x height x width x 3, uint8, .npy; returns for how many rows ``look`` was called.

    Args:
        array: file to write.
        keys: of every row; two rows of one key hold the same pixels.
        size: height and width of the pictures.
        look: pixels of a row by its number.
        kept: folder for what a killed or a later job reuses.
        threads: rows made at once.
    """
    kept.mkdir(parents=True, exist_ok=True)
    known, partial = _Rows(kept / "known.npy"), _Rows(kept / "partial.npy")
    rows, shape = partial.open(), (len(keys), *size, 3)
    if rows is None or rows.shape != shape:
        partial.journal.path.unlink(missing_ok=True)
        reserve_array(partial.path, shape)
    worked = 0
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(keys), CHUNK):
            places = range(start, min(start + CHUNK, len(keys)))
            worked += _fill(partial, known, places, keys, look, pool)
    _finish(array, partial, known)
    logging.info("looked at %d of %d images; the others were known", worked, len(keys))
    return worked


def reserve_array(path: Path, shape: tuple[int, ...]) -> None:
    """Make an array and claim its space at once, not after hours of work.

    Raises:
        UserError: the disk is too full; no part of the file is left.
    """
    try:
        np.lib.format.open_memmap(path, "w+", np.uint8, shape)
        with path.open("rb+") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        path.unlink(missing_ok=True)
        explain_full_disk(path, error)
        raise


class _Rows:
    """An array, and what its journal says of its rows."""

    def __init__(self, path: Path) -> None:
        self.path, self.journal = path, Journal(path.with_suffix(".keys"))
        self._noted = {place: (key, digest) for place, key, digest in self.journal.read()}
        self._places = {key: place for place, (key, _) in self._noted.items()}

    def open(self) -> np.memmap[Any, np.dtype[np.uint8]] | None:
        """The array, mapped into memory; None: it is not there, or damaged."""
        try:
            rows: np.memmap[Any, Any] = np.load(self.path, mmap_mode="r+")
        except Exception:  # noqa: BLE001 - a garbled header raises a dozen types
            return None
        return rows if rows.dtype == np.uint8 and rows.flags.c_contiguous else None

    def get(self, rows: Pixels | None, key: str, place: int | None = None) -> Pixels | None:
        """Row of a key, at its place; None: it is not known, or no longer what it was."""
        place = self._places.get(key) if place is None else place
        if rows is None or place is None or place >= len(rows):
            return None
        noted, digest = self._noted.get(place, ("", ""))
        # Rows that are not noted are not even read.
        known = noted == key and digest == _row_digest(key, rows[place])
        return rows[place] if known else None


def _fill(
    partial: _Rows,
    known: _Rows,
    places: range,
    keys: Sequence[str],
    look: Callable[[int], Pixels],
    pool: ThreadPoolExecutor,
) -> int:
    """Complete one chunk and note it; returns how many rows were looked at."""
    rows, old = partial.open(), known.open()  # for one chunk: what is mapped counts as memory
    assert rows is not None

    def fill(place: int) -> bool:
        pixels = known.get(old, keys[place])
        rows[place] = look(place) if pixels is None else pixels
        return pixels is None

    missing = [place for place in places if partial.get(rows, keys[place], place) is None]
    looked = sum(pool.map(fill, missing))
    rows.flush()
    partial.journal.add(
        (place, keys[place], _row_digest(keys[place], rows[place])) for place in missing
    )
    return looked


def _finish(array: Path, partial: _Rows, known: _Rows) -> None:
    """Give the array its name, and keep a second one of it beside its journal."""
    array.parent.mkdir(parents=True, exist_ok=True)
    try:
        partial.path.replace(array)
    except OSError:  # another file system
        with atomic_path(array) as temporary:
            shutil.move(partial.path, temporary)
    known.path.unlink(missing_ok=True)
    try:
        os.link(array, known.path)
    except OSError:  # a file system without links: the next array is made from the images
        partial.journal.path.unlink(missing_ok=True)
        known.journal.path.unlink(missing_ok=True)
    else:
        partial.journal.path.replace(known.journal.path)


def _row_digest(key: str, pixels: Pixels) -> str:
    """Checksum of a row that is no other key's."""
    whole = xxhash.xxh3_64(key.encode())
    whole.update(np.ascontiguousarray(pixels).data)
    return whole.hexdigest()
