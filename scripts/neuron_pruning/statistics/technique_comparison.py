"""Techniques and compensations side by side: means over seeds, paired differences, ranks."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from neuron_pruning.core.parquet import CELL
from neuron_pruning.statistics.significance import corrected_t, holm, majority_accuracy

LAYER_KEYS = [*CELL, "state", "layer"]
FIGURES = ("test_accuracy", "test_loss", "agreement", "divergence")
MAX_ACCURACY_LOSS = 0.01  # share of the test images: one point


def per_seed(points: pd.DataFrame) -> pd.DataFrame:
    """Figures by technique, compensation, number of removed units and seed; means over draws."""
    counted = points[points["angle"].isna()]
    keys = [*LAYER_KEYS, "technique", "default_compensation", "compensation", "removed", "seed"]
    found = counted.groupby(keys, sort=False)[list(FIGURES)].mean()
    return found.reset_index()


def _of_all_seeds(found: pd.DataFrame) -> pd.DataFrame:
    """Without the numbers of units that a technique reaches on some seeds of a network alone."""
    keys = [*LAYER_KEYS, "technique", "default_compensation", "compensation", "removed"]
    seeds = found.groupby(keys)["seed"].transform("nunique")
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
    free = free_units(found)
    asked = found[found["removed"].isin(counts)]
    keys = [*LAYER_KEYS, "technique", "default_compensation", "compensation"]
    grouped = asked.groupby([*keys, "reference", "removed"], sort=False)
    table = grouped.agg(
        seeds=("seed", "nunique"),
        **{f"{name}_mean": (name, "mean") for name in (*FIGURES, "difference")},
        **{f"{name}_std": (name, "std") for name in (*FIGURES, "difference")},
    ).reset_index()
    table = table.merge(differences_shown(asked, [*keys, "removed"], ratio), on=[*keys, "removed"])
    table["p"] = table.groupby([*LAYER_KEYS, "removed"])["p"].transform(holm)
    table = table.merge(free, how="left", on=keys)
    scores = table.groupby(keys, sort=False).agg(
        score=("test_accuracy_mean", "mean"), reached=("removed", "nunique")
    )
    most = scores.groupby(LAYER_KEYS)["reached"].transform("max")
    scores["score"] = scores["score"].where(scores["reached"] == most)
    ranks = scores.groupby(LAYER_KEYS)["score"].rank(ascending=False, method="min")
    table = table.merge(scores.assign(rank=ranks).drop(columns="reached"), on=keys)
    return table.sort_values([*LAYER_KEYS, "rank", "technique", "removed"], kind="stable")


def differences_shown(
    rows: pd.DataFrame, keys: Sequence[str], ratio: float, difference: str = "difference"
) -> pd.DataFrame:
    """Corrected resampled t-test of paired differences over seeds: ``keys`` and ``p``."""
    found = [
        (*key, corrected_t(seeds[difference].to_list(), ratio).p)
        for key, seeds in rows.groupby(list(keys), sort=False)
    ]
    return pd.DataFrame(found, columns=[*keys, "p"])


def free_units(found: pd.DataFrame) -> pd.DataFrame:
    """How many units can go, and all fewer, with less than one point of mean accuracy lost.

    ASSUME: the accuracy is averaged over a twentieth of the layer, five neighbouring numbers of
    100, since one test image more or less, which is random, may already be a point.
    """
    keys = [*LAYER_KEYS, "technique", "default_compensation", "compensation"]
    means = found.groupby([*keys, "removed"], sort=False)["test_accuracy"].mean().reset_index()

    def free(rows: pd.DataFrame) -> float:
        rows = rows.sort_values("removed")
        window = max(1, len(rows) // 20)
        smooth = rows["test_accuracy"].rolling(window, center=True, min_periods=1).mean()
        kept = smooth > rows["test_accuracy"].iloc[0] - MAX_ACCURACY_LOSS
        return float(rows["removed"][kept.cummin()].max())

    figures = [(*key, free(rows)) for key, rows in means.groupby(keys, sort=False)]
    return pd.DataFrame(figures, columns=[*keys, "free_units"])


AVERAGED_COLUMNS = (
    "removed",
    "test_accuracy_before",
    "test_accuracy_after",
    "test_loss_after",
    "agreement",
    "difference",
    "random_difference",
)


def compensation_table(points: pd.DataFrame, ratio: float) -> pd.DataFrame:
    """Rows of Table 6: figures by angle, compensation and fine-tuning.

    ``ratio`` is test images to training images, for the p values of ``difference``.

    ``difference`` is to the compensation ``none`` of the same network, angle and fine-tuning,
    ``random_difference`` to random removal of as many units, trained as long.
    """
    keys = [*LAYER_KEYS, "angle", "fine_tuning", "seed"]
    bare = points[points["compensation"] == "none"][[*keys, "test_accuracy_after"]]
    bare = bare.rename(columns={"test_accuracy_after": "bare"})
    rows = points.merge(bare, how="left", on=keys)
    after = rows["test_accuracy_after"]
    rows["difference"] = after - rows["bare"]
    rows["random_difference"] = after - rows["random_accuracy"]
    cell = [*LAYER_KEYS, "units", "angle", "compensation", "fine_tuning"]
    grouped = rows.groupby(cell, sort=False)
    table = grouped.agg(
        seeds=("seed", "nunique"),
        **{f"{name}_mean": (name, "mean") for name in AVERAGED_COLUMNS},
        **{f"{name}_std": (name, "std") for name in AVERAGED_COLUMNS},
    ).reset_index()
    table = table.merge(differences_shown(rows, cell, ratio), on=cell)
    table["p"] = table.groupby([*LAYER_KEYS, "angle", "fine_tuning"])["p"].transform(holm)
    order = {name: place for place, name in enumerate(points["compensation"].unique())}
    table["place"] = table["compensation"].map(order)
    ascending = [True] * len(LAYER_KEYS) + [False, True, True]
    table = table.sort_values([*LAYER_KEYS, "angle", "fine_tuning", "place"], ascending=ascending)
    return table.drop(columns="place")


def part_ratio(parts: pd.DataFrame) -> float:
    """Test images divided by training images, of the rows of split files."""
    sizes = parts["part"].value_counts()
    return float(sizes["test"] / sizes["train"])


def majority_share(parts: Sequence[pd.DataFrame]) -> tuple[float, float]:
    """Mean and deviation of the test accuracy of always naming the largest training class."""
    shares = []
    for rows in parts:
        training, test = (rows.loc[rows["part"] == part, "label"] for part in ("train", "test"))
        shares.append(majority_accuracy(training, test))
    return float(np.mean(shares)), float(np.std(shares, ddof=1)) if len(shares) > 1 else np.nan
