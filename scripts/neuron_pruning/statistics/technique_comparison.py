"""Techniques and compensations side by side: means over seeds, paired differences, ranks."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from neuron_pruning.statistics.resampling import Resampling
from neuron_pruning.statistics.significance import corrected_t, deviations_needed, holm
from neuron_pruning.statistics.technique_intervals import (
    LAYER_KEYS,
    LINE_KEYS,
    free_units,
    with_intervals,
)

FIGURES = ("test_accuracy", "test_loss", "agreement", "divergence")


def per_seed(points: pd.DataFrame) -> pd.DataFrame:
    """Figures by technique, compensation, number of removed units and seed; means over draws."""
    counted = points[points["angle"].isna()]
    return counted.groupby([*LINE_KEYS, "removed", "seed"], sort=False, as_index=False)[
        list(FIGURES)
    ].mean()


def of_all_seeds(found: pd.DataFrame) -> pd.DataFrame:
    """Without the numbers of units that a technique reaches on some seeds of a network alone."""
    seeds = found.groupby([*LINE_KEYS, "removed"])["seed"].transform("nunique")
    return found[seeds == found.groupby(LAYER_KEYS)["seed"].transform("nunique")]


def with_reference(found: pd.DataFrame) -> pd.DataFrame:
    """Beside every row the accuracy of random removal of as many units from the same network.

    ASSUME: with the same compensation where random removal can have it, else with none.
    """
    keys = [*LAYER_KEYS, "removed", "seed"]
    random = found[found["technique"] == "random"].drop_duplicates([*keys, "compensation"])
    columns = {"test_accuracy": "reference_accuracy", "compensation": "reference"}
    random = random[[*keys, "compensation", "test_accuracy"]].rename(columns=columns)
    had = set(random["reference"])
    reference = found["compensation"].where(found["compensation"].isin(had), "none")
    joined = found.assign(reference=reference).merge(random, how="left", on=[*keys, "reference"])
    return joined.assign(difference=joined["test_accuracy"] - joined["reference_accuracy"])


def ranking(points: pd.DataFrame, counts: Sequence[int], images: Resampling) -> pd.DataFrame:
    """Rows of Table 5, the best technique of each network first.

    Ranks follow the mean accuracy over ``counts``; a technique that cannot remove so many units has
    none. For intervals and tests see :mod:`technique_intervals`.
    """
    reached = of_all_seeds(per_seed(points))
    found = with_reference(reached)
    keys = [*LINE_KEYS, "reference", "removed"]
    table = averaged(found[found["removed"].isin(counts)], keys, (*FIGURES, "difference"))
    table = with_intervals(table, points, images)
    table = table.merge(free_units(points, reached, images), how="left", on=LINE_KEYS)
    scores = table.groupby(LINE_KEYS, sort=False).agg(
        score=("test_accuracy_mean", "mean"), reached=("removed", "nunique")
    )
    most = scores.groupby(LAYER_KEYS)["reached"].transform("max")
    scores["score"] = scores["score"].where(scores.pop("reached") == most)
    scores["rank"] = scores.groupby(LAYER_KEYS)["score"].rank(ascending=False, method="min")
    table = table.merge(scores, on=LINE_KEYS)
    return table.sort_values([*LAYER_KEYS, "rank", "technique", "removed"], kind="stable")


def averaged(rows: pd.DataFrame, keys: list[str], names: Sequence[str]) -> pd.DataFrame:
    """Means and deviations over seeds.

    Args:
        rows: one per seed.
        keys: columns that tell the rows of the table apart.
        names: figures to average.
    """
    grouped = rows.groupby(keys, sort=False)
    return grouped.agg(seeds=("seed", "nunique"), **averages(names)).reset_index()


def averages(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Mean and standard deviation of figures as named aggregations of a grouped frame."""
    return {f"{name}_{how}": (name, how) for name in names for how in ("mean", "std")}


COMPENSATION_FIGURES = (
    *("removed", "test_accuracy_before", "test_accuracy_after", "test_loss_after", "agreement"),
    *("difference", "random_difference"),
)


def compensation_table(points: pd.DataFrame, ratio: float) -> pd.DataFrame:
    """Rows of Table 6: figures by angle, compensation and fine-tuning.

    ``ratio`` is test images to training images, for the p values of ``difference``, which is to the
    compensation ``none`` of the same network, angle and fine-tuning; ``random_difference`` is to
    random removal of as many units, trained as long. A family is a network and angle: all
    compensations but ``none`` under every amount of fine-tuning, where a unit is removed at all.
    """
    pair = [*LAYER_KEYS, "angle", "fine_tuning"]
    bare = points[points["compensation"] == "none"][[*pair, "seed", "test_accuracy_after"]]
    rows = points.merge(bare, how="left", on=[*pair, "seed"], suffixes=("", "_bare"))
    after = rows["test_accuracy_after"]
    rows["difference"] = after - rows["test_accuracy_after_bare"]
    rows["random_difference"] = after - rows["random_accuracy"]
    keys = [*LAYER_KEYS, "units", "angle", "compensation", "fine_tuning"]
    table = averaged(rows, keys, COMPENSATION_FIGURES)
    over_seeds = rows.groupby(keys, sort=False)["difference"].agg(list)
    raw = [corrected_t(found, ratio).p for found in over_seeds]
    compared = (table["compensation"] != "none") & (table["removed_mean"] > 0)
    family = table.assign(p=raw)[compared].groupby([*LAYER_KEYS, "angle"])["p"]
    table["p"] = family.transform(holm)
    table["tests"] = family.transform("size")
    table["needed"] = [
        deviations_needed(seeds, ratio, int(tests)) if seeds > 1 and tests > 0 else np.nan
        for seeds, tests in zip(table["seeds"], table["tests"], strict=True)
    ]
    order = {name: place for place, name in enumerate(points["compensation"].unique())}
    places = table["compensation"].map(order)
    ascending = [True] * len(LAYER_KEYS) + [False, True, True]
    table = table.assign(place=places).sort_values([*pair, "place"], ascending=ascending)
    return table.drop(columns="place")
