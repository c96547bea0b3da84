"""Classifiers on the same test images, side by side (Table 7)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neuron_pruning.statistics.significance import (
    SIGNIFICANT,
    PairedSeeds,
    better_than,
    holm,
    holm_together,
    majority_share,
    of_best,
    paired_over_seeds,
    part_ratio,
    wilson_of_mean,
)

CLASSIFIER_KEYS = ["kind", "contender", "recipe", "crop", "learning_rate", "batch_size"]
NETWORK_KIND, SVM_KIND, CONSTANT_KIND, PUBLISHED_KIND = "network", "svm", "constant", "published"
NOTHING_PUBLISHED: Mapping[str, Any] = {"classes": [], "figures": []}
ANY_SPLIT = "any"  # of figures from elsewhere that no split concerns


def concerns_any_split(rows: pd.DataFrame) -> "pd.Series[bool]":
    """Which rows of Table 7 stand for every split; one of the config's may be called any too."""
    return (rows["split"] == ANY_SPLIT) & (rows["kind"] == PUBLISHED_KIND)


def correct_predictions(predictions: pd.DataFrame) -> pd.DataFrame:
    """Test predictions of networks and SVMs: keys, position, and whether they are right.

    Args:
        predictions: rows of ``predictions.parquet``; those of an SVM name it under
            ``baseline`` and have no model.
    """
    rows = predictions[predictions["part"] == "test"]
    is_svm = rows["model"].isna()
    return rows.assign(
        kind=np.where(is_svm, SVM_KIND, NETWORK_KIND),
        contender=rows["model"].where(~is_svm, rows["baseline"]),
        right=rows["label"] == rows["predicted"],
    )


def compare_classifiers(
    predictions: pd.DataFrame,
    splits: pd.DataFrame,
    published: Mapping[str, Any],
    tried: Mapping[str, int],
) -> pd.DataFrame:
    """Rows of Table 7.

    Args:
        predictions: what :func:`correct_predictions` gives.
        splits: rows of the split files: split, seed, label, part.
        published: ``figures`` from elsewhere (name, split, accuracy, images and note), which
            stand beside data of the same ``classes`` alone.
        tried: settings among which the test images chose a network's, by model; 1 by default.
    """
    tables = []
    for split, divided in splits.groupby("split", sort=False):
        classifiers = _classifiers(predictions[predictions["split"] == split])
        tables.append(_compare(str(split), classifiers, divided, tried))
    if sorted(published["classes"]) == sorted(splits["label"].unique()):
        known = {ANY_SPLIT, *splits["split"]}
        figures = [figure for figure in published["figures"] if figure["split"] in known]
        tables.append(pd.DataFrame(map(_published_row, figures)))
    return pd.concat(tables, ignore_index=True)


def _classifiers(predictions: pd.DataFrame) -> list[tuple[dict[str, Any], pd.DataFrame]]:
    """Keys and predictions by classifier, SVMs first: networks are compared with the first."""
    groups = predictions.groupby(CLASSIFIER_KEYS, sort=False, dropna=False)
    classifiers = [(dict(zip(CLASSIFIER_KEYS, key, strict=True)), rows) for key, rows in groups]
    return sorted(classifiers, key=lambda pair: pair[0]["kind"] != SVM_KIND)


def _compare(
    split: str,
    classifiers: Sequence[tuple[dict[str, Any], pd.DataFrame]],
    divided: pd.DataFrame,
    tried: Mapping[str, int],
) -> pd.DataFrame:
    """Rows of one split; the p values of a column are corrected for their number."""
    constants = _constant_rows(divided)
    chance, majority = (row["accuracy_mean"] for row in constants)
    rows = pd.DataFrame(
        {**keys, **_figures(of, chance, majority, tried.get(keys["contender"], 1))}
        for keys, of in classifiers
    )
    if len(rows):
        rows = rows.assign(p_chance=holm(rows["p_chance"]), p_majority=holm(rows["p_majority"]))
        rows = rows.join(_against_first(classifiers, part_ratio(divided)))
    return pd.concat([pd.DataFrame(constants), rows], ignore_index=True).assign(split=split)


def _figures(
    predictions: pd.DataFrame, chance: float, majority: float, tried: int
) -> dict[str, Any]:
    """Accuracy of one classifier with interval and tests, and the recall of a class on average.

    ASSUME: the best of several settings on the experiment's test images counts as the best of as
    many under every split, for the test images of all splits are the same few hundred.
    """
    shares = predictions.groupby("seed")["right"].mean()
    images = int(predictions.groupby("seed").size().median())
    low, high = wilson_of_mean(shares.to_list(), images, 1 - SIGNIFICANT / tried)
    # ASSUME: for the exact tests the mean over seeds counts as one test part of median size,
    # its correct predictions rounded down.
    right = int(shares.mean() * images + 1e-9)
    recalls = predictions.groupby(["seed", "label"])["right"].mean().groupby("seed").mean()
    return {
        "seeds": len(shares),
        "test_images": images,
        "accuracy_mean": float(shares.mean()),
        "accuracy_std": float(shares.std()),
        "low": low,
        "high": high,
        "recall_mean": float(recalls.mean()),
        "p_chance": of_best(better_than(right, images, chance), tried),
        "p_majority": of_best(better_than(right, images, majority), tried),
    }


def _constant_rows(divided: pd.DataFrame) -> list[dict[str, Any]]:
    """Naming a class at random, and always the largest class of the training part."""
    seeds = [rows for _, rows in divided.groupby("seed")]
    chance = 1 / divided["label"].nunique()
    figures = {"chance": (chance, np.nan), "majority class": majority_share(seeds)}
    shared = {
        "kind": CONSTANT_KIND,
        "seeds": len(seeds),
        "test_images": int(np.median([(rows["part"] == "test").sum() for rows in seeds])),
        "recall_mean": chance,
    }
    return [
        {**shared, "contender": name, "accuracy_mean": mean, "accuracy_std": deviation}
        for name, (mean, deviation) in figures.items()
    ]


def _published_row(figure: Mapping[str, Any]) -> dict[str, Any]:
    share, images = figure["accuracy"], figure["images"]
    low, high = wilson_of_mean([share], images) if images else (np.nan, np.nan)
    named = {"kind": PUBLISHED_KIND, "contender": figure["name"], "accuracy_mean": share}
    rest = {"split": figure["split"], "note": figure["note"], "test_images": images}
    return {**named, **rest, "low": low, "high": high}


def _against_first(
    classifiers: Sequence[tuple[dict[str, Any], pd.DataFrame]], ratio: float
) -> pd.DataFrame:
    """Each classifier against the first SVM on the same images; nothing without one."""
    (first, reference), *others = classifiers
    if first["kind"] != SVM_KIND:
        return pd.DataFrame({"reference": [None] * len(classifiers)})
    family = holm_together([paired_by_seed(theirs, reference, ratio) for _, theirs in others])
    rows = [{"reference": first["contender"], **comparison_columns(paired)} for paired in family]
    for row, p in zip(rows, holm([row["p_seeds"] for row in rows]), strict=True):
        row["p_seeds"] = p
    return pd.DataFrame([{"reference": None}, *rows])


def paired_by_seed(first: pd.DataFrame, second: pd.DataFrame, ratio: float) -> PairedSeeds:
    """Two classifiers on the same test images of each seed; ``ratio``: test to training images."""
    right, others = (right_by_seed(rows) for rows in (first, second))
    seeds = sorted(right.keys() & others.keys())
    return paired_over_seeds([right[s] for s in seeds], [others[s] for s in seeds], ratio)


def right_by_seed(predictions: pd.DataFrame) -> dict[int, NDArray[np.bool_]]:
    """Which test images are right, by seed, in the order of the positions."""
    ordered = predictions.sort_values("position")
    return {int(str(s)): rows["right"].to_numpy() for s, rows in ordered.groupby("seed")}


def comparison_columns(paired: PairedSeeds) -> dict[str, Any]:
    """Mean difference and what shows it."""
    return {
        "difference": paired.difference,
        "seeds_better": paired.better,
        "seeds_worse": paired.worse,
        "p_images": paired.p,
        "p_seeds": paired.over_seeds.p,
    }
