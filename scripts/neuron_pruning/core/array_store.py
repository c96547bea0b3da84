"""An array of images, written in chunks; it resumes after a kill and reuses known rows.

In the folder ``kept``: the array in progress and its journal, one line per finished chunk; and once
it is finished a hard link to the array, which takes no space, and the keys of its rows. The next
array takes the rows it knows from there. Rows carry checksums; one that differs is made again.
"""

import io
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from neuron_pruning.core.files import atomic_path, explain_full_disk, remove_leftovers, write_text

Pixels = NDArray[np.uint8]
CHUNK = 256  # images between two lines of the journal


@dataclass(frozen=True)
class ArrayRows:
    """Rows of an array file, read and written one by one: memory holds no more than those."""

    path: Path
    shape: tuple[int, ...]

    @property
    def row_bytes(self) -> int:
        """Size of one row."""
        return int(np.prod(self.shape[1:]))

    def reserve(self) -> None:
        """Make the file and claim its space at once, not after hours of work.

        Raises:
            UserError: the disk is too full; no part of the file is left.
        """
        try:
            with self.path.open("w+b") as handle:  # to claim space some file systems read, too
                handle.write(self._header)
                handle.flush()
                os.posix_fallocate(handle.fileno(), 0, self._size)
        except OSError as error:
            self.path.unlink(missing_ok=True)
            explain_full_disk(self.path, error)
            raise

    def is_whole(self) -> bool:
        """Whether the file is there with its full length and the expected shape."""
        try:
            with self.path.open("rb") as handle:
                same = handle.read(len(self._header)) == self._header
                return same and self.path.stat().st_size == self._size
        except OSError:
            return False

    def read(self, file: int, row: int) -> bytes:
        """Bytes of one row."""
        return os.pread(file, self.row_bytes, self._offset(row))

    def write(self, file: int, row: int, pixels: bytes) -> None:
        """Set the bytes of one row."""
        os.pwrite(file, pixels, self._offset(row))

    def _offset(self, row: int) -> int:
        return len(self._header) + row * self.row_bytes

    @property
    def _size(self) -> int:
        return self._offset(self.shape[0])

    @cached_property
    def _header(self) -> bytes:
        """First bytes of a .npy file of this shape."""
        header = io.BytesIO()
        described = np.lib.format.dtype_to_descr(np.dtype(np.uint8))
        fields = {"descr": described, "fortran_order": False, "shape": self.shape}
        np.lib.format.write_array_header_1_0(header, fields)
        return header.getvalue()


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
    rows = ArrayRows(kept / "partial.npy", (len(keys), *size, 3))
    journal = _Journal(kept / "journal", _digest(json.dumps([*keys, rows.shape]).encode()))
    digests = journal.read() if rows.is_whole() else {}
    if not digests:
        for name in ("partial.npy", "journal", "known.keys"):
            remove_leftovers(kept / name)
        rows.reserve()
        journal.begin()
    worked = 0
    with _Known(kept, rows.shape) as known, ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(keys), CHUNK):
            places = range(start, min(start + CHUNK, len(keys)))
            if not _is_done(rows, digests, places, keys):
                worked += _fill(rows, journal, places, keys, look, known, pool)
    _finish(array, rows, journal, keys, kept)
    logging.info("looked at %d of %d images; the others were known", worked, len(keys))
    return worked


def _fill(
    rows: ArrayRows,
    journal: "_Journal",
    places: range,
    keys: Sequence[str],
    look: Callable[[int], Pixels],
    known: "_Known",
    pool: ThreadPoolExecutor,
) -> int:
    """Write one chunk and its line in the journal; returns how many rows were looked at."""
    file = os.open(rows.path, os.O_RDWR)

    def fill(place: int) -> tuple[str, bool]:
        pixels = known.get(keys[place])
        fresh = pixels is None
        data = look(place).tobytes() if pixels is None else pixels
        rows.write(file, place, data)
        return _row_digest(keys[place], data), fresh

    try:
        done = list(pool.map(fill, places))
        os.fdatasync(file)
    finally:
        os.close(file)
    journal.add(dict(zip(places, (digest for digest, _ in done), strict=True)))
    return sum(fresh for _, fresh in done)


def _is_done(
    rows: ArrayRows, digests: Mapping[int, str], places: range, keys: Sequence[str]
) -> bool:
    """Whether an earlier job finished a chunk, and its rows are what it noted."""
    if any(place not in digests for place in places):
        return False
    file = os.open(rows.path, os.O_RDONLY)
    try:
        return all(
            _row_digest(keys[place], rows.read(file, place)) == digests[place] for place in places
        )
    finally:
        os.close(file)


def _finish(
    array: Path, rows: ArrayRows, journal: "_Journal", keys: Sequence[str], kept: Path
) -> None:
    """Give the array its name, and keep a second one of it beside the keys of its rows."""
    digests = journal.read()
    array.parent.mkdir(parents=True, exist_ok=True)
    try:
        rows.path.replace(array)
    except OSError:  # another file system
        with atomic_path(array) as temporary:
            shutil.move(rows.path, temporary)
    journal.path.unlink()
    for old in kept.glob("known.*"):
        old.unlink()
    try:
        os.link(array, kept / "known.npy")
    except OSError:  # a file system without links: the next array is made from the images
        return
    lines = (json.dumps([key, digests[place]]) for place, key in enumerate(keys))
    write_text(kept / "known.keys", "\n".join(lines))


class _Journal:
    """Finished chunks of one array: one line each, after a line that identifies the array."""

    def __init__(self, path: Path, identity: str) -> None:
        self.path, self._identity = path, identity

    def begin(self) -> None:
        """Start from scratch."""
        write_text(self.path, self._identity + "\n")

    def add(self, digests: Mapping[int, str]) -> None:
        """Note a finished chunk."""
        with self.path.open("a", encoding="ascii") as file:
            file.write("\n" + json.dumps(digests) + "\n")  # the line before may be torn
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> dict[int, str]:
        """Checksums of the rows of all finished chunks; none if the journal is of another array."""
        try:
            identity, *lines = self.path.read_text(encoding="ascii", errors="replace").split("\n")
        except OSError:
            return {}
        if identity != self._identity:
            return {}
        return dict(_lines(lines))


def _lines(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    for line in lines:
        try:
            noted = {int(place): str(digest) for place, digest in json.loads(line).items()}
        except (ValueError, AttributeError):  # torn by a kill, or damaged
            continue
        yield from noted.items()


class _Known:
    """Rows of an earlier array by key."""

    def __init__(self, kept: Path, shape: tuple[int, ...]) -> None:
        self._path, self._keys = kept / "known.npy", kept / "known.keys"
        self._shape = shape
        self._places: dict[str, tuple[int, str]] = {}
        self._file: int | None = None

    def __enter__(self) -> "_Known":
        try:
            lines = self._keys.read_text(encoding="utf-8").split("\n")
            noted = [(str(key), str(digest)) for key, digest in map(json.loads, lines)]
        except (OSError, ValueError, TypeError):
            return self
        self._rows = ArrayRows(self._path, (len(noted), *self._shape[1:]))
        if self._rows.is_whole():
            self._places = {key: (place, digest) for place, (key, digest) in enumerate(noted)}
            self._file = os.open(self._path, os.O_RDONLY)
        return self

    def __exit__(self, *_error: object) -> None:
        if self._file is not None:
            os.close(self._file)

    def get(self, key: str) -> bytes | None:
        """Bytes of a row; None: it is not known, or no longer what it was."""
        if self._file is None or key not in self._places:
            return None
        place, digest = self._places[key]
        pixels = self._rows.read(self._file, place)
        return pixels if _row_digest(key, pixels) == digest else None


def _digest(data: bytes) -> str:
    return xxhash.xxh3_64(data).hexdigest()


def _row_digest(key: str, pixels: bytes) -> str:
    """Checksum of a row that is no other key's: a damaged list of keys finds no wrong one."""
    whole = xxhash.xxh3_64(key.encode())
    whole.update(pixels)
    return whole.hexdigest()
