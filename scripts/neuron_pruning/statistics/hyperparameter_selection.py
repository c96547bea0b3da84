"""Learning rate and batch size of each model by mean accuracy, or as the config fixes them."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa

from neuron_pruning.core.parquet import CELL, CELL_COLUMNS, PARTS, column, schema

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


def select_cells(
    metrics: pd.DataFrame, subset: str, fixed: Mapping[str, Mapping[str, Any]]
) -> pd.DataFrame:
    """The grid of hyper-parameters, one row per cell, of which each model has one ``selected``.

    Args:
        metrics: rows of ``metrics.parquet`` of all runs of the grid.
        subset: part of the images that selects, ``test`` or ``validation``.
        fixed: learning rate and batch size of the models for which the config fixes them.
    """
    grid = summarise_accuracy(metrics)
    for part in ("test", "validation"):
        grid[f"best_on_{part}"] = mark_best(grid, part)
    is_fixed = grid["model"].isin(list(fixed))
    grid["selected_on"] = is_fixed.map({True: "fixed", False: subset})
    grid["selected"] = mark_fixed(grid, fixed) | (grid[f"best_on_{subset}"] & ~is_fixed)
    return grid


def summarise_accuracy(metrics: pd.DataFrame) -> pd.DataFrame:
    """Mean and deviation over seeds of the accuracy on each part, one row per cell of the grid."""
    accuracy = metrics[metrics["metric"] == "accuracy"]
    wide = accuracy.pivot(index=[*CELL, "seed"], columns="part", values=["value", "images"])
    wide.columns = wide.columns.map("{0[1]}_{0[0]}".format)  # part and value
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
    """Marks the best cell of each model by mean accuracy on a part; none where it has no images.

    ASSUME: of equal means the smaller learning rate, then the smaller batch size, is selected.
    """
    order = [f"{part}_accuracy_mean", "learning_rate", "batch_size"]
    measured = grid.dropna(subset=order[:1]).sort_values(order, ascending=[False, True, True])
    best = measured.drop_duplicates("model").index
    return pd.Series(grid.index.isin(best), index=grid.index)


def mark_fixed(grid: pd.DataFrame, fixed: Mapping[str, Mapping[str, Any]]) -> pd.Series:
    """Marks the cells that the config fixes."""
    wanted = {(m, cell["learning_rate"], cell["batch_size"]) for m, cell in fixed.items()}
    cells = grid[["model", "learning_rate", "batch_size"]].itertuples(index=False, name=None)
    return pd.Series([cell in wanted for cell in cells], index=grid.index)
