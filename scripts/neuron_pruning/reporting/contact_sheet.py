"""Faces as they were found: whole frames with the box, the aligned crops beside them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, cycle, pairwise, takewhile
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from neuron_pruning.data.face_crops import FaceBox, crop_face
from neuron_pruning.reporting.sample_images import data_uri
from neuron_pruning.tables.rendering import one_line

FRAME = (160, 128)  # pixels at most of a frame; as high as the crop beside it
GAP = 6
TEXT_SIZE = 13  # pixels
QUALITY = 72
BACKGROUND, INK = (255, 255, 255), (32, 32, 32)
CENTRE = "centre"

Point = tuple[float, float]
Example = tuple[Image.Image, FaceBox, str]


@dataclass(frozen=True)
class Mark:
    """How a rule's boxes are drawn: readable in grey, and by colour-blind eyes.

    ``dashes`` are lengths of line and gap in turn, in pixels; () is a solid line.
    """

    letter: str
    colour: tuple[int, int, int]
    dashes: tuple[int, ...] = ()


MARKS = {
    "frontal": Mark("F", (86, 180, 233)),
    "alternative": Mark("A", (0, 200, 140), (9, 4)),
    "profile": Mark("P", (240, 228, 66), (3, 3)),
    "mirrored profile": Mark("M", (255, 170, 30), (9, 3, 3, 3)),
    "together": Mark("T", (240, 130, 200), (5, 5)),
    "given": Mark("G", (255, 255, 255)),
    CENTRE: Mark("C", (255, 110, 60), (16, 6)),
}
OTHER = Mark("?", (200, 200, 200), (2, 5))


def pick_examples(
    rows: Iterable[Mapping[str, Any]], each: int = 4, fallbacks: int = 12
) -> list[Mapping[str, Any]]:
    """Some rows of every rule, from the fewest votes to the most; then those without a face.

    Args:
        rows: of boxes.parquet.
        each: how many of a rule, evenly spaced by score.
        fallbacks: how many of rule ``centre``, spaced by name.
    """
    by_rule: dict[str, list[Mapping[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: (row["score"], row["image"])):
        by_rule.setdefault(row["rule"], []).append(row)
    known = [rule for rule in MARKS if rule in by_rule and rule != CENTRE]
    picked: list[Mapping[str, Any]] = []
    for rule in [*known, *sorted(by_rule.keys() - MARKS.keys())]:
        picked += _spaced(by_rule[rule], each)
    return picked + _spaced(by_rule.get(CENTRE, []), fallbacks)


def _spaced(rows: Sequence[Mapping[str, Any]], number: int) -> list[Mapping[str, Any]]:
    """``number`` rows at even distances, the first and the last among them."""
    if len(rows) <= number:
        return list(rows)
    return [rows[round(i * (len(rows) - 1) / max(1, number - 1))] for i in range(number)]


def contact_sheet(
    images: Iterable[Example],
    columns: int = 4,
    crop_size: Sequence[int] = (1, 1),
    margin: float = 0.0,
) -> str:
    """One JPEG of all examples, as a data URI.

    Args:
        images: upright RGB image, its box in pixels of that image, caption.
        columns: examples beside one another; two suit a narrow screen.
        crop_size: height x width whose aspect ratio the crops have.
        margin: of the crops, as of :func:`neuron_pruning.data.face_crops.crop_face`.

    Raises:
        ValueError: there are no examples.
    """
    cells = [_cell(*example, crop_size, margin) for example in images]
    if not cells:
        raise ValueError("a contact sheet needs one image at least")
    columns = min(columns, len(cells))
    width, height = cells[0].size
    lines = math.ceil(len(cells) / columns)
    sheet = Image.new("RGB", (columns * (width + GAP), lines * (height + GAP)), BACKGROUND)
    for number, cell in enumerate(cells):
        line, place = divmod(number, columns)
        sheet.paste(cell, (place * (width + GAP), line * (height + GAP)))
    return data_uri(sheet, quality=QUALITY, optimize=True)


def _cell(
    image: Image.Image, box: FaceBox, caption: str, crop_size: Sequence[int], margin: float
) -> Image.Image:
    """Frame with its box, crop, and two lines of text."""
    height = FRAME[1]
    crop_width = max(1, min(FRAME[0], round(height * crop_size[1] / crop_size[0])))
    crop_height = max(1, min(height, round(crop_width * crop_size[0] / crop_size[1])))
    width = FRAME[0] + 2 + crop_width
    cell = Image.new("RGB", (width, height + 2 * TEXT_SIZE + 8), BACKGROUND)
    cell.paste(_marked_frame(image, box), (0, 0))
    cell.paste(crop_face(image, box, (crop_height, crop_width), margin), (FRAME[0] + 2, 0))
    mark = MARKS.get(box.rule, OTHER)
    votes = f", {box.score:.0f} votes" if box.score else ""
    turned = f", {round(box.angle):+d}°" if round(box.angle) else ""
    draw = ImageDraw.Draw(cell)
    for number, text in enumerate((f"{mark.letter}: {box.rule}{votes}{turned}", caption)):
        place = (0, height + 2 + number * (TEXT_SIZE + 2))
        shown = _shortened(draw, one_line(text), width)
        draw.text(place, shown, fill=INK, font=_font())
    return cell


def _marked_frame(image: Image.Image, box: FaceBox) -> Image.Image:
    frame = image.copy()
    frame.thumbnail(FRAME)
    scale = (frame.width / image.width, frame.height / image.height)
    corners = [(x * scale[0], y * scale[1]) for x, y in corners_of(box)]
    mark = MARKS.get(box.rule, OTHER)
    draw = ImageDraw.Draw(frame)
    draw.line([*corners, corners[0], corners[1]], fill=(0, 0, 0), width=4, joint="curve")
    for start, end in pairwise([*corners, corners[0]]):
        for piece in dashed(start, end, mark.dashes):
            draw.line(piece, fill=mark.colour, width=2)
    draw.text((3, 1), mark.letter, mark.colour, _font(), stroke_width=2, stroke_fill=(0, 0, 0))
    return frame


def corners_of(box: FaceBox) -> list[Point]:
    """Corners of the box turned by its angle about its middle, from the upper left clockwise."""
    cosine, sine = math.cos(math.radians(box.angle)), math.sin(math.radians(box.angle))
    middle_x, middle_y = box.x + box.width / 2, box.y + box.height / 2
    halves = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    offsets = [(a * box.width / 2, b * box.height / 2) for a, b in halves]
    return [
        (middle_x + cosine * x - sine * y, middle_y + sine * x + cosine * y) for x, y in offsets
    ]


def dashed(start: Point, end: Point, dashes: Sequence[int]) -> list[tuple[Point, Point]]:
    """Pieces of the line from ``start`` to ``end``; the line itself where ``dashes`` is empty."""
    length = math.dist(start, end)
    if not dashes or length == 0:
        return [(start, end)]

    def at(way: float) -> Point:
        share = min(way, length) / length
        return (start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1]))

    starts = [0.0, *takewhile(lambda way: way < length, accumulate(cycle(dashes)))]
    drawn = zip(starts[::2], cycle(dashes[::2]), strict=False)
    return [(at(way), at(way + step)) for way, step in drawn]


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(TEXT_SIZE)


def _shortened(draw: ImageDraw.ImageDraw, text: str, width: int) -> str:
    """``text``, its end replaced by an ellipsis where it is wider than ``width``."""
    if draw.textlength(text, font=_font()) <= width:
        return text
    while text and draw.textlength(text + "…", font=_font()) > width:
        text = text[:-1]
    return text + "…"
