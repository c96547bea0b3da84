"""Tables 2 and 3: precision and recall of each class for a selected network."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import yaml

from neuron_pruning.core.parquet import CELL, CELL_COLUMNS, column, read_many, schema
from neuron_pruning.statistics.significance import wilson_of_mean
from neuron_pruning.tables.rendering import DISPLAY_NAMES, interval, over_seeds, share, write_table
from runtime.job_adapter import TrackedResult, run_job

METRICS = ("precision", "recall", "accuracy")
TABLE_SCHEMA = schema(
    *CELL_COLUMNS,
    column("metric", pa.string(), "precision, recall or accuracy"),
    column("class", pa.string(), "class, or all"),
    column("mean", pa.float64(), "mean over seeds, test images"),
    column("std", pa.float64(), "sample standard deviation over seeds"),
    column("seeds", pa.int64(), "runs in the mean"),
    column("test_images", pa.int64(), "images of the test part", "images"),
    column("low", pa.float64(), "lower end of the 95 % interval of an accuracy (Wilson)"),
    column("high", pa.float64(), "upper end of it"),
    column("paper", pa.float64(), "the paper's value"),
    run=False,
)
KEYS = [*CELL, "metric", "class"]


def table_classes(
    metrics: list[Path],
    paper: Path,
    table: Path,
    rendered: list[Path],
    caption: str,
    number: int,
) -> TrackedResult:
    """Write the table of one model."""
    rows = pd.DataFrame(read_many(metrics))
    rows = rows[(rows["part"] == "test") & rows["metric"].isin(METRICS)]
    rows = rows.groupby(KEYS, sort=False)[["value", "images"]].agg(["mean", "std", "size", "max"])
    rows = pd.DataFrame(
        {
            "mean": rows["value", "mean"],
            "std": rows["value", "std"],
            "seeds": rows["value", "size"],
            "test_images": rows["images", "max"],
        }
    ).reset_index()
    ends = [
        wilson_of_mean([mean], images) if metric == "accuracy" else (None, None)
        for mean, images, metric in rows[["mean", "test_images", "metric"]].itertuples(index=False)
    ]
    rows["low"], rows["high"] = zip(*ends, strict=True)
    published = yaml.safe_load(paper.read_text(encoding="utf-8"))["classes"]
    rows["paper"] = [
        paper_value(published, *row) for row in rows[["model", "metric", "class"]].to_numpy()
    ]
    first = rows[rows["metric"] == "accuracy"].iloc[0]
    text = (
        f"Table {number}. {caption} {DISPLAY_NAMES.get(first['model'], first['model'])}, learning "
        f"rate {first['learning_rate']:g}, batch size {first['batch_size']}; "
        f"{over_seeds(first['seeds'])}; {first['test_images']} test images; "
        f"95 % interval of the accuracy {interval(first['low'], first['high'])} %."
    )
    write_table(rows[TABLE_SCHEMA.names], display(rows), text, TABLE_SCHEMA, table, rendered)
    return TrackedResult()


def paper_value(published: dict[str, Any], model: str, metric: str, name: str) -> float | None:
    """The paper's figure, if it has one for this model, metric and class."""
    value = published.get(model, {}).get(metric)
    if isinstance(value, dict):
        return value.get(name)
    return value if name == "all" else None


def display(rows: pd.DataFrame) -> pd.DataFrame:
    """The paper's layout: a column a class, a row a metric, the paper's row below ours."""
    classes = [name for name in rows["class"].unique() if name != "all"]
    lines = []
    for metric in METRICS:
        cells = rows[rows["metric"] == metric].set_index("class")
        wanted = classes[:1] if metric == "accuracy" else classes
        ours = {c: cells.loc["all" if metric == "accuracy" else c] for c in wanted}
        lines.append(
            {"Emotion": metric.title(), **{c: share(v["mean"], v["std"]) for c, v in ours.items()}}
        )
        lines.append({"Emotion": "  paper", **{c: share(v["paper"]) for c, v in ours.items()}})
    return pd.DataFrame(lines, columns=["Emotion", *classes]).fillna("")


if "snakemake" in globals():
    run_job(globals()["snakemake"], table_classes)
