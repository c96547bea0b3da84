"""Table 1: accuracy of every cell of the hyper-parameter grid, beside the paper's."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import yaml

from neuron_pruning.core.parquet import column, read_rows, schema
from neuron_pruning.statistics.significance import wilson_of_mean
from neuron_pruning.tables.rendering import (
    DISPLAY_NAMES,
    interval,
    over_seeds,
    percent,
    signed,
    write_table,
)
from runtime.job_adapter import TrackedResult, run_job
from select_hyperparameters import SELECTION_SCHEMA

TABLE_SCHEMA = schema(
    *SELECTION_SCHEMA,
    column("low", pa.float64(), "lower end of the 95 % interval of the test accuracy (Wilson)"),
    column("high", pa.float64(), "upper end of it"),
    column("paper_train_accuracy", pa.float64(), "the paper's average train accuracy"),
    column("paper_test_accuracy", pa.float64(), "the paper's average test accuracy"),
    run=False,
)


def table1(
    selection: Path, paper: Path, table: Path, rendered: list[Path], caption: str
) -> TrackedResult:
    """Write the table; the selected cells carry a star."""
    rows = pd.DataFrame(read_rows(selection))
    published = pd.DataFrame(yaml.safe_load(paper.read_text(encoding="utf-8"))["table1"])
    published = published.rename(columns=lambda c: f"paper_{c}" if "accuracy" in c else c)
    rows = rows.merge(published, how="left", on=["model", "learning_rate", "batch_size"])
    ends = [
        wilson_of_mean([mean], images)
        for mean, images in zip(rows["test_accuracy_mean"], rows["test_images"], strict=True)
    ]
    rows["low"], rows["high"] = zip(*ends, strict=True)
    size = "/".join(str(n) for n in sorted(set(rows["test_images"])))
    text = f"Table 1. {caption} In percent, {over_seeds(rows['seeds'].max())}; "
    text += f"{size} test images; in brackets the 95 % interval (Wilson) of one test part of that "
    text += f"size; * selected on {rows['selected_on'].iloc[0]}.{flattery(rows)}"
    write_table(rows[TABLE_SCHEMA.names], display(rows), text, TABLE_SCHEMA, table, rendered)
    return TrackedResult()


def flattery(rows: pd.DataFrame) -> str:
    """How much more the test accuracy is where it also selected; nothing without validation."""
    if not rows["best_on_validation"].any():
        return ""
    test = rows.set_index("model")["test_accuracy_mean"]
    by_test, by_validation = (test[rows[f"best_on_{p}"].to_numpy()] for p in ("test", "validation"))
    return "".join(
        f" {DISPLAY_NAMES.get(model, model)}: {percent(by_test[model], digits=1)} where the test "
        f"images select, {percent(by_validation[model], digits=1)} where the validation images "
        f"do, {signed(by_test[model] - by_validation[model])} points."
        for model in by_test.index
    )


def display(rows: pd.DataFrame) -> pd.DataFrame:
    """The paper's columns with its own values beside ours."""
    return pd.DataFrame(
        {
            "Model": [DISPLAY_NAMES.get(m, m) for m in rows["model"]],
            "Learning Rate": [f"{value:g}" for value in rows["learning_rate"]],
            "Batch Size": [
                f"{size}{' *' if chosen else ''}"
                for size, chosen in zip(rows["batch_size"], rows["selected"], strict=True)
            ],
            **{
                f"Average {part.title()} Acc.": map(
                    percent, rows[f"{part}_accuracy_mean"], rows[f"{part}_accuracy_std"]
                )
                for part in ("train", "validation", "test")
                if rows[f"{part}_accuracy_mean"].notna().any()
            },
            "95 %": map(interval, rows["low"], rows["high"]),
            "Paper Train": map(percent, rows["paper_train_accuracy"]),
            "Paper Test": map(percent, rows["paper_test_accuracy"]),
        }
    )


if "snakemake" in globals():
    run_job(globals()["snakemake"], table1)
