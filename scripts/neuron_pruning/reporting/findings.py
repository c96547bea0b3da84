"""What the results show, as small records; templates/report/ puts them into words.

A difference is significant if p < 0.05 after Holm's correction.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import fisher_exact

from neuron_pruning.core.parquet import as_dicts
from neuron_pruning.reporting.results import Results
from neuron_pruning.statistics.model_comparison import (
    CLASSIFIER_KEYS,
    CONSTANT_KIND,
    NETWORK_KIND,
    PUBLISHED_KIND,
)
from neuron_pruning.statistics.significance import (
    SIGNIFICANT,
    PairedSeeds,
    holm,
    paired_over_seeds,
)

CHECKS = ("clip", "movie", "near-identical", "byte-identical")  # of leakage, as the page has them


@dataclass(frozen=True)
class Comparison:
    """Two accuracies, and what the tests show of their difference.

    Attributes:
        difference: a share.
        direction: 1 better, -1 worse, 0 no significant difference; None: the seeds disagree.
        better: seeds whose own test shows the first to be better.
        accuracies: both, where they are of different images.
        p_over_seeds: of the corrected resampled t-test.
        angle: threshold of a pruning; None where it counts units.
    """

    name: str
    difference: float
    direction: int | None
    p: float
    seeds: int = 1
    better: int = 0
    worse: int = 0
    reference: str = ""
    accuracies: tuple[float, float] | None = None
    p_over_seeds: float = np.nan
    angle: float | None = None
    removed: float | None = None


def direction_of(difference: float, better: int, worse: int) -> int | None:
    """What the tests of the seeds show together; None where a seed contradicts the others."""
    direction = int(np.sign(better - worse))
    if (better and worse) or (direction and np.sign(difference) != direction):
        return None
    return direction


def paired_difference(
    name: str, difference: float, row: Mapping[str, Any], **more: Any
) -> Comparison:
    """A comparison from the columns that Tables 4 and 7 share."""
    better, worse, seeds = (int(row[key]) for key in ("seeds_better", "seeds_worse", "seeds"))
    direction = direction_of(difference, better, worse)
    return Comparison(name, difference, direction, row["p_images"], seeds, better, worse, **more)


@dataclass(frozen=True)
class Guessing:
    """A network against naming classes without looking at the image."""

    model: str
    accuracy: float
    test_images: int
    low: float
    high: float
    chance: float
    p_chance: float
    majority: float
    p_majority: float

    @property
    def beats_chance(self) -> bool:
        """Significantly better than naming a class at random."""
        return self.p_chance < SIGNIFICANT

    @property
    def beats_majority(self) -> bool:
        """Significantly better than always naming the largest training class."""
        return self.p_majority < SIGNIFICANT


def against_guessing(results: Results, model: str) -> Guessing:
    """Test accuracy of a network beside that of guessing."""
    row = results.standing(model)
    return Guessing(
        model,
        accuracy=row["accuracy_mean"],
        test_images=int(row["test_images"]),
        low=row["low"],
        high=row["high"],
        chance=results.constant("chance"),
        p_chance=row["p_chance"],
        majority=results.constant("majority class"),
        p_majority=row["p_majority"],
    )


@dataclass(frozen=True)
class PruningEffect:
    """What pruning costs a network; ``unchanged``: where no unit is removed."""

    model: str
    technique: str | None
    fine_tuning: int
    changes: list[Comparison]
    unchanged: list[Comparison]


def after_pruning(results: Results) -> Iterator[PruningEffect]:
    """Test accuracy after against before pruning, from Table 4: one per network and technique."""
    rows = results.tables[4]
    rows = rows[rows["state"] == "trained"]
    several = rows["technique"].nunique() > 1
    for (model, technique), found in rows.groupby(["model", "technique"], sort=False):
        epochs = int(found["fine_tuning"].max())
        idle = (found["removed_mean"] == 0) & (found["fine_tuning"] == 0)
        changes, unchanged = ([*map(_pruned, as_dicts(found[s]))] for s in (~idle, idle))
        named = str(technique) if several else None
        yield PruningEffect(str(model), named, epochs, changes, unchanged)


def _pruned(row: Mapping[str, Any]) -> Comparison:
    difference = row["test_accuracy_after_mean"] - row["test_accuracy_before_mean"]
    angle = None if pd.isna(row["angle"]) else row["angle"]
    return paired_difference(
        row["model"], difference, row, angle=angle, removed=row["removed_mean"]
    )


def between_networks(results: Results) -> Iterator[Comparison]:
    """The experiment's networks against each other, on the same test images of each seed."""
    for names in combinations(results.models, 2):
        first, second = map(results.correct_predictions, names)
        seeds = sorted(first.keys() & second.keys())
        pairs = [[right[seed] for seed in seeds] for right in (first, second)]
        yield of_paired(*names, paired_over_seeds(pairs[0], pairs[1], results.test_to_train))


def of_paired(name: str, reference: str, paired: PairedSeeds) -> Comparison:
    """A network against another one that saw the same images, seed by seed."""
    return Comparison(
        name,
        paired.difference,
        direction_of(paired.difference, paired.better, paired.worse),
        paired.p,
        seeds=len(paired.tests),
        better=paired.better,
        worse=paired.worse,
        reference=reference,
        p_over_seeds=paired.over_seeds.p,
    )


@dataclass(frozen=True)
class Comparisons:
    """Several classifiers against one reference: an SVM, or another split."""

    split: str
    reference: str
    comparisons: list[Comparison]


def against_svm(results: Results) -> Iterator[Comparisons]:
    """Networks against the SVM of the images, from Table 7: one per split."""
    if 7 not in results.tables:
        return
    rows = results.tables[7]
    rows = rows[(rows["kind"] == NETWORK_KIND) & rows["reference"].notna()]
    for (split, reference), found in rows.groupby(["split", "reference"], sort=False):
        networks = [paired_difference(r["name"], r["difference"], r) for r in as_dicts(found)]
        yield Comparisons(str(split), results.classifier_name(str(reference)), networks)


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
    adjusted = holm([_fisher(pair) for pair in pairs])
    found = [_unpaired(pair, float(p)) for pair, p in zip(pairs, adjusted, strict=True)]
    return Comparisons(names["movie"], names["random"], found) if found else None


def _fisher(pair: Mapping[str, Any]) -> float:
    """P of both splits having one true accuracy; ``_x`` is the movie split, ``_y`` the random."""
    table = []
    for side in ("x", "y"):
        images = int(pair[f"test_images_{side}"])
        right = round(pair[f"accuracy_mean_{side}"] * images)
        table.append([right, images - right])
    return float(fisher_exact(table).pvalue)


def _unpaired(pair: Mapping[str, Any], p: float) -> Comparison:
    movie, random = pair["accuracy_mean_x"], pair["accuracy_mean_y"]
    direction = int(np.sign(movie - random)) if p < SIGNIFICANT else 0
    return Comparison(pair["name"], movie - random, direction, p, accuracies=(movie, random))


@dataclass(frozen=True)
class SelectionBias:
    """What selecting on the test images adds; accuracies are of the test images.

    ``by_test`` and ``by_validation`` belong to the settings that those images prefer; None
    without validation images.
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
        on = rows["selected_on"].iloc[0]
        if len(rows) == 1 or on == "fixed":
            continue
        same = bool((rows["best_on_test"] & rows["best_on_validation"]).any())
        best = (rows[rows[f"best_on_{part}"]] for part in ("test", "validation"))
        accuracies = (next(iter(of["test_accuracy_mean"]), None) for of in best)
        yield SelectionBias(model, on, len(rows), same, *accuracies)


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
    return [_leakage(str(split), rows) for split, rows in audit.groupby("split", sort=False)]


def _leakage(split: str, rows: pd.DataFrame) -> Leakage:
    found = {check: rows[rows["check"] == check] for check in CHECKS}
    found = {check: of for check, of in found.items() if len(of)}
    return Leakage(
        split,
        protocol=rows["protocol"].iloc[0],
        seeds=rows["seed"].nunique(),
        sizes={part: rows[f"{part}_total"].mean() for part in ("train", "validation", "test")},
        relatives={check: of["test_images"].mean() for check, of in found.items()},
        shared=[check for check, of in found.items() if of["sets"].any()],
    )
