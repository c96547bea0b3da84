"""Learning rate and batch size of each model by mean accuracy, or as the config fixes them."""

from pathlib import Path
from typing import Any

import pandas as pd

from neuron_pruning.core.parquet import as_dicts, read_many, write_rows
from neuron_pruning.statistics.hyperparameter_selection import SELECTION_SCHEMA, select_cells
from runtime.job_adapter import TrackedResult, run_job


def select_hyperparameters(
    metrics: list[Path], selection: Path, subset: str, fixed: dict[str, dict[str, Any]]
) -> TrackedResult:
    """Write one row per cell of the grid; each model has one that is selected."""
    grid = select_cells(pd.DataFrame(read_many(metrics)), subset, fixed)
    rows = grid.astype(object).where(grid.notna(), None)
    write_rows(selection, as_dicts(rows), SELECTION_SCHEMA)
    chosen = grid[grid["selected"]].set_index("model")["test_accuracy_mean"]
    return TrackedResult(metrics={f"{model}_test_accuracy": v for model, v in chosen.items()})


if "snakemake" in globals():
    run_job(globals()["snakemake"], select_hyperparameters)
