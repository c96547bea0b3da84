"""Techniques and compensations side by side: means over seeds, paired differences, ranks."""

from collections.abc import Iterable, Sequence

import pandas as pd

from neuron_pruning.core.parquet import CELL
from neuron_pruning.statistics.significance import corrected_t, holm

LAYER_KEYS = [*CELL, "state", "layer"]
LINE_KEYS = [*LAYER_KEYS, "technique", "default_compensation", "compensation"]
FIGURES = ("test_accuracy", "test_loss", "agreement", "divergence")
MAX_ACCURACY_LOSS = 0.01  # share of the test images: one point


def per_seed(points: pd.DataFrame) -> pd.DataFrame:
    """Figures by technique, compensation, number of removed units and seed; means over draws."""
    counted = points[points["angle"].isna()]
    return counted.groupby([*LINE_KEYS, "removed", "seed"], sort=False, as_index=False)[
        list(FIGURES)
    ].mean()


def _of_all_seeds(found: pd.DataFrame) -> pd.DataFrame:
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


def ranking(points: pd.DataFrame, counts: Sequence[int], ratio: float) -> pd.DataFrame:
    """Rows of Table 5, the best technique of each network first.

    Ranks follow the mean accuracy over ``counts``; a technique that cannot remove so many units has
    none. ``ratio`` is test images to training images. The p values of the paired differences are
    corrected for all techniques and compensations of a network at a number of removed units.
    """
    found = with_reference(_of_all_seeds(per_seed(points)))
    asked = found[found["removed"].isin(counts)]
    keys = [*LINE_KEYS, "reference", "removed"]
    table = averaged(asked, keys, (*FIGURES, "difference"), ratio, [*LAYER_KEYS, "removed"])
    table = table.merge(free_units(found), how="left", on=LINE_KEYS)
    scores = table.groupby(LINE_KEYS, sort=False).agg(
        score=("test_accuracy_mean", "mean"), reached=("removed", "nunique")
    )
    most = scores.groupby(LAYER_KEYS)["reached"].transform("max")
    scores["score"] = scores["score"].where(scores.pop("reached") == most)
    scores["rank"] = scores.groupby(LAYER_KEYS)["score"].rank(ascending=False, method="min")
    table = table.merge(scores, on=LINE_KEYS)
    return table.sort_values([*LAYER_KEYS, "rank", "technique", "removed"], kind="stable")


def averaged(
    rows: pd.DataFrame, keys: list[str], names: Sequence[str], ratio: float, family: list[str]
) -> pd.DataFrame:
    """Means and deviations over seeds, and p of the differences.

    Args:
        rows: one per seed, with ``difference``.
        keys: columns that tell the rows of the table apart.
        names: figures to average.
        ratio: test images divided by training images.
        family: keys within which the p values (corrected resampled t-test) are corrected by Holm.
    """
    grouped = rows.groupby(keys, sort=False)
    table = grouped.agg(seeds=("seed", "nunique"), **averages(names))
    tests = grouped["difference"].agg(lambda found: corrected_t(found.to_list(), ratio).p)
    table = table.assign(p=tests).reset_index()
    return table.assign(p=table.groupby(family)["p"].transform(holm))


def averages(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Mean and standard deviation of figures as named aggregations of a grouped frame."""
    return {f"{name}_{how}": (name, how) for name in names for how in ("mean", "std")}


def free_units(found: pd.DataFrame) -> pd.DataFrame:
    """How many units can go, and all fewer, with less than one point of mean accuracy lost.

    ASSUME: the accuracy is averaged over a twentieth of the layer, five neighbouring numbers of
    100, since one test image more or less, which is random, may already be a point.
    """
    means = found.groupby([*LINE_KEYS, "removed"])["test_accuracy"].mean().reset_index("removed")

    def free(rows: pd.DataFrame) -> float:
        window = max(1, len(rows) // 20)
        smooth = rows["test_accuracy"].rolling(window, center=True, min_periods=1).mean()
        kept = smooth > rows["test_accuracy"].iloc[0] - MAX_ACCURACY_LOSS
        return float(rows["removed"][kept.cummin()].max())

    return means.groupby(LINE_KEYS).apply(free).rename("free_units").reset_index()


COMPENSATION_FIGURES = (
    *("removed", "test_accuracy_before", "test_accuracy_after", "test_loss_after", "agreement"),
    *("difference", "random_difference"),
)


def compensation_table(points: pd.DataFrame, ratio: float) -> pd.DataFrame:
    """Rows of Table 6: figures by angle, compensation and fine-tuning.

    ``ratio`` is test images to training images, for the p values of ``difference``, which is to the
    compensation ``none`` of the same network, angle and fine-tuning; ``random_difference`` is to
    random removal of as many units, trained as long.
    """
    pair = [*LAYER_KEYS, "angle", "fine_tuning"]
    bare = points[points["compensation"] == "none"][[*pair, "seed", "test_accuracy_after"]]
    rows = points.merge(bare, how="left", on=[*pair, "seed"], suffixes=("", "_bare"))
    after = rows["test_accuracy_after"]
    rows["difference"] = after - rows["test_accuracy_after_bare"]
    rows["random_difference"] = after - rows["random_accuracy"]
    keys = [*LAYER_KEYS, "units", "angle", "compensation", "fine_tuning"]
    table = averaged(rows, keys, COMPENSATION_FIGURES, ratio, pair)
    order = {name: place for place, name in enumerate(points["compensation"].unique())}
    places = table["compensation"].map(order)
    ascending = [True] * len(LAYER_KEYS) + [False, True, True]
    table = table.assign(place=places).sort_values([*pair, "place"], ascending=ascending)
    return table.drop(columns="place")
