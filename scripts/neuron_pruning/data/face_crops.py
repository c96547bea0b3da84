"""Boxes of faces, found or given, and aligned crops of them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import pyarrow as pa
from PIL import Image

from neuron_pruning.core.errors import UserError
from neuron_pruning.core.parquet import column, read_rows, schema
from neuron_pruning.data.image_lists import read_image_list
from neuron_pruning.data.index import PADDING

GIVEN_COLUMNS = ("image", "x", "y", "width", "height")
BOXES_SCHEMA = schema(
    column("image", pa.string(), "file, relative to the folder of class folders"),
    column("label", pa.string(), "class folder"),
    column("x", pa.float64(), "left edge of the face in the upright image", "pixels"),
    column("y", pa.float64(), "upper edge of the face in the upright image", "pixels"),
    column("width", pa.float64(), "width of the face", "pixels"),
    column("height", pa.float64(), "height of the face", "pixels"),
    column("angle", pa.float64(), "clockwise roll; 0 unless both eyes were found", "degrees"),
    column("rule", pa.string(), "first detector to find it alone, together, given or centre"),
    column("score", pa.float64(), "votes of the windows that agree", "votes"),
    column("image_width", pa.int64(), "width of the upright image", "pixels"),
    column("image_height", pa.int64(), "height of the upright image", "pixels"),
    run=False,
)


@dataclass(frozen=True)
class FaceBox:
    """A face in pixels of the upright image; ``angle`` is its clockwise roll in degrees."""

    x: float
    y: float
    width: float
    height: float
    angle: float
    rule: str
    score: float


def read_boxes(path: Path) -> dict[str, FaceBox]:
    """Box of every image by its name in the index."""
    names = [field.name for field in fields(FaceBox)]
    rows = read_rows(path, ["image", *names])
    return {row["image"]: FaceBox(*(row[name] for name in names)) for row in rows}


def read_given_boxes(path: Path, sizes: Mapping[str, tuple[int, int]]) -> dict[str, FaceBox]:
    """Boxes drawn by hand, by image, rule ``given``; not every image needs one.

    Args:
        path: CSV with the columns image (``Class/name.png``), x, y, width, height in pixels.
        sizes: width and height of every image of the index, upright.

    Raises:
        UserError: the file or a line of it cannot be used.
    """
    listed = read_image_list(path, GIVEN_COLUMNS[1:], sizes)
    return {image: _given_box(row, where, *sizes[image]) for image, (where, row) in listed.items()}


def _given_box(row: Mapping[str, str], where: str, width: int, height: int) -> FaceBox:
    try:
        x, y, w, h = (float(row[name]) for name in GIVEN_COLUMNS[1:])
    except ValueError as error:
        raise UserError(f"{where}: {error}; x, y, width and height are numbers") from error
    # NaN fails every comparison
    if not (w > 0 and h > 0 and x >= 0 and y >= 0 and x + w <= width and y + h <= height):
        raise UserError(
            f"{where}: the box x {x:g}, y {y:g}, width {w:g}, height {h:g} is empty or reaches "
            f"out of the image, which has {width} x {height} pixels; keep it inside"
        )
    return FaceBox(x, y, w, h, 0.0, "given", 0.0)


def crop_region(box: FaceBox, size: tuple[int, int], margin: float = 0.0) -> tuple[float, float]:
    """Width and height, in pixels of the image, of what a crop of ``size`` shows.

    That is the box and ``margin`` of its sides all around, widened or heightened to the aspect
    ratio of ``size``, which is height x width.
    """
    height, width = size
    scale = (1 + 2 * margin) * max(box.width / width, box.height / height)
    return scale * width, scale * height


def crop_face(
    image: Image.Image, box: FaceBox, size: tuple[int, int], margin: float = 0.0
) -> Image.Image:
    """The face about the middle, its eyes level, nothing distorted; mid-grey beyond the image.

    ``size`` is height x width; ``margin``, in the box's sides, is shown beyond each of them.
    """
    height, width = size
    region = crop_region(box, size, margin)
    step = region[0] / width  # pixels of the image for one of the crop
    image, middle_x, middle_y = _neighbourhood(image, box, math.hypot(*region) / 2)
    shrink_x = shrink_y = 1.0
    if step > 1:  # the rotation looks at 4 x 4 pixels only, so it must find them small already
        smaller = (max(1, round(image.width / step)), max(1, round(image.height / step)))
        shrink_x, shrink_y = smaller[0] / image.width, smaller[1] / image.height
        image = image.resize(smaller, Image.Resampling.LANCZOS, reducing_gap=3.0)
    cosine, sine = (f(math.radians(box.angle)) * step for f in (math.cos, math.sin))
    left = middle_x - (cosine * width - sine * height) / 2  # where the crop's corner lies
    top = middle_y - (sine * width + cosine * height) / 2
    across = cosine * shrink_x, -sine * shrink_x, left * shrink_x
    down = sine * shrink_y, cosine * shrink_y, top * shrink_y
    how = Image.Transform.AFFINE, (*across, *down), Image.Resampling.BICUBIC
    return image.transform((width, height), *how, fillcolor=PADDING)


def _neighbourhood(
    image: Image.Image, box: FaceBox, reach: float
) -> tuple[Image.Image, float, float]:
    """The part of the image within ``reach`` of the box's middle, and where the middle is in it."""
    middle_x, middle_y = box.x + box.width / 2, box.y + box.height / 2
    left, top = (max(0, math.floor(m - reach) - 8) for m in (middle_x, middle_y))
    right = min(image.width, math.ceil(middle_x + reach) + 8)
    bottom = min(image.height, math.ceil(middle_y + reach) + 8)
    return image.crop((left, top, right, bottom)), middle_x - left, middle_y - top
