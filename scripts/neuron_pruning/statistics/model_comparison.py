"""Classifiers on the same test images, side by side (Table 7)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neuron_pruning.statistics.significance import (
    PairedSeeds,
    better_than,
    holm,
    holm_together,
    majority_accuracy,
    paired_over_seeds,
    wilson_of_mean,
)

CLASSIFIER_KEYS = ["kind", "contender", "recipe", "crop", "learning_rate", "batch_size"]
NETWORK_KIND, SVM_KIND, CONSTANT_KIND, PUBLISHED_KIND = "network", "svm", "constant", "published"
ANY_SPLIT = "any"  # of figures from elsewhere that no split concerns

CorrectBySeed = Mapping[int, NDArray[np.bool_]]  # by seed, in the order of the positions


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
    predictions: pd.DataFrame, splits: pd.DataFrame, published: Mapping[str, Any]
) -> pd.DataFrame:
    """Rows of Table 7.

    Args:
        predictions: what :func:`correct_predictions` gives.
        splits: rows of the split files: split, seed, label, part.
        published: ``figures`` from elsewhere (name, split, accuracy, images and note), which
            stand beside data of the same ``classes`` alone.
    """
    tables = []
    for split, divided in splits.groupby("split", sort=False):
        classifiers = _classifiers(predictions[predictions["split"] == split])
        tables.append(_compare(str(split), classifiers, divided))
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
) -> pd.DataFrame:
    """Rows of one split; the p values of a column are corrected for their number."""
    constants = list(_constant_rows(divided))
    chance, majority = (row["accuracy_mean"] for row in constants)
    rows = [
        {**keys, **_figures(predictions, chance, majority)} for keys, predictions in classifiers
    ]
    for name in ("p_chance", "p_majority"):
        for row, p in zip(rows, holm([row[name] for row in rows]), strict=True):
            row[name] = float(p)
    for row, paired in zip(rows, _against_first(classifiers, divided), strict=True):
        row.update(_comparison(paired, classifiers[0][0]["contender"]))
    return pd.DataFrame([*constants, *rows]).assign(split=split)


def _figures(predictions: pd.DataFrame, chance: float, majority: float) -> dict[str, Any]:
    """Accuracy of one classifier with interval and tests, and the recall of a class on average."""
    shares = predictions.groupby("seed")["right"].mean()
    images = int(predictions.groupby("seed").size().median())
    low, high = wilson_of_mean(shares.to_list(), images)
    right = int(shares.mean() * images + 1e-9)  # whole images; what is left over counts for none
    recalls = predictions.groupby(["seed", "label"])["right"].mean().groupby("seed").mean()
    return {
        "seeds": len(shares),
        "test_images": images,
        "accuracy_mean": float(shares.mean()),
        "accuracy_std": float(shares.std()),
        "low": low,
        "high": high,
        "recall_mean": float(recalls.mean()),
        "p_chance": better_than(right, images, chance),
        "p_majority": better_than(right, images, majority),
    }


def _constant_rows(divided: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Naming a class at random, and always the largest class of the training part."""
    seeds = [rows for _, rows in divided.groupby("seed")]
    training = [rows.loc[rows["part"] == "train", "label"] for rows in seeds]
    test = [rows.loc[rows["part"] == "test", "label"] for rows in seeds]
    always = pd.Series([majority_accuracy(a, b) for a, b in zip(training, test, strict=True)])
    chance = 1 / divided["label"].nunique()
    images = int(np.median([len(labels) for labels in test]))
    for name, mean, deviation in (
        ("chance", chance, np.nan),
        ("majority class", float(always.mean()), float(always.std())),
    ):
        yield {
            "kind": CONSTANT_KIND,
            "contender": name,
            "seeds": len(seeds),
            "test_images": images,
            "accuracy_mean": mean,
            "accuracy_std": deviation,
            "recall_mean": chance,
        }


def _published_row(figure: Mapping[str, Any]) -> dict[str, Any]:
    images = figure["images"]
    low, high = wilson_of_mean([figure["accuracy"]], images) if images else (np.nan, np.nan)
    return {
        "kind": PUBLISHED_KIND,
        "contender": figure["name"],
        "split": figure["split"],
        "test_images": images,
        "accuracy_mean": figure["accuracy"],
        "low": low,
        "high": high,
        "note": figure["note"],
    }


def _against_first(
    classifiers: Sequence[tuple[dict[str, Any], pd.DataFrame]], divided: pd.DataFrame
) -> list[PairedSeeds | None]:
    """Each classifier against the first SVM on the same images; None for itself, or without one."""
    if not classifiers or classifiers[0][0]["kind"] != SVM_KIND:
        return [None] * len(classifiers)
    sizes = divided["part"].value_counts()
    reference = _by_seed(classifiers[0][1])
    family = []
    for _, predictions in classifiers[1:]:
        theirs = _by_seed(predictions)
        seeds = sorted(theirs.keys() & reference.keys())
        pairs = [theirs[seed] for seed in seeds], [reference[seed] for seed in seeds]
        family.append(paired_over_seeds(*pairs, sizes["test"] / sizes["train"]))
    return [None, *holm_together(family)]


def _by_seed(predictions: pd.DataFrame) -> CorrectBySeed:
    ordered = predictions.sort_values("position")
    return {int(str(s)): rows["right"].to_numpy() for s, rows in ordered.groupby("seed")}


def _comparison(paired: PairedSeeds | None, reference: str) -> dict[str, Any]:
    """Mean difference to the reference and what shows it."""
    if paired is None:
        return {"reference": None}
    return {
        "reference": reference,
        "difference": paired.difference,
        "seeds_better": paired.better,
        "seeds_worse": paired.worse,
        "p_images": paired.p,
        "p_seeds": paired.over_seeds.p,
    }
