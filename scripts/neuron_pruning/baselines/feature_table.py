"""A published spreadsheet of features: what it holds, and what is wrong with it."""

import io
import math
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import numpy as np
import openpyxl
import pyarrow as pa
from numpy.typing import NDArray

from neuron_pruning.core.errors import UserError, refuse_unreadable
from neuron_pruning.core.files import check_unpacked_size, read_file
from neuron_pruning.core.parquet import column, schema

COMPONENTS = tuple(f"{kind} {n}" for kind in ("LPQ", "PHOG") for n in range(1, 6))
COLUMNS = ("name", "label", *COMPONENTS)
LARGEST_UNPACKED = 20_000_000  # bytes
LARGEST_ROW, LARGEST_COLUMN = 100_000, 100  # numbers of a row and a column that are read
NAMED_AT_MOST = 10  # in a message

FAULTS_SCHEMA = schema(
    column("row", pa.int64(), "row of the spreadsheet, the header being row 1"),
    column("name", pa.string(), "name in that row"),
    column("fault", pa.string(), "what is wrong, and what was done"),
    run=False,
)


class Fault(NamedTuple):
    """What is wrong with one row of a spreadsheet, the header being row 1."""

    row: int
    name: str
    fault: str


@dataclass(frozen=True)
class FeatureTable:
    """Rows of a spreadsheet: number in the file, name without suffix, class, ten components.

    ``features`` are not a number in every row that lacks one.
    """

    path: Path
    rows: tuple[int, ...]
    names: tuple[str, ...]
    labels: tuple[str, ...]
    features: NDArray[np.float64]
    faults: tuple[Fault, ...]


def read_workbook(path: Path, labels: Sequence[str]) -> FeatureTable:
    """Names, classes and the ten components of every row of the first worksheet.

    ASSUME: classes are numbered from 1 in alphabetical order. Of a row that lacks a number none
    is used: in SFEW's own spreadsheet, the first number left in such a row is a hundred times as
    large as elsewhere.

    Args:
        path: xlsx with the columns name, label, five components of LPQ, five of PHOG.
        labels: the classes.

    Raises:
        UserError: no such workbook, other columns, a column without numbers, or a row without a
            name or with another label.
    """
    header, *cells = _read_cells(path)
    _check_columns(path, header[1], [cell for _, cell in cells])
    classes = sorted(labels)
    rows = tuple(row for row, _ in cells)
    names = tuple(_name(path, row, cell[0]) for row, cell in cells)
    numbered = tuple(_label(path, row, cell[1], classes) for row, cell in cells)
    features = np.array([[_number(value) for value in cell[2:]] for _, cell in cells])
    faults = tuple(_faults(rows, names, numbered, features))
    features[np.isnan(features).any(axis=1)] = np.nan
    return FeatureTable(path, rows, names, numbered, features, faults)


def match_features(table: FeatureTable, index: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    """Features of every image of the index, N x 10; not a number where the table lacks one.

    A row belongs to the image of its class whose name without suffix is the same.

    ASSUME: of rows with one name in one class the first counts.

    Raises:
        UserError: a row without an image, or an image without a row.
    """
    images = [(image["label"], PurePath(image["image"]).stem) for image in index]
    keys = list(zip(table.labels, table.names, strict=True))
    unknown = sorted(set(keys) - set(images))
    if unknown:
        raise UserError(
            f"{table.path}: {len(unknown)} name(s) are no image of their class: "
            f"{_listed(unknown)}; remove these rows, correct their labels (classes are numbered "
            "from 1 in alphabetical order), or set dataset.path to the images of this table"
        )
    missing = sorted(set(images) - set(keys))
    if missing:
        raise UserError(
            f"{table.path}: {len(missing)} image(s) have no row: {_listed(missing)}; add their "
            "rows, or take feature_table out of comparison.baselines"
        )
    first = {key: row for row, key in reversed(list(enumerate(keys)))}
    return table.features[[first[image] for image in images]]


def _read_cells(path: Path) -> list[tuple[int, tuple[Any, ...]]]:
    """Rows that are not empty, with their numbers; all as wide as the widest."""
    remedy = "set baseline.feature_table to one"
    with refuse_unreadable(f"{path} is no readable xlsx workbook", remedy):
        content = io.BytesIO(read_file(path))
        check_unpacked_size(content, LARGEST_UNPACKED)
        with warnings.catch_warnings():
            # Formatting that openpyxl does not know does not touch the values.
            warnings.filterwarnings("ignore", module="openpyxl")
            # Row by row: else openpyxl makes every cell of a merged range, however large.
            book = openpyxl.load_workbook(content, read_only=True, data_only=True)
            filled = list(_filled_rows(book.worksheets[0]))
    if len(filled) < 2:
        raise UserError(f"{path}: its first worksheet has no rows below the header")
    width = max(len(cells) for _, cells in filled)
    return [(number, (*cells, *[None] * (width - len(cells)))) for number, cells in filled]


def _filled_rows(sheet: Any) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Numbers and cells, up to the last that is filled, of the rows that are not empty.

    Raises:
        ValueError: a row or a cell lies beyond ``LARGEST_ROW`` or ``LARGEST_COLUMN``.
    """
    sheet.reset_dimensions()  # the file may claim any size
    for number, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
        if number > LARGEST_ROW or len(cells) > LARGEST_COLUMN:
            raise ValueError(
                f"it reaches beyond row {LARGEST_ROW:,} or column {LARGEST_COLUMN}; remove what "
                "lies there"
            )
        width = max((n for n, c in enumerate(cells, start=1) if c is not None), default=0)
        if width:
            yield number, cells[:width]


def _check_columns(path: Path, header: tuple[Any, ...], cells: list[tuple[Any, ...]]) -> None:
    wanted = f"{path} needs the columns {', '.join(COLUMNS)}"
    if len(header) != len(COLUMNS):
        raise UserError(f"{wanted}: {len(COLUMNS)}, but has {len(header)}")
    if str(header[1]).strip().lower() != "label":
        raise UserError(f"{wanted}; the header of its second column is {header[1]!r}, not 'label'")
    for n, name in enumerate(COMPONENTS, start=2):
        if all(math.isnan(_number(cell[n])) for cell in cells):
            raise UserError(f"{wanted}; column {n + 1}, {name}, holds no number")


def _name(path: Path, row: int, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{path}, row {row}: the name is {value!r}; give the name of an image")
    return PurePath(value.strip()).stem


def _label(path: Path, row: int, value: Any, classes: Sequence[str]) -> str:
    if isinstance(value, int | float) and value in range(1, len(classes) + 1):
        return classes[int(value) - 1]
    numbers = ", ".join(f"{n} {name}" for n, name in enumerate(classes, start=1))
    raise UserError(f"{path}, row {row}: the label is {value!r}; it must be one of {numbers}")


def _number(value: Any) -> float:
    finite = isinstance(value, int | float) and math.isfinite(value)
    return float(value) if finite else math.nan


def _faults(
    rows: Sequence[int],
    names: Sequence[str],
    labels: Sequence[str],
    features: NDArray[np.float64],
) -> Iterator[Fault]:
    """Rows that lack a number, and names that were there before, in whichever class."""
    seen: dict[str, list[int]] = defaultdict(list)
    for n, (row, name) in enumerate(zip(rows, names, strict=True)):
        absent = ", ".join(COMPONENTS[place] for place in np.flatnonzero(np.isnan(features[n])))
        if absent:
            yield Fault(row, name, f"no number for {absent}; none of the row is used")
        for before in seen[name]:
            same = np.array_equal(features[before], features[n], equal_nan=True)
            one_class = labels[before] == labels[n]
            used = "the first row counts" if one_class else "each goes to the image of its class"
            yield Fault(
                row,
                name,
                f"the name of row {rows[before]} again, with {'the same' if same else 'other'} "
                f"numbers, under {labels[n]} after {labels[before]}; {used}",
            )
        seen[name].append(n)


def _listed(keys: Sequence[tuple[str, str]]) -> str:
    """``Happy/Film_1, Sad/Film_2 and 3 more``."""
    named = ", ".join("/".join(key) for key in keys[:NAMED_AT_MOST])
    return named + (f" and {len(keys) - NAMED_AT_MOST} more" if len(keys) > NAMED_AT_MOST else "")
