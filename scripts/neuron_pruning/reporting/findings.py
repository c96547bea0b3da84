"""What the results show, as small records; templates/report/ puts them into words.

A difference is significant if p < 0.05 after Holm's correction: of one network by McNemar's test of
each seed, of two ways of making classifiers by the corrected resampled t-test over the seeds.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import fisher_exact

from neuron_pruning.core.parquet import PARTS, as_dicts
from neuron_pruning.reporting.results import Results
from neuron_pruning.statistics.model_comparison import (
    CLASSIFIER_KEYS,
    CONSTANT_KIND,
    NETWORK_KIND,
    PUBLISHED_KIND,
    comparison_columns,
    correct_predictions,
    paired_by_seed,
)
from neuron_pruning.statistics.significance import SIGNIFICANT, holm, part_ratio


@dataclass(frozen=True)
class Comparison:
    """Two accuracies, and what the tests show of their difference.

    Attributes:
        difference: a share.
        better: seeds whose own test shows the first to be better.
        accuracies: both, where they are of different images.
        over_seeds: two ways of making classifiers, which ``p`` judges by the corrected resampled
            t-test; the seeds' own tests are about these networks alone.
        angle: threshold of a pruning; not a number where it counts units.
    """

    name: str
    difference: float
    p: float
    better: int
    worse: int
    seeds: int = 1
    reference: str = ""
    accuracies: tuple[float, float] | None = None
    over_seeds: bool = False
    angle: float = np.nan
    removed: float = np.nan

    @property
    def direction(self) -> int | None:
        """1 better, -1 worse, 0 no significant difference; None: the seeds disagree."""
        if self.over_seeds:
            return int(np.sign(self.difference)) if self.p < SIGNIFICANT else 0
        direction = int(np.sign(self.better - self.worse))
        if (self.better and self.worse) or direction not in (0, np.sign(self.difference)):
            return None
        return direction


def of_row(name: str, row: Mapping[str, Any], difference: float, **more: Any) -> Comparison:
    """One network after and before pruning, judged seed by seed: a row of Table 4."""
    better, worse, seeds = (int(row[key]) for key in ("seeds_better", "seeds_worse", "seeds"))
    return Comparison(name, difference, row["p_images"], better, worse, seeds, **more)


def of_ways(name: str, reference: str, row: Mapping[str, Any]) -> Comparison:
    """Two ways of making classifiers, judged over the seeds: a row of Table 7, or two networks."""
    better, worse, seeds = (int(row[key]) for key in ("seeds_better", "seeds_worse", "seeds"))
    figures = (row["difference"], row["p_seeds"], better, worse, seeds, reference)
    return Comparison(name, *figures, over_seeds=True)


@dataclass(frozen=True)
class Comparisons:
    """Comparisons with one subject, which ``about`` describes to the template."""

    about: Mapping[str, Any]
    comparisons: list[Comparison]


@dataclass(frozen=True)
class Guessing:
    """A network against naming classes without looking at the image: shares and p values.

    ``low`` and ``high`` are Wilson's; ``by_clips``: of a bootstrap that keeps clips together.
    """

    model: str
    accuracy: float
    test_images: int
    low: float
    high: float
    p_chance: float
    p_majority: float
    chance: float
    majority: float
    by_clips: tuple[float, float] | None

    @property
    def learned(self) -> bool:
        """Whether it is significantly better than chance and than naming one class."""
        return max(self.p_chance, self.p_majority) < SIGNIFICANT


def against_guessing(results: Results, model: str) -> Guessing:
    """Test accuracy of a network beside that of guessing."""
    columns = ["accuracy_mean", "test_images", "low", "high", "p_chance", "p_majority"]
    constants = map(results.constant, ("chance", "majority class"))
    figures = [*results.standing(model)[columns], *constants, results.interval_by_clips(model)]
    return Guessing(model, *figures)


def after_pruning(results: Results) -> Iterator[Comparisons]:
    """Test accuracy after against before pruning, from Table 4: one per network and technique."""
    rows = results.tables[4]
    rows = rows[rows["state"] == "trained"]
    several = rows["technique"].nunique() > 1
    for (model, technique), found in rows.groupby(["model", "technique"], sort=False):
        about = {"model": model, "technique": technique if several else None}
        about["fine_tuning"] = int(found["fine_tuning"].max())
        yield Comparisons(about, [_pruned(row) for row in as_dicts(found)])


def _pruned(row: Mapping[str, Any]) -> Comparison:
    difference = row["test_accuracy_after_mean"] - row["test_accuracy_before_mean"]
    amount = {"angle": row["angle"], "removed": row["removed_mean"]}
    return of_row(row["model"], row, difference, **amount)


def between_networks(results: Results) -> Iterator[Comparison]:
    """The experiment's networks against each other, on the same test images of each seed."""
    rows, ratio = correct_predictions(results.trained), part_ratio(results.predictions)
    pairs = list(combinations(results.models, 2))
    of_model = {name: rows[rows["model"] == name] for name in results.models}
    paired = [paired_by_seed(of_model[first], of_model[second], ratio) for first, second in pairs]
    adjusted = holm([found.over_seeds.p for found in paired]).tolist()
    for names, found, p in zip(pairs, paired, adjusted, strict=True):
        row = {**comparison_columns(found), "p_seeds": p, "seeds": len(found.tests)}
        yield of_ways(*names, row)


def against_svm(results: Results) -> Iterator[Comparisons]:
    """Networks against the SVM of the images, from Table 7: one per split."""
    if 7 not in results.tables:
        return
    rows = results.tables[7]
    names = rows.drop_duplicates("contender").set_index("contender")["name"]
    rows = rows[(rows["kind"] == NETWORK_KIND) & rows["reference"].notna()]
    for (split, reference), found in rows.groupby(["split", "reference"], sort=False):
        networks = [of_ways(r["name"], str(reference), r) for r in as_dicts(found)]
        yield Comparisons({"split": split, "reference": names[str(reference)]}, networks)


def on_unseen_movies(results: Results) -> Comparisons | None:
    """Accuracies where no movie has images in two parts, against the random split; from Table 7.

    ASSUME: Fisher's exact test of the mean numbers of correct predictions in one test part each.
    The two parts are not the same images, so they cannot be paired; where they overlap, p is too
    large rather than too small.
    """
    names = {p: n for n, p in reversed(results.compared_splits.items())}  # the first of each
    if not {"random", "movie"} <= names.keys():
        return None
    rows = results.tables[7]
    rows = rows[~rows["kind"].isin([CONSTANT_KIND, PUBLISHED_KIND])]
    movie, random = (rows[rows["split"] == names[key]] for key in ("movie", "random"))
    pairs = as_dicts(movie.merge(random, on=["name", *CLASSIFIER_KEYS]))
    adjusted = holm([_fisher(pair) for pair in pairs]).tolist()
    found = [_unpaired(pair, p) for pair, p in zip(pairs, adjusted, strict=True)]
    about = {"split": names["movie"], "reference": names["random"]}
    return Comparisons(about, found) if found else None


def _fisher(pair: Mapping[str, Any]) -> float:
    """P of both splits having one true accuracy; ``_x`` is the movie split, ``_y`` the random."""
    sides = [(pair[f"accuracy_mean_{s}"], int(pair[f"test_images_{s}"])) for s in ("x", "y")]
    table = [(round(share * images), images) for share, images in sides]
    return float(fisher_exact([[right, images - right] for right, images in table]).pvalue)


def _unpaired(pair: Mapping[str, Any], p: float) -> Comparison:
    accuracies = pair["accuracy_mean_x"], pair["accuracy_mean_y"]
    difference = accuracies[0] - accuracies[1]
    better, worse = (int(p < SIGNIFICANT and sign * difference > 0) for sign in (1, -1))
    return Comparison(pair["name"], difference, p, better, worse, accuracies=accuracies)


@dataclass(frozen=True)
class SelectionBias:
    """What selecting on the test images adds; accuracies are of the test images.

    ``by_test`` and ``by_validation`` belong to the settings that those images prefer, ``same``
    where it is one setting; None without validation images.
    """

    model: str
    selected_on: str
    settings: int
    same: bool
    by_test: float | None
    by_validation: float | None


def by_selection(results: Results) -> Iterator[SelectionBias]:
    """One per network that was selected among several settings."""
    for model in results.models:
        rows = results.selection[results.selection["model"] == model]
        on, marks = rows["selected_on"].iloc[0], [rows["best_on_test"], rows["best_on_validation"]]
        if len(rows) > 1 and on != "fixed":
            best = [next(iter(rows.loc[mark, "test_accuracy_mean"]), None) for mark in marks]
            yield SelectionBias(model, on, len(rows), bool((marks[0] & marks[1]).any()), *best)


def evidence(results: Results) -> dict[str, Any]:
    """All that the test images show, in the order of the page."""
    return {
        "guessing": [against_guessing(results, model) for model in results.models],
        "prunings": list(after_pruning(results)),
        "networks": list(between_networks(results)),
        "svms": list(against_svm(results)),
        "movies": on_unseen_movies(results),
        "selections": list(by_selection(results)),
    }


@dataclass(frozen=True)
class Leakage:
    """Test images of a split with a relative in the training or validation part; means over seeds.

    Attributes:
        sizes: images of each part.
        relatives: test images by what they share; absent where nothing was looked for.
        shared: checks under which any two images of the split are related.
    """

    split: str
    protocol: str
    seeds: int
    sizes: Mapping[str, float]
    relatives: Mapping[str, float]
    shared: Sequence[str]


def leakage_by_split(audit: pd.DataFrame) -> list[Leakage]:
    """One record per split, from the rows of leakage.parquet."""
    found = []
    for split, rows in audit.groupby("split", sort=False):
        checks = rows.groupby("check")
        relatives = {str(check): n for check, n in checks["test_images"].mean().items()}
        shared = checks["sets"].any()
        sizes = {part: rows[f"{part}_total"].mean() for part in PARTS}
        about = (str(split), rows["protocol"].iloc[0], rows["seed"].nunique())
        found.append(Leakage(*about, sizes, relatives, list(shared.index[shared])))
    return found
