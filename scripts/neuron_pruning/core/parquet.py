"""Tidy Parquet files with a stated schema: the results that every later stage reads."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from neuron_pruning.core.errors import UserError, refuse_unreadable
from neuron_pruning.core.files import atomic_path

if TYPE_CHECKING:  # most jobs need no pandas, which takes longer to import than they work
    import pandas as pd

DELETE_AND_RERUN = "delete it and run again"


def column(name: str, kind: pa.DataType, description: str, unit: str = "") -> pa.Field:
    """Field of a schema that carries its description and unit."""
    return pa.field(name, kind, metadata={"description": description, "unit": unit})


CELL_COLUMNS = (
    column("experiment", pa.string(), "name of the experiment"),
    column("split", pa.string(), "how the images were divided"),
    column("crop", pa.string(), "whole frames (none) or faces"),
    column("recipe", pa.string(), "initialisation and optimiser recipe"),
    column("model", pa.string(), "network"),
    column("learning_rate", pa.float64(), "initial learning rate of the optimiser"),
    column("batch_size", pa.int64(), "images per optimiser step", "images"),
)  # one cell of the hyper-parameter grid, over all seeds
CELL = [field.name for field in CELL_COLUMNS]
PARTS = ("train", "validation", "test")  # of a split
RUN_COLUMNS = (
    *CELL_COLUMNS,
    column("seed", pa.int64(), "seed of split, initialisation and shuffling"),
)


def schema(*fields: pa.Field, run: bool = True) -> pa.Schema:
    """Schema of a Parquet file; ``run`` puts the keys of a training run first."""
    return pa.schema([*(RUN_COLUMNS if run else ()), *fields])


def write_rows(
    path: Path,
    rows: Iterable[Mapping[str, Any]],
    table_schema: pa.Schema,
    keys: Mapping[str, Any] | None = None,
) -> None:
    """Write ``rows`` atomically; ``keys`` are repeated in every row.

    Raises:
        ValueError: a row lacks a column, has one too many, or repeats a key.
    """
    shared = dict(keys or {})
    wanted = set(table_schema.names) - shared.keys()
    complete = []
    for row in rows:
        if row.keys() != wanted:
            raise ValueError(f"{path}: row and schema differ in {sorted(row.keys() ^ wanted)}")
        complete.append({**shared, **row})
    with atomic_path(path) as temporary:
        pq.write_table(pa.Table.from_pylist(complete, schema=table_schema), temporary)


def read_rows(path: Path, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Rows of a Parquet file as dictionaries.

    Raises:
        UserError: the file is missing or damaged.
    """
    table = _read_table(path, columns)
    missing = set(columns or ()) - set(table.column_names)
    if missing:
        raise UserError(f"{path} has no column {', '.join(sorted(missing))}; {DELETE_AND_RERUN}")
    with refuse_unreadable(f"{path} cannot be read", DELETE_AND_RERUN):
        return table.to_pylist()


def read_frame(paths: Iterable[Path]) -> "pd.DataFrame":
    """Rows of several files of one schema as a frame, fast where there are many.

    Raises:
        UserError: a file is missing or damaged.
    """
    paths = list(paths)
    tables = [_read_table(path) for path in paths]
    listed = ", ".join(map(str, paths[:3])) + (", ..." if len(paths) > 3 else "")
    with refuse_unreadable(f"{listed} cannot be read together", DELETE_AND_RERUN):
        return pa.concat_tables(tables).to_pandas()


def _read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    # Not read_table, which imports pandas.
    with (
        refuse_unreadable(f"{path} cannot be read", DELETE_AND_RERUN),
        pq.ParquetFile(path) as file,
    ):
        return file.read(None if columns is None else list(columns))


def read_many(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Rows of several files of one schema, in the order of the paths."""
    return [row for path in paths for row in read_rows(path)]


def as_dicts(rows: "pd.DataFrame") -> list[dict[str, Any]]:
    """Rows of a frame by column names."""
    return [{str(name): value for name, value in row.items()} for row in rows.to_dict("records")]
