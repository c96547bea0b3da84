"""A folder of class folders as an index and an audit."""

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple, get_args

import pyarrow as pa
from PIL import Image, ImageOps

from neuron_pruning.core.errors import UserError, reason_of, refuse_unreadable
from neuron_pruning.core.files import read_file
from neuron_pruning.core.parquet import column, schema
from neuron_pruning.core.row_cache import rows_by_key
from neuron_pruning.data.decoding import read_upright
from neuron_pruning.data.image_folder import Unused, check_classes, list_images, shortened
from neuron_pruning.data.near_duplicates import perceptual_hash

OnBadImage = Literal["fail", "skip"]
Resize = Literal["fit", "stretch"]
Row = dict[str, Any]

PADDING = (128, 128, 128)  # mid-grey: 0 after normalisation
# Three names of SFEW have a hyphen or a second underscore.
NAME = re.compile(r"(?P<movie>.+)[_-](?P<timestamp>\d+)_+\d+$")

PLAIN = "one plain colour"

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
    column("plain_colour", pa.string(), "the colour of all pixels, empty where there are several"),
    run=False,
)
AUDIT_SCHEMA = schema(
    column("check", pa.string(), "what was looked at"),
    column("subject", pa.string(), "class, size, image or folder it is about"),
    column("detail", pa.string(), "what was found, empty for a plain count"),
    column("count", pa.int64(), "how many images", "images"),
    run=False,
)


class BadImage(NamedTuple):
    """A file that is no readable image, and why."""

    image: str
    reason: str


def upright_rgb(path: Path, sha256: str | None = None) -> Image.Image:
    """Upright RGB image of a file that was readable, with that hash, when it was indexed.

    Raises:
        UserError: it no longer is.
    """
    with refuse_unreadable(f"{path} is no readable image any more", "mend it, run again"):
        data = read_file(path)
        image, _ = read_upright(data)
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise UserError(f"{path} has changed since it was indexed; run again")
    return image


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


def group_names(image: str) -> tuple[str, str]:
    """Movie and clip of ``label/Movie_timestamp_frame``; any other image is its own group."""
    match = NAME.match(image.rsplit("/", 1)[-1])
    if match is None:
        return image, image
    return match["movie"], f"{match['movie']}_{match['timestamp']}"


def clip_of(image: str) -> str:
    """Clip of ``label/Movie_timestamp_frame.png``; any other image is its own."""
    return group_names(image.rpartition(".")[0])[1]


def index_images(
    folder: Path,
    on_bad_image: OnBadImage = "fail",
    threads: int = 1,
    kept: Path | None = None,
) -> tuple[list[Row], list[BadImage]]:
    """Decode and hash every image once: the index, and under ``skip`` the files left out.

    ``kept`` is a folder for what was found out: files of the same name, size and time as in an
    earlier run are not decoded again.

    Raises:
        UserError: unusable folder, bad file under ``fail``, or too few good ones in a class.
    """
    if on_bad_image not in get_args(OnBadImage):
        raise UserError(f"dataset.on_bad_image must be fail or skip, not {on_bad_image!r}")
    files = list_images(folder)
    bad: dict[Path, BadImage] = {}

    def look(path: Path) -> Row | None:
        found = _look_at(path)
        if isinstance(found, BadImage):
            bad[path] = found
            return None
        return found

    items = {_state_of(path): path for path in files}
    with nullcontext(kept) if kept else TemporaryDirectory() as place:
        rows = [row for _, row in rows_by_key(items, look, Path(place), threads) if row]
    left_out = [bad[path] for path in files if path in bad]
    if left_out and on_bad_image == "fail":
        raise UserError(_bad_message(folder, left_out))
    check_classes(folder, sorted({f.parent.name for f in files}), [row["label"] for row in rows])
    return [{"position": number, **row} for number, row in enumerate(rows)], left_out


def _state_of(path: Path) -> str:
    """Name, size and time of a file: which image it was when it was looked at."""
    try:
        status = path.stat()
    except OSError:  # a link that leads nowhere
        return json.dumps([str(path)])
    return json.dumps([str(path), status.st_size, status.st_mtime_ns])


def _look_at(path: Path) -> Row | BadImage:
    """Row of a file in the index, without its position."""
    label, image = path.parent.name, f"{path.parent.name}/{path.name}"
    try:
        image.encode()
        data = read_file(path)
        upright, mode = read_upright(data)
    except UnicodeEncodeError:
        return BadImage(ascii(image), "its name is not valid UTF-8; rename it")
    except Exception as error:  # noqa: BLE001 - see read_upright
        return BadImage(image, reason_of(error))
    movie, clip = group_names(f"{label}/{path.stem}")
    return {
        "image": image,
        "label": label,
        "movie": movie,
        "clip": clip,
        "sha256": hashlib.sha256(data).hexdigest(),
        "perceptual_hash": perceptual_hash(upright),
        "width": upright.width,
        "height": upright.height,
        "mode": mode,
        "plain_colour": _plain_colour(upright),
    }


def _plain_colour(image: Image.Image) -> str:
    """The colour of an RGB image whose pixels are all of one, as in HTML; else empty."""
    ends: Any = image.getextrema()  # least and largest value of each channel
    several = any(least < largest for least, largest in ends)
    return "" if several else "#" + "".join(f"{least:02x}" for least, _ in ends)


def _bad_message(folder: Path, bad: Sequence[BadImage]) -> str:
    listed = "\n".join(f"  {folder / b.image}: {b.reason}" for b in bad[:20])
    more = f"\n  and {len(bad) - 20} more" if len(bad) > 20 else ""
    return (
        f"{len(bad)} file(s) are no readable images:\n{listed}{more}\n"
        "mend or remove them, or set dataset.on_bad_image: skip"
    )


def audit_images(
    index: Sequence[Row],
    bad: Sequence[BadImage],
    ignored: Sequence[tuple[str, str, int]] = (),
    unused: Sequence[Unused] = (),
) -> list[Row]:
    """Rows of the audit: counts, sizes, modes, identical and plain images, files left out."""
    counts = {
        "images of class": Counter(r["label"] for r in index),
        "stored size": Counter(f"{r['width']} x {r['height']}" for r in index),
        "stored mode": Counter(r["mode"] for r in index),
    }
    found: list[tuple[str, str, str, int]] = [
        *((check, value, "", n) for check, of in counts.items() for value, n in sorted(of.items())),
        ("movies", "", "", len({r["movie"] for r in index})),
        ("clips", "", "", len({r["clip"] for r in index})),
        *_identical(index),
        *_plain(index),
        *(("skipped file", b.image, b.reason, 1) for b in bad),
        *(("ignored file", *file) for file in ignored),
        *(("not used", *place) for place in unused),
    ]
    return [dict(zip(AUDIT_SCHEMA.names, row, strict=True)) for row in found]


def skipped_files(bad: Sequence[BadImage]) -> str:
    """One line about the files that were left out; empty where there is none."""
    named = shortened([f"{b.image} ({b.reason})" for b in bad])
    return f"{len(bad)} files are no readable images and left out: {named}" if bad else ""


def _plain(index: Sequence[Row]) -> Iterator[tuple[str, str, str, int]]:
    """Images without a picture, by class."""
    plain: dict[str, list[str]] = defaultdict(list)
    for row in index:
        if row["plain_colour"]:
            plain[row["label"]].append(row["image"])
    for label, images in plain.items():
        yield PLAIN, label, shortened(images), len(images)


def plain_images(index: Sequence[Row]) -> str:
    """One line about the images without a picture; empty where there is none."""
    images = [row["image"] for row in index if row["plain_colour"]]
    if not images:
        return ""
    return (
        f"{len(images)} images show one plain colour and nothing else: {shortened(images)}. "
        "Transparency is dropped: where a picture lies in it alone, save it on a background"
    )


def _identical(index: Sequence[Row]) -> Iterator[tuple[str, str, str, int]]:
    """Sets of byte-identical files, and those of them that carry two labels."""
    same: dict[str, list[Row]] = defaultdict(list)
    for row in index:
        same[row["sha256"]].append(row)
    for rows in same.values():
        if len(rows) > 1:
            two_labels = len({row["label"] for row in rows}) > 1
            check = "same image, two labels" if two_labels else "byte-identical"
            first, *others = (row["image"] for row in rows)
            yield check, first, ", ".join(others), len(rows)
