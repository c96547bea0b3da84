"""Table 7 as a chart."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from neuron_pruning.core.parquet import as_dicts
from neuron_pruning.reporting.charts import Dot, Level, dot_plot
from neuron_pruning.reporting.panels import Panel
from neuron_pruning.reporting.results import Results
from neuron_pruning.statistics.model_comparison import ANY_SPLIT, CONSTANT_KIND, PUBLISHED_KIND


def classifier_panels(results: Results) -> list[Panel]:
    """One chart of all classifiers and splits; none without Table 7."""
    rows = results.tables.get(7)
    if rows is None:
        return []
    chance = rows["contender"] == "chance"
    shown = rows[~(chance & (rows["kind"] == CONSTANT_KIND))]
    level = Level("chance", 100 * results.constant("chance"))
    return [
        Panel(
            "classifiers",
            "Test accuracy under every split",
            f"test accuracy in percent with 95 % intervals; chance {level.value:.1f}; "
            f"{in_words(shown)}",
            dot_plot(dots(shown), "test accuracy (%)", level),
            column=True,
        )
    ]


def dots(rows: pd.DataFrame) -> list[Dot]:
    """Points of the chart, classifier by classifier."""
    order = {name: place for place, name in enumerate(dict.fromkeys(rows["name"]))}
    rows = rows.sort_values("name", key=lambda names: names.map(order), kind="stable")
    return [
        Dot(
            row["name"],
            "" if row["split"] == ANY_SPLIT else row["split"],
            100 * row["accuracy_mean"],
            100 * row["low"],
            100 * row["high"],
            row["kind"] == PUBLISHED_KIND,
        )
        for row in as_dicts(rows)
    ]


def in_words(rows: pd.DataFrame) -> str:
    """Every point: ``AlexNet, initialised, whole frames: random 42.0 (34 to 50), movie …``."""
    listed = []
    for name, found in rows.groupby("name", sort=False):
        figures = ", ".join(map(_figure, as_dicts(found)))
        listed.append(f"{name}: {figures}")
    return "; ".join(listed)


def _figure(row: Mapping[str, Any]) -> str:
    split = "" if row["split"] == ANY_SPLIT else f"{row['split']} "
    ends = "" if pd.isna(row["low"]) else f" ({100 * row['low']:.0f} to {100 * row['high']:.0f})"
    return f"{split}{100 * row['accuracy_mean']:.1f}{ends}"
