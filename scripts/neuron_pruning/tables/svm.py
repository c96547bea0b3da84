"""Table 8: precision, recall and specificity of the SVMs, class by class."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa

from neuron_pruning.core.parquet import column, schema
from neuron_pruning.tables.figures import (
    INTERVAL_COLUMNS,
    class_figures,
    classes_of,
    published_value,
)
from neuron_pruning.tables.rendering import SVM_NAMES, figures_are, interval, percent, share
from neuron_pruning.tables.table import Table

SVM_METRICS = ("precision", "recall", "specificity", "accuracy")
SVM_KEYS = ["experiment", "baseline", "split", "metric", "class"]
SHARED = ["SVM", "Split", "Accuracy"]  # first columns, the same in all rows of an SVM and split
SCHEMA = schema(
    column("experiment", pa.string(), "name of the experiment"),
    column("baseline", pa.string(), "descriptors of images, or a table of features"),
    column("split", pa.string(), "how the images were divided"),
    column("metric", pa.string(), "precision, recall, specificity or accuracy"),
    column("class", pa.string(), "class; all beside the accuracy"),
    column("mean", pa.float64(), "mean over seeds, test images"),
    column("std", pa.float64(), "sample standard deviation over seeds"),
    column("seeds", pa.int64(), "runs in the mean"),
    column("test_images", pa.int64(), "images of a test part, median over seeds", "images"),
    *INTERVAL_COLUMNS,
    column("published", pa.float64(), "value of Dhall et al. 2011, person-independent"),
    run=False,
)


def svm_rows(metrics: pd.DataFrame, baseline: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """Means over seeds of every SVM, beside the published values of the same classes."""
    rows = class_figures(metrics, SVM_KEYS, SVM_METRICS, images="median")
    same = baseline and set(baseline["recall"]) == set(classes_of(rows))
    published = baseline if baseline and same else {}
    values = [
        published_value(published, metric, name)
        for metric, name in rows[["metric", "class"]].itertuples(index=False)
    ]
    return rows.assign(published=values)


def caption(rows: pd.DataFrame) -> str:
    """What the figures are, and whose the last rows are."""
    below = (
        " Below them the values of Dhall et al. 2011, two person-independent halves of 700 images."
        if rows["published"].notna().any()
        else ""
    )
    return (
        "SVMs by class on the test images: accuracy in percent with the 95 % interval (Wilson) of "
        f"one test part of that size, the other metrics as shares.{below} {figures_are(rows)}."
    )


def display(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per SVM, split and metric, one column per class; the published values last.

    Columns count by their place: a class may have the name of another column.
    """
    classes, lines = classes_of(rows), []
    for (baseline, split), found in rows.groupby(["baseline", "split"], sort=False):
        cells = found.set_index(["metric", "class"])[["mean", "std", "low", "high"]].T
        mean, deviation, *ends = cells["accuracy", "all"]
        named = [SVM_NAMES.get(str(baseline), str(baseline)), str(split)]
        named.append(f"{percent(mean, deviation, 1)} {interval(*ends)}")
        for metric in SVM_METRICS[:-1]:
            shares = [share(*cells[metric, name][["mean", "std"]]) for name in classes]
            lines.append([*named, metric.title(), *shares])
    columns = [*SHARED, "Metric", *classes]
    return pd.DataFrame([*lines, *published_lines(rows, classes)], columns=columns)


def published_lines(rows: pd.DataFrame, classes: list[str]) -> list[list[str]]:
    """The published values, where they are of these classes."""
    known = rows.drop_duplicates(["metric", "class"]).set_index(["metric", "class"])["published"]
    return [
        [
            "Dhall et al. 2011",
            "person-independent",
            percent(known["accuracy", "all"], digits=1),
            metric.title(),
            *(share(known[metric, name]) for name in classes),
        ]
        for metric in SVM_METRICS[:-1]
        if known[metric].notna().any()
    ]


TABLE = Table(SCHEMA, svm_rows, display, caption)
