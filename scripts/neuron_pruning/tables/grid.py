"""Table 1: accuracy of every cell of the hyper-parameter grid, beside the paper's."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa

from neuron_pruning.core.parquet import PARTS, column, schema
from neuron_pruning.statistics.hyperparameter_selection import SELECTION_SCHEMA
from neuron_pruning.tables.figures import (
    FRAMES,
    INTERVAL_COLUMNS,
    paper_of,
    with_interval,
    without_empty,
)
from neuron_pruning.tables.rendering import display_name, figures_are, interval, percent, signed
from neuron_pruning.tables.table import Table

STARS = {True: " *", False: ""}
PAPER_KEYS = ["model", "learning_rate", "batch_size", "train_accuracy", "test_accuracy"]
SCHEMA = schema(
    *SELECTION_SCHEMA,
    *INTERVAL_COLUMNS,
    column("paper_train_accuracy", pa.float64(), "the paper's average train accuracy"),
    column("paper_test_accuracy", pa.float64(), "the paper's average test accuracy"),
    run=False,
)


def grid_rows(
    selection: pd.DataFrame, splits: pd.DataFrame, paper: Mapping[str, Any] | None = None
) -> pd.DataFrame:
    """Rows of ``selection.parquet`` with intervals and the paper's values.

    ``splits`` are rows of the split files; None of the paper's values stands beside other classes.
    """
    published = pd.DataFrame(paper_of(paper, splits["label"])["table1"], columns=PAPER_KEYS)
    published = published.rename(columns=lambda c: f"paper_{c}" if "accuracy" in c else c)
    rows = selection.merge(published, how="left", on=["model", "learning_rate", "batch_size"])
    return with_interval(rows, "test_accuracy_mean")


def caption(rows: pd.DataFrame) -> str:
    """What the figures are, and what the star marks."""
    size = "/".join(str(n) for n in sorted(set(rows["test_images"])))
    parts = sorted(set(rows["selected_on"]) - {"fixed"})
    published = rows["paper_test_accuracy"].notna().any()
    beside = " The paper's own figures stand beside them." if published else ""
    star = f"selected on {' or '.join(parts)} images" if parts else "fixed in the config"
    return (
        f"Train and test accuracy of every setting of the hyper-parameters, in percent; * {star}. "
        f"{figures_are(rows)}, {size} test images; in brackets the 95 % interval (Wilson) of one "
        f"test part of that size, {FRAMES}.{beside}{selection_bias(rows)}"
    )


def selection_bias(rows: pd.DataFrame) -> str:
    """How much higher the test accuracy is where the test images select; empty without validation.

    It compares the settings that the test images and the validation images would select.
    """
    if not rows["best_on_validation"].any():
        return ""
    test = rows.set_index("model")["test_accuracy_mean"]
    by_test, by_validation = (test[rows[f"best_on_{p}"].to_numpy()] for p in ("test", "validation"))
    return "".join(
        f" {display_name(str(model))}: {percent(by_test[model], digits=1)} where the test "
        f"images select, {percent(by_validation[model], digits=1)} where the validation images "
        f"do, {signed(by_test[model] - by_validation[model])} points."
        for model in by_test.index
    )


def display(rows: pd.DataFrame) -> pd.DataFrame:
    """The paper's columns with its own values beside ours; the selected cells carry a star."""
    named = {part: f"{part}_accuracy" for part in PARTS}
    averages = {
        f"Average {part.title()} Acc.": map(percent, rows[f"{name}_mean"], rows[f"{name}_std"])
        for part, name in named.items()
        if rows[f"{name}_mean"].notna().any()
    }
    shown = pd.DataFrame(
        {
            "Model": map(display_name, rows["model"]),
            "Learning Rate": rows["learning_rate"].map("{:g}".format).to_numpy(),
            "Batch Size": (rows["batch_size"].astype(str) + rows["selected"].map(STARS)).to_numpy(),
            **averages,
            "95 %": map(interval, rows["low"], rows["high"]),
            "Paper Train": map(percent, rows["paper_train_accuracy"]),
            "Paper Test": map(percent, rows["paper_test_accuracy"]),
        }
    )
    named = {f"Paper {part.title()}": f"paper_{part}_accuracy" for part in ("train", "test")}
    return without_empty(shown, rows, named)


TABLE = Table(SCHEMA, grid_rows, display, caption)
