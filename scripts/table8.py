"""Table 8: precision, recall and specificity of the support vector machines, class by class."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import yaml

from neuron_pruning.core.parquet import column, read_many, schema
from neuron_pruning.statistics.significance import wilson_of_mean
from neuron_pruning.tables.rendering import interval, over_seeds, percent, share, write_table
from runtime.job_adapter import TrackedResult, run_job
from table7 import MACHINES

METRICS = ("precision", "recall", "specificity", "accuracy")
KEYS = ["experiment", "baseline", "split", "metric", "class"]
TABLE_SCHEMA = schema(
    column("experiment", pa.string(), "name of the experiment"),
    column("baseline", pa.string(), "descriptors of images, or a sheet of features"),
    column("split", pa.string(), "how the images were divided"),
    column("metric", pa.string(), "precision, recall, specificity or accuracy"),
    column("class", pa.string(), "class, or all"),
    column("mean", pa.float64(), "mean over seeds, test images"),
    column("std", pa.float64(), "sample standard deviation over seeds"),
    column("seeds", pa.int64(), "runs in the mean"),
    column("test_images", pa.int64(), "images of a test part, median over seeds", "images"),
    column("low", pa.float64(), "lower end of the 95 % interval of an accuracy (Wilson)"),
    column("high", pa.float64(), "upper end of it"),
    column("published", pa.float64(), "value of Dhall et al. 2011, person-independent"),
    run=False,
)


def table8(
    metrics: list[Path], published: Path, table: Path, rendered: list[Path], caption: str
) -> TrackedResult:
    """Write the table."""
    rows = summarise(pd.DataFrame(read_many(metrics)))
    theirs = yaml.safe_load(published.read_text(encoding="utf-8"))
    rows["published"] = [
        published_value(theirs, metric, name)
        for metric, name in rows[["metric", "class"]].itertuples(index=False)
    ]
    text = (
        f"Table 8. {caption} Test images, {over_seeds(int(rows['seeds'].max()))}; accuracies in "
        "percent with the 95 % interval (Wilson) of one test part of that size. Below them the "
        "values of Dhall et al. 2011, two person-independent halves of 700 images."
    )
    write_table(rows[TABLE_SCHEMA.names], display(rows), text, TABLE_SCHEMA, table, rendered)
    return TrackedResult()


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds with their intervals."""
    rows = rows[(rows["part"] == "test") & rows["metric"].isin(METRICS)]
    grouped = rows.groupby(KEYS, sort=False)
    table = grouped.agg(
        mean=("value", "mean"),
        std=("value", "std"),
        seeds=("value", "size"),
        test_images=("images", "median"),
    )
    table = table.reset_index().astype({"test_images": int})
    ends = [
        wilson_of_mean([mean], images) if metric == "accuracy" else (None, None)
        for mean, images, metric in table[["mean", "test_images", "metric"]].itertuples(index=False)
    ]
    table["low"], table["high"] = zip(*ends, strict=True)
    return table


def published_value(theirs: dict[str, Any], metric: str, name: str) -> float | None:
    """Published figure of a class, or the accuracy of all."""
    value = theirs.get(metric)
    if isinstance(value, dict):
        return value.get(name)
    return value if name == "all" else None


def display(rows: pd.DataFrame) -> pd.DataFrame:
    """A row a machine, split and metric, a column a class; the published values last."""
    classes = [name for name in rows["class"].unique() if name != "all"]
    lines = []
    for (baseline, split), found in rows.groupby(["baseline", "split"], sort=False):
        by_class = found.set_index(["metric", "class"])
        overall = by_class.loc["accuracy", "all"]
        accuracy = f"{percent(overall['mean'], overall['std'], 1)} "
        accuracy += interval(overall["low"], overall["high"])
        for metric in METRICS[:-1]:
            cells = by_class.loc[metric]
            lines.append(
                {
                    "Machine": MACHINES.get(str(baseline), str(baseline)),
                    "Split": split,
                    "Accuracy": accuracy,
                    "Metric": metric.title(),
                    **{name: share(*cells.loc[name, ["mean", "std"]]) for name in classes},
                }
            )
    lines += published_lines(rows, classes)
    return pd.DataFrame(lines)


def published_lines(rows: pd.DataFrame, classes: list[str]) -> list[dict[str, str]]:
    """The published values, where these are their classes."""
    known = rows.drop_duplicates(["metric", "class"]).set_index(["metric", "class"])["published"]
    return [
        {
            "Machine": "Dhall et al. 2011",
            "Split": "person-independent",
            "Accuracy": percent(known["accuracy", "all"], digits=1),
            "Metric": metric.title(),
            **{name: share(known[metric, name]) for name in classes},
        }
        for metric in METRICS[:-1]
        if known[metric].notna().any()
    ]


if "snakemake" in globals():
    run_job(globals()["snakemake"], table8)
