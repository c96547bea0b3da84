"""Tables 2 and 3: precision and recall of each class for a selected network."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa

from neuron_pruning.core.parquet import CELL, CELL_COLUMNS, column, schema
from neuron_pruning.tables.figures import (
    INTERVAL_COLUMNS,
    class_figures,
    classes_of,
    paper_of,
    published_value,
)
from neuron_pruning.tables.rendering import counted, display_name, figures_are, interval, share
from neuron_pruning.tables.table import Table

CLASS_METRICS = ("precision", "recall", "accuracy")
SCHEMA = schema(
    *CELL_COLUMNS,
    column("metric", pa.string(), "precision, recall or accuracy"),
    column("class", pa.string(), "class; all beside the accuracy"),
    column("mean", pa.float64(), "mean over seeds, test images"),
    column("std", pa.float64(), "sample standard deviation over seeds"),
    column("seeds", pa.int64(), "runs in the mean"),
    column("test_images", pa.int64(), "images of the test part", "images"),
    *INTERVAL_COLUMNS,
    column("paper", pa.float64(), "the paper's value"),
    run=False,
)


def class_rows(metrics: pd.DataFrame, paper: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """Means over the seeds of one model, beside the paper's values."""
    rows = class_figures(metrics, [*CELL, "metric", "class"], CLASS_METRICS, images="max")
    known = paper_of(paper, set(rows["class"]) - {"all"})["classes"]
    published = [
        published_value(known.get(model, {}), metric, name)
        for model, metric, name in rows[["model", "metric", "class"]].itertuples(index=False)
    ]
    return rows.assign(paper=published)


def caption(rows: pd.DataFrame) -> str:
    """Which network it is, and the interval of its accuracy."""
    beside = " The paper's own figures stand below them." if rows["paper"].notna().any() else ""
    first = rows[rows["metric"] == "accuracy"].iloc[0]
    return (
        f"Test precision and recall of {display_name(first['model'])} by class, as shares; "
        f"learning rate {first['learning_rate']:g}, batch size {first['batch_size']}. "
        f"{figures_are(rows)}, {counted(first['test_images'], 'test image')}; the 95 % "
        f"interval (Wilson) of the accuracy is {interval(first['low'], first['high'])} %.{beside}"
    )


def display(rows: pd.DataFrame) -> pd.DataFrame:
    """The paper's layout: one column per class, one row per metric, the paper's below it if any.

    Columns count by their place: a class may have the name of another column.
    """
    classes, lines = classes_of(rows), []
    published = rows["paper"].notna().any()
    for metric in CLASS_METRICS:
        cells = rows[rows["metric"] == metric].set_index("class").to_dict("index")
        if metric == "accuracy":  # of all classes, below the first
            ours = [*cells.values(), *[None] * (len(classes) - 1)]
        else:
            ours = [cells.get(name) for name in classes]
        figures = ["" if cell is None else share(cell["mean"], cell["std"]) for cell in ours]
        lines.append([metric.title(), *figures])
        if published:
            paper = ["" if cell is None else share(cell["paper"]) for cell in ours]
            lines.append(["  paper", *paper])
    return pd.DataFrame(lines, columns=["Emotion" if published else "Metric", *classes])


TABLE = Table(SCHEMA, class_rows, display, caption)
