"""CSV files in which the user states something about images, one line for each."""

import csv
from collections.abc import Collection, Sequence
from pathlib import Path

from neuron_pruning.core.errors import UserError

Row = dict[str, str]


def read_image_list(
    file: Path, columns: Sequence[str], images: Collection[str]
) -> dict[str, tuple[str, Row]]:
    """File and line of every image that the file names, and the row, by image.

    Raises:
        UserError: the file is missing or no UTF-8 text, lacks the column image or one of
            ``columns``, or names an image twice or one that is none of ``images``.
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
        found[image] = where, row
    return found


def _read_rows(file: Path, columns: Sequence[str]) -> list[tuple[int, Row]]:
    """Line number and ``columns`` of every row; what a short row lacks is empty."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as handle:  # spreadsheets' mark
            reader = csv.DictReader(handle, restval="")
            there = reader.fieldnames or ()
            if missing := [repr(name) for name in columns if name not in there]:
                raise UserError(
                    f"{file}, line 1: no column {', '.join(missing)}; it has "
                    f"{', '.join(there) or 'none'}, and needs {','.join(columns)}"
                )
            return [(reader.line_num, {c: row[c].strip() for c in columns}) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{file} cannot be read ({error}); name a CSV file in UTF-8, separated by commas"
        ) from error
