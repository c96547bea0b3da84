"""CSV files in which the user states something about images, one line for each."""

import csv
import io
from collections.abc import Collection, Sequence
from pathlib import Path

from neuron_pruning.core.errors import UserError, refuse_unreadable
from neuron_pruning.core.files import read_file

Row = dict[str, str]
LONGEST_VALUE = 1000  # characters: numpy gives the values of all images the room of the longest


def read_image_list(
    file: Path, columns: Sequence[str], images: Collection[str]
) -> dict[str, tuple[str, Row]]:
    """File and line of every image that the file names, and the row, by image.

    Raises:
        UserError: the file is missing or no UTF-8 text, lacks the column image or one of
            ``columns``, names an image twice or one that is none of ``images``, or has a value of
            more than ``LONGEST_VALUE`` characters.
    """
    known, found = set(images), dict[str, tuple[str, Row]]()
    for line, row in _read_rows(file, ["image", *columns]):
        where, image = f"{file}, line {line}", row["image"]
        if image not in known:
            raise UserError(
                f"{where}: there is no image {image!r} in the data set; write class folder and "
                f"file name, as in {next(iter(images))}, or remove the line"
            )
        if image in found:
            raise UserError(f"{where}: {image} stands there twice; keep one line")
        if long := [name for name in columns if len(row[name]) > LONGEST_VALUE]:
            raise UserError(
                f"{where}: {long[0]} has {len(row[long[0]]):,} characters; shorten it to "
                f"{LONGEST_VALUE:,} at most"
            )
        found[image] = where, row
    return found


def _read_rows(file: Path, columns: Sequence[str]) -> list[tuple[int, Row]]:
    """Line number and ``columns`` of every row; what a short row lacks is empty."""
    remedy = "name a CSV file in UTF-8, separated by commas"
    with refuse_unreadable(f"{file} cannot be read", remedy):
        text = read_file(file).decode("utf-8-sig")  # spreadsheets' mark
        reader = csv.DictReader(io.StringIO(text, newline=""), restval="")
        there = reader.fieldnames or ()
        rows = [(reader.line_num, row) for row in reader]
    if missing := [repr(name) for name in columns if name not in there]:
        raise UserError(
            f"{file}, line 1: no column {', '.join(missing)}; it has "
            f"{', '.join(there) or 'none'}, and needs {','.join(columns)}"
        )
    return [(line, {c: row[c].strip() for c in columns}) for line, row in rows]
