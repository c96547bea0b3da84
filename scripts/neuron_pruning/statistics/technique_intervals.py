"""What the test images and seeds can show of the techniques of Table 5."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neuron_pruning.core.parquet import CELL
from neuron_pruning.statistics.resampling import Resampling, Right, ends, smallest_p, unpacked
from neuron_pruning.statistics.significance import holm

LAYER_KEYS = [*CELL, "state", "layer"]
LINE_KEYS = [*LAYER_KEYS, "technique", "default_compensation", "compensation"]
MAX_ACCURACY_LOSS = 0.01  # share of the test images: one point
Cell = tuple[str, str, int]  # technique, compensation, removed units


def outcomes(points: pd.DataFrame) -> dict[Cell, Right]:
    """Which test images are right, of the points of one layer that count units."""
    found: dict[Cell, dict[int, NDArray[np.float32]]] = {}
    keys = ["technique", "compensation", "removed", "seed"]
    for (technique, compensation, removed, seed), rows in points.groupby(keys):
        cell = found.setdefault((str(technique), str(compensation), int(str(removed))), {})
        images = int(rows["test_images"].iloc[0])
        cell[int(str(seed))] = unpacked(rows["correct"].to_list(), images)
    seeds = set(points["seed"])
    return {cell: right for cell, right in found.items() if right.keys() == seeds}


def with_intervals(table: pd.DataFrame, points: pd.DataFrame, images: Resampling) -> pd.DataFrame:
    """Add intervals of the accuracy lost and of the difference from random removal, and its p.

    A family of Holm's correction is a network and number of units: every technique and compensation
    that was swept, whether it can remove so many or not. Random removal, which would be compared
    with itself, is none of them.
    """
    counted = points[points["angle"].isna() & points["removed"].isin([0, *table["removed"]])]
    layers = {key: rows for key, rows in counted.groupby(LAYER_KEYS)}
    found = [
        _layer_intervals(rows.reset_index(drop=True), layers[key], images)
        for key, rows in table.groupby(LAYER_KEYS, sort=False)
    ]
    return pd.concat(found, ignore_index=True)


def _layer_intervals(table: pd.DataFrame, points: pd.DataFrame, images: Resampling) -> pd.DataFrame:
    """The same for the rows of one layer."""
    right = outcomes(points)
    sampled = {cell: images.accuracies(found) for cell, found in right.items()}
    rows: list[dict[str, Any]] = []
    for technique, compensation, reference, removed in _cells(table):
        cell, random = (technique, compensation, removed), ("random", reference, removed)
        unpruned, row = (technique, compensation, 0), {}
        if unpruned in right:
            lost = images.by_clip(right[unpruned], right[cell]).sum()
            row = {"loss": lost, **_ends("loss", sampled[unpruned] - sampled[cell])}
        if technique != "random" and removed and random in right:
            row |= _ends("difference", sampled[cell] - sampled[random])
            row["by_clip"] = images.by_clip(right[cell], right[random])
        rows.append(row)
    columns = ["loss", *_names("loss"), *_names("difference"), "by_clip"]
    found = table.join(pd.DataFrame(rows, columns=columns))
    lines = points[points["technique"] != "random"]
    return _tested(found, images, len(lines[["technique", "compensation"]].drop_duplicates()))


def _tested(table: pd.DataFrame, images: Resampling, tests: int) -> pd.DataFrame:
    """Add p of the differences of one layer, the smallest p they can have, and the family."""
    table = table.assign(p=np.nan, smallest_p=np.nan, tests=np.nan)
    for _, rows in table[table["by_clip"].notna()].groupby("removed"):
        by_clip = np.stack(rows["by_clip"].to_list())
        table.loc[rows.index, "p"] = holm(images.p_values(by_clip), tests)
        table.loc[rows.index, "smallest_p"] = np.minimum(1.0, tests * smallest_p(by_clip))
        table.loc[rows.index, "tests"] = tests
    return table.drop(columns="by_clip")


def _cells(table: pd.DataFrame) -> Iterator[tuple[str, str, str, int]]:
    columns = ["technique", "compensation", "reference", "removed"]
    for technique, compensation, reference, removed in table[columns].itertuples(index=False):
        yield str(technique), str(compensation), str(reference), int(removed)


def _names(figure: str) -> tuple[str, str]:
    return f"{figure}_low", f"{figure}_high"


def _ends(figure: str, samples: NDArray[np.float64]) -> dict[str, float]:
    return dict(zip(_names(figure), ends(samples), strict=True))


def free_units(points: pd.DataFrame, reached: pd.DataFrame, images: Resampling) -> pd.DataFrame:
    """How many units can go, and all fewer, with less than one point of mean accuracy lost.

    The interval is of bootstrap samples: one test image may be more than a point, so that it is
    wide, and two such numbers cannot be compared.

    Args:
        points: rows of the sweeps.
        reached: one row per line, number of removed units and seed, of the numbers that count.
        images: the test images.
    """
    keys = [*LINE_KEYS, "removed"]
    counted = points[points["angle"].isna()].merge(reached[keys].drop_duplicates(), on=keys)
    rows = []
    for key, line in counted.groupby(LINE_KEYS, sort=False):
        right = dict(sorted(outcomes(line).items(), key=lambda found: found[0][2]))
        removed = np.array([count for *_, count in right])
        means = [np.mean([of.mean() for of in found.values()]) for found in right.values()]
        samples = np.stack([images.accuracies(found) for found in right.values()])
        low, high = ends(_free(samples, removed))
        free = _free(np.array(means)[:, None], removed).item()
        rows.append((*key, free, low, high))
    return pd.DataFrame(rows, columns=[*LINE_KEYS, "free_units", *_names("free")])


def _free(accuracies: NDArray[np.float64], removed: NDArray[np.int64]) -> NDArray[np.float64]:
    """The number of units of every column of ``accuracies``, removed numbers x samples.

    ASSUME: the accuracy is averaged over a twentieth of the layer, five neighbouring numbers of
    100, since one test image more or less, which is random, may already be a point.
    """
    window, places = max(1, len(removed) // 20), np.arange(len(removed))
    first = np.maximum(places - window // 2, 0)
    after = np.minimum(places + (window + 1) // 2, len(removed))
    sums = np.cumsum(np.insert(accuracies, 0, 0, axis=0), axis=0)
    smooth = (sums[after] - sums[first]) / (after - first)[:, None]
    kept = np.logical_and.accumulate(smooth > accuracies[0] - MAX_ACCURACY_LOSS)
    number = kept.sum(axis=0)
    return np.where(number > 0, removed[np.maximum(number, 1) - 1], 0).astype(float)
