"""Table 12: how long networks of each share of the multiply-adds take, by runtime."""

from typing import Any

import pandas as pd

from neuron_pruning.any_network.network_schemas import RUNNING_TIMES_SCHEMA
from neuron_pruning.core.parquet import schema
from neuron_pruning.tables.rendering import display_name
from neuron_pruning.tables.table import Table

SCHEMA = schema(*RUNNING_TIMES_SCHEMA, run=False)
LINE = ["network", "runtime", "images"]


def running_time_rows(measured: pd.DataFrame) -> pd.DataFrame:
    """The rows that were measured; ``measured`` holds those of all networks."""
    return measured


def caption(rows: pd.DataFrame) -> str:
    """What the figures are, and where they were measured."""
    devices = ", ".join(rows["device"].unique())
    return (
        f"Milliseconds of a forward pass on {devices}, median of {rows['repeats'].max()} passes, "
        "the networks of a line in turns; in brackets how many times faster than the unpruned "
        "network, median and quartiles over the turns. The columns are shares of the multiply-adds."
    )


def display(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per network, runtime and batch size, one column per budget."""
    lines = []
    for key, cells in rows.groupby(LINE, sort=False):
        network, runtime, images = map(str, key)
        line = {"Network": display_name(network), "Runtime": runtime, "Images": images}
        line |= {f"{row['budget']:g}": cell(row) for row in cells.to_dict("records")}
        lines.append(line)
    return pd.DataFrame(lines).fillna("–")


def cell(row: dict[Any, Any]) -> str:
    """``12.3 (1.62 [1.58, 1.66])``, and of the unpruned network the time alone."""
    text = f"{1000 * row['median']:.3g}"
    if row["budget"] == 1.0:
        return text
    low, high = row["speed_up_low"], row["speed_up_high"]
    return f"{text} ({row['speed_up']:.2f} [{low:.2f}, {high:.2f}])"


TABLE = Table(SCHEMA, running_time_rows, display, caption)
