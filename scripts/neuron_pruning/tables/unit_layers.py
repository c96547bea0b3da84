"""Table 9: unit layers of networks that were trained elsewhere, and what could go from them."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from neuron_pruning.any_network.network_schemas import LAYERS_SCHEMA, SHARES
from neuron_pruning.tables.rendering import degrees, display_name
from neuron_pruning.tables.table import Table


def layer_rows(layers: pd.DataFrame) -> pd.DataFrame:
    """The rows as they are, network by network."""
    return layers


def caption(rows: pd.DataFrame) -> str:
    """What the figures are."""
    angles = ", ".join(degrees(angle) for angle in rows["angles"].iloc[0])
    return (
        "Unit layers of networks that were trained elsewhere, with the shares of parameters and "
        "multiply-adds that go with their units. Dead units are the same on all calibration "
        "images; saturated ones stay at one end of their activation's range. Pairs: similar + "
        f"complementary units within {angles}. Error: mean square change of what the next layers "
        "compute, as a share of its variance, with that share of the units gone by L1 norm, and in "
        "brackets after least squares."
    )


def display(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per layer."""
    return pd.DataFrame([line(row) for row in rows.to_dict("records")])


def line(row: dict[Any, Any]) -> dict[str, str]:
    """One layer."""
    return {
        "Network": display_name(row["network"]),
        "Layer": row["layer"],
        "Kind": row["kind"],
        "Units": str(row["units"]),
        "Activation": row["activation"] or "–",
        "Parameters, %": f"{100 * row['parameters']:.1f}",
        "Multiply-adds, %": f"{100 * row['multiply_adds']:.1f}",
        "Dead": str(row["dead"]),
        "Saturated": str(row["saturated"]),
        "Pairs": pairs(row["similar"], row["complementary"]),
        **{
            f"Error at {100 * share:.0f} %": error(row, f"error_{100 * share:.0f}")
            for share in SHARES
        },
    }


def pairs(similar: Iterable[int], complementary: Iterable[int]) -> str:
    """``12 + 3, 4 + 0, 0 + 0``: by angle."""
    return ", ".join(f"{a} + {b}" for a, b in zip(similar, complementary, strict=True))


def error(row: dict[Any, Any], name: str) -> str:
    """``0.31 (0.08)``; a dash where a consumer cannot be compensated."""
    if pd.isna(row[name]):
        return "–"
    return f"{row[name]:.2f} ({row[f'{name}_compensated']:.2f})"


TABLE = Table(LAYERS_SCHEMA, layer_rows, display, caption)
