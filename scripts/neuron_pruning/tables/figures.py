"""Columns and figures that several tables share."""

from collections.abc import Iterable, Mapping, Sequence
from math import nan
from typing import Any

import pandas as pd
import pyarrow as pa

from neuron_pruning.core.parquet import column
from neuron_pruning.statistics.significance import wilson_of_mean

FRAMES = "too narrow where frames of one clip are tested, which count as separate images"
INTERVAL_COLUMNS = (
    column("low", pa.float64(), "lower end of the 95 % interval of the test accuracy (Wilson)"),
    column("high", pa.float64(), "upper end of it"),
)


NO_PAPER: Mapping[str, Any] = {"table1": [], "classes": {}, "table4": []}


def paper_of(paper: Mapping[str, Any] | None, classes: Iterable[str]) -> Mapping[str, Any]:
    """The paper's figures where the images have its classes, and otherwise none of them."""
    known = {name for of in (paper or NO_PAPER)["classes"].values() for name in of["recall"]}
    return paper if paper is not None and known == set(classes) else NO_PAPER


def without_empty(
    shown: pd.DataFrame, rows: pd.DataFrame, named: Mapping[str, str]
) -> pd.DataFrame:
    """``shown`` without columns for which nothing is published.

    Args:
        shown: what a reader sees.
        rows: the figures.
        named: headings of columns of ``shown``, each with the column of ``rows`` behind it.
    """
    return shown.drop(columns=[head for head, name in named.items() if rows[name].isna().all()])


def averaged_columns(figures: Mapping[str, str], over: str = "seeds") -> list[pa.Field]:
    """Mean and standard deviation of figures; ``figures`` describes each by its name."""
    return [
        column(f"{name}_{figure}", pa.float64(), f"{text}, {figure} over {over}")
        for name, text in figures.items()
        for figure in ("mean", "std")
    ]


def with_interval(rows: pd.DataFrame, mean: str) -> pd.DataFrame:
    """Add the 95 % interval (Wilson) of an accuracy as ``low`` and ``high``.

    Args:
        rows: with the column ``test_images``; where there is a column ``metric``, rows of another
            metric than the accuracy get no interval.
        mean: column of the accuracies, shares averaged over seeds.
    """
    shown = rows[rows["metric"] == "accuracy"] if "metric" in rows else rows
    pairs = shown[[mean, "test_images"]].itertuples(index=False)
    ends = [wilson_of_mean([share], images) for share, images in pairs]
    return rows.join(pd.DataFrame(ends, columns=["low", "high"], index=shown.index, dtype=float))


def class_figures(
    metrics: pd.DataFrame, keys: Sequence[str], names: Sequence[str], images: str
) -> pd.DataFrame:
    """Means over seeds of metrics of the test images, with the interval of the accuracy.

    Args:
        metrics: rows of ``metrics.parquet``.
        keys: columns that tell the rows of the table apart.
        names: metrics of the table.
        images: how the sizes of the seeds' test parts become one number, ``max`` or ``median``.
    """
    wanted = metrics[(metrics["part"] == "test") & metrics["metric"].isin(names)]
    figures = {name: ("value", how) for name, how in (("mean", "mean"), ("std", "std"))}
    found = wanted.groupby(list(keys), sort=False).agg(
        **figures, seeds=("value", "size"), test_images=("images", images)
    )
    return with_interval(found.reset_index().astype({"test_images": int}), "mean")


def classes_of(rows: pd.DataFrame) -> list[str]:
    """Classes of the rows of a table; the accuracy is of all, which a class may be called too."""
    return list(rows.loc[rows["metric"] != "accuracy", "class"].unique())


def published_value(published: Mapping[str, Any], metric: str, name: str) -> float:
    """Published value of a metric for a class, or for ``all``; NaN where there is none."""
    value = published.get(metric, nan)
    if isinstance(value, dict):
        return value.get(name, nan)
    return value if name == "all" else nan
