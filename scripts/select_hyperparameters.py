"""Learning rate and batch size of each model by mean test accuracy, or as the config fixes."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from adapter import Mirrored, run_job
from neuron_pruning.records import CELL_COLUMNS, column, read_many, schema, write_rows

SELECTION_SCHEMA = schema(
    *CELL_COLUMNS,
    column("seeds", pa.int64(), "runs in the mean"),
    column("test_images", pa.int64(), "images of the test part", "images"),
    column("train_accuracy_mean", pa.float64(), "mean over seeds"),
    column("train_accuracy_std", pa.float64(), "sample standard deviation over seeds"),
    column("test_accuracy_mean", pa.float64(), "mean over seeds"),
    column("test_accuracy_std", pa.float64(), "sample standard deviation over seeds"),
    column("selected", pa.bool_(), "pruned and shown in Tables 2 to 4"),
    run=False,
)
CELL = ["experiment", "recipe", "model", "learning_rate", "batch_size"]


def select_hyperparameters(
    metrics: list[Path], selection: Path, fixed: dict[str, dict[str, Any]]
) -> Mirrored:
    """Write one row a cell of the grid; each model has one that is selected."""
    rows = pd.DataFrame(read_many(metrics))
    grid = summarise_accuracy(rows)
    grid["selected"] = mark_selected(grid, fixed)
    write_rows(selection, grid.to_dict("records"), SELECTION_SCHEMA)
    chosen = grid[grid["selected"]].set_index("model")["test_accuracy_mean"]
    return Mirrored(metrics={f"{model}_test_accuracy": v for model, v in chosen.items()})


def summarise_accuracy(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean and deviation over seeds of train and test accuracy, a row a cell of the grid."""
    accuracy = rows[rows["metric"] == "accuracy"]
    wide = accuracy.pivot(index=[*CELL, "seed"], columns="part", values=["value", "images"])
    wide.columns = [f"{part}_{value}" for value, part in wide.columns]
    grouped = wide.groupby(CELL, sort=False)
    return grouped.agg(
        seeds=("test_value", "size"),
        test_images=("test_images", "max"),
        train_accuracy_mean=("train_value", "mean"),
        train_accuracy_std=("train_value", "std"),
        test_accuracy_mean=("test_value", "mean"),
        test_accuracy_std=("test_value", "std"),
    ).reset_index()


def mark_selected(grid: pd.DataFrame, fixed: dict[str, dict[str, Any]]) -> pd.Series:
    """The fixed cell of a model, else its best by mean test accuracy.

    ASSUME: of equal means the smaller learning rate, then the smaller batch size, is selected.
    """
    selected = pd.Series(False, index=grid.index)
    for model, cells in grid.groupby("model"):
        if model in fixed:
            wanted = fixed[str(model)]
            hit = (cells["learning_rate"] == wanted["learning_rate"]) & (
                cells["batch_size"] == wanted["batch_size"]
            )
            selected[cells.index[hit]] = True
        else:
            order = ["test_accuracy_mean", "learning_rate", "batch_size"]
            best = cells.sort_values(order, ascending=[False, True, True])
            selected[best.index[0]] = True
    return selected


if "snakemake" in globals():
    run_job(snakemake, select_hyperparameters)  # noqa: F821
