"""A folder of class folders as an index and an audit."""

import hashlib
import io
import json
import re
import struct
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
from PIL import Image, ImageOps

from neuron_pruning.core.errors import UserError
from neuron_pruning.core.parquet import column, schema
from neuron_pruning.core.row_cache import rows_by_key
from neuron_pruning.data.near_duplicates import perceptual_hash

OnBadImage = Literal["fail", "skip"]

SUFFIXES = {".png", ".jpg", ".jpeg"}
SMALLEST_CLASS = 5
LARGEST_IMAGE = 50_000_000  # pixels: 150 MB decoded; more is taken for a decompression bomb
LARGEST_FILE = 200_000_000  # bytes
# Three names of SFEW have a hyphen or a second underscore.
NAME = re.compile(r"(?P<movie>.+)[_-](?P<timestamp>\d+)_+\d+$")

INDEX_SCHEMA = schema(
    column("position", pa.int64(), "row of the array"),
    column("image", pa.string(), "file, relative to the folder of class folders"),
    column("label", pa.string(), "class folder"),
    column("movie", pa.string(), "group of clips: file name before the last two underscores"),
    column("clip", pa.string(), "group of frames: file name before the last underscore"),
    column("sha256", pa.string(), "hash of the file's bytes"),
    column("perceptual_hash", pa.string(), "hash that near-identical images nearly share"),
    column("width", pa.int64(), "width as stored, upright", "pixels"),
    column("height", pa.int64(), "height as stored, upright", "pixels"),
    column("mode", pa.string(), "colour mode as stored"),
    run=False,
)
AUDIT_SCHEMA = schema(
    column("check", pa.string(), "what was looked at"),
    column("subject", pa.string(), "class, size or image it is about"),
    column("detail", pa.string(), "what was found, empty for a plain count"),
    column("count", pa.int64(), "how many images", "images"),
    run=False,
)


@dataclass(frozen=True)
class ImageRecord:
    """One row of the index."""

    position: int
    image: str
    label: str
    movie: str
    clip: str
    sha256: str
    perceptual_hash: str
    width: int
    height: int
    mode: str


@dataclass(frozen=True)
class BadImage:
    """A file that is no readable image, and why."""

    image: str
    reason: str


def list_images(folder: Path) -> list[Path]:
    """Image files of all class folders, sorted by class and name.

    Raises:
        UserError: missing folder, no class folders, or a class with too few images.
    """
    if not folder.is_dir():
        raise UserError(
            f"dataset.path: {folder} is no folder; name one that holds a folder of images a class"
        )
    classes = sorted(f for f in folder.iterdir() if f.is_dir() and not f.name.startswith("."))
    if not classes:
        raise UserError(f"dataset.path: {folder} holds no class folders; it needs one a class")
    if len(classes) < 2:
        raise UserError(f"dataset.path: {folder} holds one class, {classes[0].name}; two at least")
    images = {c: sorted(f for f in c.iterdir() if f.suffix.lower() in SUFFIXES) for c in classes}
    for name, files in images.items():
        _check_class(str(name), len(files))
    return [file for files in images.values() for file in files]


def list_ignored(folder: Path) -> list[str]:
    """Other files in the class folders, relative to ``folder``: the audit names them."""
    files = (f for f in folder.glob("*/*") if f.is_file() and f.suffix.lower() not in SUFFIXES)
    names = (str(f.relative_to(folder)) for f in files)
    return sorted(name.encode(errors="backslashreplace").decode() for name in names)


def _check_good(index: Sequence[ImageRecord], files: Sequence[Path]) -> None:
    """Enough images of every class are left after bad ones were skipped."""
    good = Counter(record.label for record in index)
    for name in sorted({file.parent.name for file in files}):
        _check_class(name, good[name])


def _check_class(name: str, count: int) -> None:
    if count < SMALLEST_CLASS:
        raise UserError(
            f"dataset.path: class {name} has {count} readable PNG or JPEG images; "
            f"{SMALLEST_CLASS} at least are needed, or remove the folder"
        )


def read_upright(data: bytes) -> tuple[Image.Image, str]:
    """Upright RGB image of the bytes of a file, and its colour mode as stored.

    EXIF orientation is honoured; grey, palette and RGBA become RGB. Only PNG and JPEG are decoded,
    whatever the name says, and no more than ``LARGEST_IMAGE`` pixels.

    Raises:
        OSError, SyntaxError, ValueError, Image.DecompressionBombError: the file is truncated,
            damaged, too large or no image (see ``UNREADABLE_IMAGE``).
    """
    with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as stored:
        mode = stored.mode
        if stored.width * stored.height > LARGEST_IMAGE:
            raise ValueError(
                f"{stored.width} x {stored.height} pixels; {LARGEST_IMAGE:,} at most are decoded"
            )
        stored.load()
        upright = ImageOps.exif_transpose(stored)
        if upright.mode.startswith("I"):  # 16-bit grey: the upper eight bits
            upright = Image.fromarray((np.asarray(upright) >> 8).clip(0, 255).astype(np.uint8))
        return upright.convert("RGB"), mode  # ASSUME: transparency is dropped, not blended


def read_file(path: Path) -> bytes:
    """Bytes of a file of at most ``LARGEST_FILE``.

    Raises:
        OSError, ValueError: it is no regular file, cannot be read, or is larger.
    """
    if not path.is_file():  # a pipe would be waited for; a link may lead nowhere or in a circle
        raise ValueError("no file, or a link that leads to none")
    if path.stat().st_size > LARGEST_FILE:
        raise ValueError(f"{path.stat().st_size:,} bytes; {LARGEST_FILE:,} at most are read")
    return path.read_bytes()


# Pillow's SyntaxError: a damaged PNG chunk; the others: fields that point nowhere.
UNREADABLE_IMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    MemoryError,
    OverflowError,
    Image.DecompressionBombError,
)


def upright_rgb(path: Path, sha256: str | None = None) -> Image.Image:
    """Upright RGB image of a file that was readable, with that hash, when it was indexed.

    Raises:
        UserError: it no longer is.
    """
    try:
        data = read_file(path)
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
            raise UserError(f"{path} has changed since it was indexed; run again")
        return read_upright(data)[0]
    except UNREADABLE_IMAGE as error:
        raise UserError(
            f"{path} is no readable image any more ({error}); mend it, run again"
        ) from (error)


def group_names(image: str) -> tuple[str, str]:
    """Movie and clip of ``label/Movie_timestamp_frame``; any other image is its own group."""
    match = NAME.match(image.rsplit("/", 1)[-1])
    if match is None:
        return image, image
    return match["movie"], f"{match['movie']}_{match['timestamp']}"


def index_images(
    folder: Path,
    on_bad_image: OnBadImage = "fail",
    threads: int = 1,
    kept: Path | None = None,
) -> tuple[list[ImageRecord], list[BadImage]]:
    """Decode every image of ``folder`` once to see that it can be, and hash it.

    ``kept`` is a folder for what was found out: files of the same name, size and time as in an
    earlier run are not decoded again.

    Returns:
        The index and, if ``on_bad_image`` is ``skip``, the files left out.

    Raises:
        UserError: unusable folder, bad file under ``fail``, or too few good ones in a class.
    """
    if on_bad_image not in get_args(OnBadImage):
        raise UserError(f"dataset.on_bad_image must be fail or skip, not {on_bad_image!r}")
    files = list_images(folder)
    bad: dict[Path, BadImage] = {}

    def look(path: Path) -> dict[str, Any] | None:
        found = _look_at(path)
        if isinstance(found, ImageRecord):
            return asdict(found)
        bad[path] = found
        return None

    items = {_state_of(path): path for path in files}
    with nullcontext(kept) if kept else TemporaryDirectory() as place:
        rows = [row for _, row in rows_by_key(items, look, Path(place), threads) if row]
    left_out = [bad[path] for path in files if path in bad]
    if left_out and on_bad_image == "fail":
        raise UserError(_bad_message(folder, left_out))
    index = [ImageRecord(**{**row, "position": place}) for place, row in enumerate(rows)]
    _check_good(index, files)
    return index, left_out


def _state_of(path: Path) -> str:
    """Name, size and time of a file: which image it was when it was looked at."""
    try:
        status = path.stat()
    except OSError:  # a link that leads nowhere
        return json.dumps([str(path)])
    return json.dumps([str(path), status.st_size, status.st_mtime_ns])


def _look_at(path: Path) -> ImageRecord | BadImage:
    """Row of a file in the index; its position is not known yet."""
    label, image = path.parent.name, f"{path.parent.name}/{path.name}"
    try:
        image.encode()
        data = read_file(path)
        upright, mode = read_upright(data)
    except UnicodeEncodeError:
        return BadImage(ascii(image), "its name is not valid UTF-8; rename it")
    except UNREADABLE_IMAGE as error:
        return BadImage(image, str(error) or type(error).__name__)
    movie, clip = group_names(f"{label}/{path.stem}")
    digest, looks = hashlib.sha256(data).hexdigest(), perceptual_hash(upright)
    return ImageRecord(-1, image, label, movie, clip, digest, looks, *upright.size, mode)


def _bad_message(folder: Path, bad: Sequence[BadImage]) -> str:
    listed = "\n".join(f"  {folder / b.image}: {b.reason}" for b in bad[:20])
    more = f"\n  and {len(bad) - 20} more" if len(bad) > 20 else ""
    return (
        f"{len(bad)} file(s) are no readable images:\n{listed}{more}\n"
        "mend or remove them, or set dataset.on_bad_image: skip"
    )


def audit_images(
    index: Sequence[ImageRecord],
    bad: Sequence[BadImage],
    ignored: Sequence[str] = (),
) -> list[dict[str, str | int]]:
    """Rows of the audit: counts, sizes, modes, identical images, files left out."""
    rows = [
        *_counts("images of class", (r.label for r in index)),
        *_counts("stored size", (f"{r.width} x {r.height}" for r in index)),
        *_counts("stored mode", (r.mode for r in index)),
        _row("movies", "", "", len({r.movie for r in index})),
        _row("clips", "", "", len({r.clip for r in index})),
    ]
    rows += _identical(index)
    rows += [_row("skipped file", b.image, b.reason, 1) for b in bad]
    rows += [_row("ignored file", name, "neither PNG nor JPEG by its name", 1) for name in ignored]
    return rows


def _row(check: str, subject: str, detail: str, count: int) -> dict[str, str | int]:
    return {"check": check, "subject": subject, "detail": detail, "count": count}


def _counts(check: str, values: Iterable[str]) -> list[dict[str, str | int]]:
    return [_row(check, value, "", n) for value, n in sorted(Counter(values).items())]


def _identical(index: Sequence[ImageRecord]) -> list[dict[str, str | int]]:
    """Sets of byte-identical files, and those of them that carry two labels."""
    same: dict[str, list[ImageRecord]] = defaultdict(list)
    for record in index:
        same[record.sha256].append(record)
    rows = []
    for records in same.values():
        if len(records) > 1:
            first, *others = records
            two_labels = len({r.label for r in records}) > 1
            check = "same image, two labels" if two_labels else "byte-identical"
            rows.append(_row(check, first.image, ", ".join(r.image for r in others), len(records)))
    return rows
