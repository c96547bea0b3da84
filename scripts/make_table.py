"""Any table: from its named inputs to Parquet and to the formats that people read."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from neuron_pruning.core.parquet import read_frame
from neuron_pruning.tables.rendering import write_table
from runtime.job_adapter import TrackedResult, run_job


def make_table(
    module: str,
    table: Path,
    rendered: list[Path],
    options: Mapping[str, Any] | None = None,
    **inputs: Path | list[Path],
) -> TrackedResult:
    """Write the table that ``module`` of neuron_pruning.tables defines."""
    made = import_module(f"neuron_pruning.tables.{module}").TABLE
    rows = made.rows(**{name: read(files) for name, files in inputs.items()}, **(options or {}))
    number = table.stem.removeprefix("table")
    caption = f"Table {number}. {made.caption(rows)}" if number.isdigit() else made.caption(rows)
    write_table(rows[made.schema.names], made.display(rows), caption, made.schema, table, rendered)
    return TrackedResult()


def read(files: Path | list[Path]) -> Any:
    """Rows of one or several Parquet files, or the content of a YAML file."""
    if isinstance(files, list):
        return read_frame(files) if files else pd.DataFrame()
    if files.suffix == ".yaml":
        return yaml.safe_load(files.read_text(encoding="utf-8"))
    return read_frame([files])


if "snakemake" in globals():
    run_job(globals()["snakemake"], make_table)
