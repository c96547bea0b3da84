"""A folder of class folders as one array, an index and an audit."""

import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image, ImageOps

from neuron_pruning.errors import UserError
from neuron_pruning.files import atomic_path
from neuron_pruning.records import column, schema

Resize = Literal["fit", "stretch"]
OnBadImage = Literal["fail", "skip"]

SUFFIXES = {".png", ".jpg", ".jpeg"}
SMALLEST_CLASS = 5
PADDING = (128, 128, 128)  # mid-grey: 0 after normalisation
NAME = re.compile(r"(?P<movie>.+)_(?P<timestamp>\d+)_\d+$")

INDEX_SCHEMA = schema(
    column("position", pa.int64(), "row of the array"),
    column("image", pa.string(), "file, relative to the folder of class folders"),
    column("label", pa.string(), "class folder"),
    column("movie", pa.string(), "group of clips: file name before the last two underscores"),
    column("clip", pa.string(), "group of frames: file name before the last underscore"),
    column("sha256", pa.string(), "hash of the file's bytes"),
    column("width", pa.int64(), "width before resizing, upright", "pixels"),
    column("height", pa.int64(), "height before resizing, upright", "pixels"),
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
class DatasetSettings:
    """How images become an array; ``input_size`` is height, width in pixels."""

    input_size: tuple[int, int]
    resize: Resize = "fit"
    on_bad_image: OnBadImage = "fail"


@dataclass(frozen=True)
class ImageRecord:
    """One row of the index."""

    position: int
    image: str
    label: str
    movie: str
    clip: str
    sha256: str
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
    return sorted(str(f.relative_to(folder)) for f in files)


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


def read_image(path: Path, settings: DatasetSettings) -> tuple[NDArray[np.uint8], str, int, int]:
    """Pixels (height x width x 3), colour mode as stored, width and height of a file.

    EXIF orientation is honoured; grey, palette and RGBA become RGB.

    Raises:
        OSError: the file is truncated or no image.
    """
    with Image.open(path) as stored:
        mode = stored.mode
        stored.load()
        upright = ImageOps.exif_transpose(stored)
        width, height = upright.size
        if upright.mode.startswith("I"):  # 16-bit grey: the upper eight bits
            upright = Image.fromarray((np.asarray(upright) >> 8).clip(0, 255).astype(np.uint8))
        rgb = upright.convert("RGB")  # ASSUME: transparency is dropped, not blended
    return np.asarray(resize_image(rgb, settings)), mode, width, height


def resize_image(image: Image.Image, settings: DatasetSettings) -> Image.Image:
    """Image at the network's input size; one of that size is left as it is.

    ASSUME: ``fit`` keeps the aspect ratio and pads with mid-grey, ``stretch`` does not; both
    use Lanczos resampling. All images of SFEW have the paper's size and stay untouched.
    """
    height, width = settings.input_size
    if image.size == (width, height):
        return image
    if settings.resize == "stretch":
        return image.resize((width, height), Image.Resampling.LANCZOS)
    return ImageOps.pad(image, (width, height), Image.Resampling.LANCZOS, color=PADDING)


def group_names(image: str) -> tuple[str, str]:
    """Movie and clip of ``label/Movie_timestamp_frame``; any other image is its own group."""
    match = NAME.match(image.rsplit("/", 1)[-1])
    if match is None:
        return image, image
    return match["movie"], f"{match['movie']}_{match['timestamp']}"


def prepare_images(
    folder: Path, array: Path, settings: DatasetSettings, threads: int = 1
) -> tuple[list[ImageRecord], list[BadImage]]:
    """Decode every image of ``folder`` into ``array`` (N x height x width x 3, uint8, .npy).

    Returns:
        The index and, if ``on_bad_image`` is ``skip``, the files left out.

    Raises:
        UserError: unusable folder, bad file under ``fail``, or too few good ones in a class.
    """
    if settings.resize not in get_args(Resize):
        raise UserError(f"dataset.resize must be fit or stretch, not {settings.resize!r}")
    files = list_images(folder)
    shape = (len(files), *settings.input_size, 3)
    with atomic_path(array) as temporary:
        _reserve(temporary, shape)
        decoded = _decode_all(files, settings, threads)
        index, bad = _fill(temporary, shape, decoded, folder, settings.on_bad_image)
        if bad:
            _keep_rows(temporary, len(index))
            _check_good(index, files)
    return index, bad


def _reserve(path: Path, shape: tuple[int, ...]) -> None:
    """Claim the space at once: a memory map on a full disk would die without a word."""
    with path.open("wb") as handle:
        os.posix_fallocate(handle.fileno(), 0, int(np.prod(shape)) + 4096)
    np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape).flush()


Decoded = tuple[Path, NDArray[np.uint8] | None, ImageRecord | None, str]


def _decode_all(
    files: Sequence[Path], settings: DatasetSettings, threads: int
) -> Iterator[Decoded]:
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(partial(_decode, settings=settings), files)


def _decode(path: Path, settings: DatasetSettings) -> Decoded:
    try:
        pixels, mode, width, height = read_image(path, settings)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return path, None, None, str(error)  # Pillow's SyntaxError: a damaged PNG chunk
    movie, clip = group_names(f"{path.parent.name}/{path.stem}")
    label, digest = path.parent.name, hashlib.sha256(path.read_bytes()).hexdigest()
    image = f"{label}/{path.name}"
    return path, pixels, ImageRecord(-1, image, label, movie, clip, digest, width, height, mode), ""


def _fill(
    array: Path,
    shape: tuple[int, ...],
    decoded: Iterable[Decoded],
    folder: Path,
    on_bad_image: OnBadImage,
) -> tuple[list[ImageRecord], list[BadImage]]:
    rows = np.lib.format.open_memmap(array, mode="r+", dtype=np.uint8, shape=shape)
    index: list[ImageRecord] = []
    bad: list[BadImage] = []
    for path, pixels, record, reason in decoded:
        if record is None or pixels is None:
            bad.append(BadImage(str(path.relative_to(folder)), reason))
            continue
        rows[len(index)] = pixels
        index.append(replace(record, position=len(index)))
    if bad and on_bad_image == "fail":
        raise UserError(_bad_message(folder, bad))
    rows.flush()
    return index, bad


def _bad_message(folder: Path, bad: Sequence[BadImage]) -> str:
    listed = "\n".join(f"  {folder / b.image}: {b.reason}" for b in bad[:20])
    more = f"\n  and {len(bad) - 20} more" if len(bad) > 20 else ""
    return (
        f"{len(bad)} file(s) are no readable images:\n{listed}{more}\n"
        "mend or remove them, or set dataset.on_bad_image: skip"
    )


def _keep_rows(array: Path, count: int) -> None:
    """Shorten the array to its first ``count`` rows."""
    rows = np.load(array, mmap_mode="r")[:count]
    with atomic_path(array) as temporary, temporary.open("wb") as handle:
        np.save(handle, rows)


def audit_images(
    index: Sequence[ImageRecord],
    bad: Sequence[BadImage],
    settings: DatasetSettings,
    ignored: Sequence[str] = (),
) -> list[dict[str, str | int]]:
    """Rows of the audit: counts, sizes, modes, resized and identical images, files left out."""
    height, width = settings.input_size
    rows = [
        *_counts("images of class", (r.label for r in index)),
        *_counts("stored size", (f"{r.width} x {r.height}" for r in index)),
        *_counts("stored mode", (r.mode for r in index)),
        _row("movies", "", "", len({r.movie for r in index})),
        _row("clips", "", "", len({r.clip for r in index})),
    ]
    resized = sum((r.width, r.height) != (width, height) for r in index)
    rows.append(_row("resized", f"{width} x {height}", settings.resize, resized))
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
