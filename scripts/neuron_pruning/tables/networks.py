"""Table 10: networks that were trained elsewhere, pruned to shares of their multiply-adds."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from neuron_pruning.any_network.network_schemas import METHOD, NETWORK, SHARE
from neuron_pruning.core.parquet import column, schema
from neuron_pruning.statistics.resampling import Resampling, ends, unpacked
from neuron_pruning.statistics.significance import SIGNIFICANT, holm
from neuron_pruning.statistics.technique_comparison import averages
from neuron_pruning.tables.figures import averaged_columns
from neuron_pruning.tables.rendering import counted, display_name, percent, signed
from neuron_pruning.tables.table import Table

METHOD_KEYS = [field.name for field in METHOD]
KEYS = ["network", "budget", *METHOD_KEYS]
SIZED = [name for name in KEYS if name != "technique"]  # with a random control
AVERAGED = {
    "accuracy": "accuracy on the evaluation images",
    "agreement": "share of evaluation images with the unpruned network's prediction",
    "parameters": "share of the parameters that stayed",
    "multiply_adds": "share of the multiply-adds that stayed",
}


def figures(reference: str, family: str) -> list[pa.Field]:
    """Columns of means over draws and of differences from a reference."""
    return [
        column("draws", pa.int64(), "draws of calibration images in the mean"),
        column("images", pa.int64(), "evaluation images", "images"),
        column("accuracy_before", pa.float64(), "accuracy of the unpruned network"),
        *averaged_columns(AVERAGED, over="draws"),
        column(
            "difference", pa.float64(), f"accuracy (agreement, without labels) less {reference}"
        ),
        column("difference_low", pa.float64(), "lower end of its 95 % interval: draws and images"),
        column("difference_high", pa.float64(), "upper end of it"),
        column("p", pa.float64(), "of no difference: images turned round at random (Holm)"),
        column("tests", pa.int64(), f"size of the family: {family}"),
    ]


SCHEMA = schema(
    NETWORK,
    SHARE,
    *METHOD,
    *figures("that at random", "lines of the network but random removal"),
    run=False,
)


def network_rows(points: pd.DataFrame) -> pd.DataFrame:
    """Means over draws, and the paired difference from random removal of as many units."""
    return compared(points, "random", SIZED)


def compared(points: pd.DataFrame, reference: str, matched: Sequence[str]) -> pd.DataFrame:
    """Means over draws, and the paired difference from a technique with the same ``matched``."""
    grouped = points.groupby(KEYS, sort=False)
    rows = grouped.agg(
        draws=("draw", "nunique"),
        images=("images", "max"),
        accuracy_before=("accuracy_before", "max"),
        **averages(AVERAGED),
    ).reset_index()
    found = [
        {**dict(zip(KEYS, key, strict=True)), **difference(cells, points, reference, matched)}
        for key, cells in grouped
        if key[KEYS.index("technique")] != reference
    ]
    columns = [*KEYS, "difference", "difference_low", "difference_high", "p"]
    others = pd.DataFrame(found, columns=columns)
    family = others.groupby("network")["p"]
    others = others.assign(p=family.transform(holm), tests=family.transform("size"))
    return rows.merge(others, how="left", on=KEYS)


def difference(
    cells: pd.DataFrame, points: pd.DataFrame, reference: str, matched: Sequence[str]
) -> dict[str, float]:
    """Mean difference from a reference, its interval, and p.

    ASSUME: draws and images are drawn independently of each other, as seeds and clips are.
    """
    first = cells.iloc[0]
    keys = list(matched)
    same = (points[keys] == first[keys]).all(axis=1) & points["draw"].isin(cells["draw"])
    other = points[same & (points["technique"] == reference)]
    own, others = (outcomes(rows) for rows in (cells, other))
    images = Resampling({draw: np.arange(first["images"]) for draw in own})
    low, high = ends(images.accuracies(own) - images.accuracies(others))
    by_image = images.by_clip(own, others)
    return {
        "difference": float(by_image.sum()),
        "difference_low": low,
        "difference_high": high,
        "p": float(images.p_values(by_image[None])[0]),
    }


def outcomes(rows: pd.DataFrame) -> dict[int, Any]:
    """By draw, which evaluation images are right: 1 x images."""
    return {
        int(draw): unpacked([bits], images)
        for draw, bits, images in zip(rows["draw"], rows["correct"], rows["images"], strict=True)
    }


def caption(rows: pd.DataFrame) -> str:
    """What the figures are."""
    draws = counted(int(rows["draws"].max()), "draw")
    return (
        "Networks that were trained elsewhere, pruned on images alone, without labels and "
        "training, to shares of their multiply-adds: accuracy and agreement with the unpruned "
        f"network in percent, mean ± standard deviation over {draws} of calibration images; in "
        "brackets the difference in points from random removal of as "
        "many units of each layer with the same compensation, and its 95 % interval over draws "
        "and images; * a significant difference: images turned round at random, p < 0.05 after "
        "Holm's correction for all lines of the network."
    )


def display(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per method, one column per budget."""
    lines = []
    for key, cells in rows.groupby(["network", *METHOD_KEYS], sort=False):
        network, technique, compensation, rule, _ = map(str, key)
        line = {"Network": before(network, cells.iloc[0]), "Technique": technique}
        line |= {"Compensation": compensation, "Batch norm": rule}
        line |= {f"{row['budget']:g}": cell(row) for row in cells.to_dict("records")}
        lines.append(line)
    return pd.DataFrame(lines).fillna("–")


def before(network: str, row: "pd.Series[Any]") -> str:
    """``resnet56 (83.0)``: with its accuracy, where there are labels."""
    accuracy = row["accuracy_before"]
    name = display_name(network)
    return name if pd.isna(accuracy) else f"{name} ({percent(accuracy, digits=1)})"


def cell(row: dict[Any, Any]) -> str:
    """``73.6 ± 0.4 (+4.1 [3.0, 5.2])*``."""
    measured = "agreement" if pd.isna(row["accuracy_mean"]) else "accuracy"
    text = percent(row[f"{measured}_mean"], row[f"{measured}_std"], digits=1)
    if pd.isna(row["difference"]):
        return text
    ends_ = f"[{signed(row['difference_low'])}, {signed(row['difference_high'])}]"
    return f"{text} ({signed(row['difference'])} {ends_}){'*' if row['p'] < SIGNIFICANT else ''}"


TABLE = Table(SCHEMA, network_rows, display, caption)
