"""The page of networks that were trained elsewhere: what pruning leaves without training."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from neuron_pruning.reporting.charts import LINES, Curve, Level, banded_curves
from neuron_pruning.reporting.panels import Panel
from neuron_pruning.reporting.sections import config_text
from neuron_pruning.reporting.table_notes import page_table
from neuron_pruning.tables.rendering import display_name

LINE = ["technique", "compensation", "batch_norm"]


def page_context(
    points: pd.DataFrame, tables: Mapping[int, pd.DataFrame], config: Mapping[str, Any]
) -> dict[str, Any]:
    """What the template takes.

    Args:
        points: what pruned networks do, one row per draw.
        tables: rows of Tables 9 and 10, by number.
        config: what of it the page states.
    """
    return {
        "config": config,
        "config_text": config_text(config),
        "networks": [
            network(name, rows, tables[10]) for name, rows in points.groupby("network", sort=False)
        ],
        "tables": [page_table(number, rows) for number, rows in sorted(tables.items())],
    }


def network(name: Any, points: pd.DataFrame, table: pd.DataFrame) -> dict[str, Any]:
    """One network: its chart, and at each size the method that leaves most, beside random."""
    measure = measured(points)
    rows = table[table["network"] == name]
    chosen = rows[rows["technique"] != "random"]
    best = chosen.loc[chosen.groupby("budget")[f"{measure}_mean"].idxmax()]
    sizes = [
        {"row": row, "random": beside(rows, row), "measure": measure}
        for _, row in best.sort_values("budget", ascending=False).iterrows()
    ]
    return {
        "name": name,
        "images": int(points["images"].max()),
        "draws": points["draw"].nunique(),
        "measure": measure,
        "before": points["accuracy_before"].max(),
        "sizes": sizes,
        "panels": [panel(str(name), points, measure)],
    }


def beside(rows: pd.DataFrame, row: "pd.Series[Any]") -> "pd.Series[Any]":
    """The line of random removal that a line is compared with."""
    keys = ["budget", *LINE[1:], "order"]
    same = (rows[keys] == row[keys]).all(axis=1) & (rows["technique"] == "random")
    return rows[same].iloc[0]


def measured(points: pd.DataFrame) -> str:
    """What is compared: accuracy, or agreement where there are no labels."""
    return "agreement" if points["accuracy"].isna().any() else "accuracy"


def panel(name: str, points: pd.DataFrame, measure: str) -> Panel:
    """Accuracy or agreement against the share of the multiply-adds that stays."""
    shown = list(lines(points, measure))
    if len(shown) > len(LINES):  # random removal, the last one, is always there
        shown = [*shown[: len(LINES) - 1], shown[-1]]
    curves = [
        Curve(", ".join(map(str, key)), 100 * values, look)
        for (key, values), look in zip(shown, LINES, strict=False)
    ]
    before = points["accuracy_before"].max()
    whole = [] if pd.isna(before) else [Level("unpruned", 100 * before)]
    title = f"{display_name(name)}: {measure}"
    return Panel(
        f"network-{name}",
        title,
        f"{title} in percent against the share of multiply-adds that stays, by technique; "
        "random removal among them",
        banded_curves(curves, ("multiply-adds (%)", f"{measure} (%)"), range(0, 101, 25), whole),
        column=True,
    )


def lines(points: pd.DataFrame, measure: str) -> Iterator[tuple[Any, pd.DataFrame]]:
    """Values by multiply-adds in percent, a column per draw, of the lines that a chart bears.

    Every technique with the compensation and the rule of batch normalisation that the config names
    last; before them the first technique with those that it names first.
    """
    first, last = ({name: points[name].iloc[place] for name in LINE[1:]} for place in (0, -1))
    of_all = points.groupby(LINE, sort=False)
    for key, rows in of_all:
        technique, *how = key
        bare = technique == points["technique"].iloc[0] and how == list(first.values())
        if bare or how == list(last.values()):
            share = 100 * rows.groupby("budget")["multiply_adds"].transform("mean")
            values = rows.assign(share=share).pivot(index="share", columns="draw", values=measure)
            yield key, values.sort_index()
