"""Learning rate and batch size of each model by mean accuracy, or as the config fixes."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from neuron_pruning.core.parquet import CELL, CELL_COLUMNS, column, read_many, schema, write_rows
from runtime.job_adapter import TrackedResult, run_job

PARTS = ("train", "validation", "test")
SELECTION_SCHEMA = schema(
    *CELL_COLUMNS,
    column("seeds", pa.int64(), "runs in the mean"),
    column("test_images", pa.int64(), "images of the largest test part of a seed", "images"),
    *(
        column(f"{part}_accuracy_{figure}", pa.float64(), f"{text} over seeds, {part} images")
        for part in PARTS
        for figure, text in (("mean", "mean"), ("std", "sample standard deviation"))
    ),
    column("selected_on", pa.string(), "test, validation, or fixed by the config"),
    column("selected", pa.bool_(), "pruned and shown in Tables 2 to 4"),
    column("best_on_test", pa.bool_(), "best mean test accuracy of the model"),
    column("best_on_validation", pa.bool_(), "best mean validation accuracy, if there is any"),
    run=False,
)


def select_hyperparameters(
    metrics: list[Path], selection: Path, on: str, fixed: dict[str, dict[str, Any]]
) -> TrackedResult:
    """Write one row a cell of the grid; each model has one that is selected."""
    grid = summarise_accuracy(pd.DataFrame(read_many(metrics)))
    for part in ("test", "validation"):
        grid[f"best_on_{part}"] = mark_best(grid, part)
    grid["selected_on"] = ["fixed" if model in fixed else on for model in grid["model"]]
    grid["selected"] = mark_fixed(grid, fixed) | (
        grid[f"best_on_{on}"] & ~grid["model"].isin(list(fixed))
    )
    rows = grid.astype(object).where(grid.notna(), None)
    write_rows(selection, rows.to_dict("records"), SELECTION_SCHEMA)
    chosen = grid[grid["selected"]].set_index("model")["test_accuracy_mean"]
    return TrackedResult(metrics={f"{model}_test_accuracy": v for model, v in chosen.items()})


def summarise_accuracy(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean and deviation over seeds of the accuracy on each part, a row a cell of the grid."""
    accuracy = rows[rows["metric"] == "accuracy"]
    wide = accuracy.pivot(index=[*CELL, "seed"], columns="part", values=["value", "images"])
    wide.columns = [f"{part}_{value}" for value, part in wide.columns]
    for part in PARTS:
        if f"{part}_value" not in wide:
            wide[f"{part}_value"] = float("nan")
    grouped = wide.groupby(CELL, sort=False)
    return grouped.agg(
        seeds=("test_value", "size"),
        test_images=("test_images", "max"),
        **{f"{part}_accuracy_mean": (f"{part}_value", "mean") for part in PARTS},
        **{f"{part}_accuracy_std": (f"{part}_value", "std") for part in PARTS},
    ).reset_index()


def mark_best(grid: pd.DataFrame, part: str) -> pd.Series:
    """The best cell of each model by mean accuracy on a part; none where it has no images.

    ASSUME: of equal means the smaller learning rate, then the smaller batch size, is selected.
    """
    order = [f"{part}_accuracy_mean", "learning_rate", "batch_size"]
    measured = grid.dropna(subset=order[:1]).sort_values(order, ascending=[False, True, True])
    best = measured.drop_duplicates("model").index
    return pd.Series(grid.index.isin(best), index=grid.index)


def mark_fixed(grid: pd.DataFrame, fixed: dict[str, dict[str, Any]]) -> pd.Series:
    """The cells that the config fixes."""
    names = ["learning_rate", "batch_size"]
    wanted = {(model, *(cell[name] for name in names)) for model, cell in fixed.items()}
    cells = zip(grid["model"], *(grid[name] for name in names), strict=True)
    return pd.Series([cell in wanted for cell in cells], index=grid.index)


if "snakemake" in globals():
    run_job(globals()["snakemake"], select_hyperparameters)
