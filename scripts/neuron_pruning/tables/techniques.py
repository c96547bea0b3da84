"""Table 5: the techniques at equal numbers of removed units, beside random removal."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa

from neuron_pruning.core.parquet import CELL_COLUMNS, column, schema
from neuron_pruning.data.index import clip_of
from neuron_pruning.statistics.resampling import Resampling, clips_of
from neuron_pruning.statistics.significance import SIGNIFICANT, majority_share
from neuron_pruning.statistics.technique_comparison import FIGURES, averages, ranking
from neuron_pruning.tables.figures import averaged_columns
from neuron_pruning.tables.rendering import (
    count,
    counted,
    figures_are,
    network_name,
    percent,
    signed,
)
from neuron_pruning.tables.table import Table

MAJORITY = "majority class"
AVERAGED = {
    "test_accuracy": "test accuracy",
    "test_loss": "mean cross-entropy on the test images, nats",
    "agreement": "share of test images with the unpruned network's prediction",
    "divergence": "divergence from the unpruned network's probabilities, nats",
    "difference": "accuracy less that of random removal, paired by seed",
}


def interval_of(name: str, text: str) -> tuple[pa.Field, pa.Field]:
    """Both ends of a 95 % interval."""
    low = column(f"{name}_low", pa.float64(), f"lower end of the 95 % interval of {text}")
    return low, column(f"{name}_high", pa.float64(), "upper end of it")


INTERVALS = [f"{name}_{end}" for name in ("difference", "loss", "free") for end in ("low", "high")]
SCHEMA = schema(
    *CELL_COLUMNS,
    column("state", pa.string(), "trained or untrained"),
    column("layer", pa.string(), "pruned layer"),
    column("technique", pa.string(), "label of the technique, or majority class"),
    column("compensation", pa.string(), "compensation of the remaining units"),
    column("default_compensation", pa.string(), "compensation that the technique's label names"),
    column("reference", pa.string(), "compensation of the random removal it is compared with"),
    column("removed", pa.int64(), "removed units"),
    column("seeds", pa.int64(), "runs in the mean"),
    *averaged_columns(AVERAGED),
    *interval_of("difference", "that difference, of bootstrap samples of seeds and clips"),
    column("p", pa.float64(), "of that difference: clips turned round at random (Holm)"),
    column("smallest_p", pa.float64(), "the smallest that p can be with the clips that differ"),
    column("tests", pa.float64(), "size of the family: lines of the network but random removal"),
    column("loss", pa.float64(), "accuracy of the unpruned network less that after removal"),
    *interval_of("loss", "that loss, of bootstrap samples of seeds and clips"),
    column("free_units", pa.float64(), "units whose removal costs less than a point of accuracy"),
    *interval_of("free", "that number, of bootstrap samples of seeds and clips"),
    column("score", pa.float64(), "mean accuracy over the numbers of removed units"),
    column("rank", pa.float64(), "by score, among the techniques of one network"),
    run=False,
)


def technique_rows(
    points: pd.DataFrame, splits: pd.DataFrame, counts: Sequence[int]
) -> pd.DataFrame:
    """All techniques and compensations, and the majority class as a control.

    Args:
        points: rows of the sweeps.
        splits: rows of the split files, one per image and seed.
        counts: numbers of removed units at which the techniques are compared.
    """
    ranked = ranking(points, counts, Resampling(clips_of(tested_images(splits))))
    share = majority_share([part for _, part in splits.groupby("seed", sort=False)])
    rows = pd.concat([ranked, majority_rows(ranked, share)], ignore_index=True)
    return rows.assign(test_images=points["test_images"].max(), draws=points["draw"].nunique())


def tested_images(splits: pd.DataFrame) -> pd.DataFrame:
    """Seed and clip of every test image, in the order of the sweeps' outcomes."""
    tested = splits[splits["part"] == "test"].sort_values(["seed", "position"])
    return tested.assign(clip=[clip_of(image) for image in tested["image"]])


def majority_rows(rows: pd.DataFrame, share: tuple[float, float]) -> pd.DataFrame:
    """The control that no pruning changes, one row per network and number of removed units."""
    networks = rows[rows["state"] == "trained"].drop_duplicates(["model", "layer", "removed"])
    blank = ["p", "smallest_p", "tests", "loss", "free_units", "rank", *INTERVALS]
    blank += averages([*FIGURES, "difference"])
    figures = {"test_accuracy_mean": share[0], "test_accuracy_std": share[1], "score": share[0]}
    names = {"technique": MAJORITY, "compensation": "", "default_compensation": "", "reference": ""}
    return networks.assign(**{**dict.fromkeys(blank), **figures, **names})


def caption(rows: pd.DataFrame) -> str:
    """What the figures are; how many images and draws, where the rows are fresh."""
    fresh = "test_images" in rows
    images = f" of {counted(rows['test_images'].iloc[0], 'test image')}" if fresh else ""
    draws = f" ({counted(rows['draws'].iloc[0], 'draw')})" if fresh else ""
    return (
        f"Techniques at equal numbers of removed units, by rank: test accuracy in percent{images} "
        "after removal of that many units; in brackets the paired difference in points from random "
        f"removal{draws} with the same compensation, or without compensation where random removal "
        "cannot have it; * a significant difference: over the images of all seeds, the "
        "differences of whole clips turned round at random, p < 0.05 after Holm's correction for "
        "all techniques and compensations of the network, random removal excepted; † too few "
        "images differ for p < 0.05. Free: units whose removal costs less than one point, with the "
        "95 % interval of a bootstrap over seeds and clips; such numbers hang on single images and "
        "cannot be compared with each other. Auxiliary fits its weights to the labels, which the "
        f"others never do. {figures_are(rows)}."
    )


def display(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per technique and compensation, by rank; then the controls.

    Every technique with its default compensation and with lstsq; the rest is in the Parquet file.
    """
    counts = sorted(rows["removed"].unique())
    default = rows["compensation"] == rows["default_compensation"]
    shown = rows[default | (rows["compensation"] == "lstsq")]
    controls = shown["technique"].isin(["random", "distinctiveness"])
    shown = shown[(shown["state"] == "trained") | controls]
    keys = ["model", "layer", "state", "technique", "compensation"]
    lines = []
    for key, cells in shown.groupby(keys, sort=False):
        model, layer, state, technique, compensation = map(str, key)
        by_count, first = cells.set_index("removed").to_dict("index"), cells.iloc[0]
        line = {"Network": network_name(model, state, layer), "Technique": technique}
        line |= {"Compensation": compensation, **{str(n): cell(by_count.get(n)) for n in counts}}
        line["Free"] = free(first)
        place = (model, layer, technique == MAJORITY, state)  # trained, then untrained
        lines.append((place, pd.isna(first["rank"]), first["rank"], line))
    lines.sort(key=lambda found: found[:3])
    return pd.DataFrame([line for *_, line in lines])


def cell(row: Mapping[Any, Any] | None) -> str:
    """``39.3 ± 2.1 (+12.4)``; a dash where a technique cannot remove so many."""
    if row is None:
        return "–"
    text = percent(row["test_accuracy_mean"], row["test_accuracy_std"], digits=1)
    if pd.isna(row["difference_mean"]):
        return text
    return f"{text} ({signed(row['difference_mean'])}{mark(row)})"


def mark(row: Mapping[Any, Any]) -> str:
    """What the test of a difference shows: significant, no power, or neither."""
    if row["p"] < SIGNIFICANT:
        return "*"
    return "†" if row["smallest_p"] >= SIGNIFICANT else ""


def free(row: "pd.Series[Any]") -> str:
    """``88 [12, 92]``."""
    if pd.isna(row["free_low"]):
        return count(row["free_units"])
    return f"{count(row['free_units'])} [{row['free_low']:.0f}, {row['free_high']:.0f}]"


TABLE = Table(SCHEMA, technique_rows, display, caption)
