"""What the figures of a paper can and cannot be: counts from shares, pairs from counts.

Everything here is arithmetic on published figures (``resources/paper.yaml``): no run of ours.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any, Literal

import numpy as np
from scipy.stats import binom, binomtest, chi2_contingency, fisher_exact

from neuron_pruning.statistics.significance import (
    better_than,
    discordant_p,
    holm,
    of_best,
    wilson,
)

Printing = Literal["rounded", "either"]
Fit = Literal["rounded", "truncated", "none"]
Margins = tuple[tuple[int, int, int], ...]  # a class: correct predictions, images, predictions


@dataclass(frozen=True)
class Count:
    """A printed share as a count of images.

    ``fit`` tells how the printed digits come from the count: rounded, truncated (digits dropped)
    or not at all. ``error`` is the printed share less the exact one.
    """

    right: int
    images: int
    fit: Fit
    error: float

    @property
    def share(self) -> float:
        """Exact share of the count."""
        return self.right / self.images

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the share."""
        return wilson(self.right, self.images)


def as_count(share: float, images: int, digits: int = 4) -> Count:
    """The whole count nearest to a share that was printed with ``digits`` decimals."""
    right = round(share * images)
    exact = Fraction(right, images) * 10**digits
    printed = round(share * 10**digits)
    fit: Fit = "truncated" if math.floor(exact) == printed else "none"
    if abs(exact - printed) <= Fraction(1, 2):
        fit = "rounded"
    return Count(right, images, fit, share - right / images)


def share_of_whole_means(images: int, runs: int, digits: int = 4) -> float:
    """How often a mean over ``runs`` prints like a whole count of ``images``, by enumeration.

    Of all multiples of ``1 / (images * runs)``, the share whose rounded digits are those of a
    multiple of ``1 / images``, itself rounded or truncated. ASSUME: all multiples are equally
    likely; neighbours differ so little in likelihood that it makes no difference.
    """
    scale = 10**digits
    whole = {
        value
        for right in range(images + 1)
        for value in (_rounded(right, images, scale), right * scale // images)
    }
    total = images * runs
    return sum(_rounded(n, total, scale) in whole for n in range(total + 1)) / (total + 1)


def _rounded(part: int, whole: int, scale: int) -> int:
    return (2 * part * scale + whole) // (2 * whole)  # half up, in whole numbers


def pairing_bounds(first: int, second: int, images: int) -> tuple[float, float]:
    """Smallest and largest p that McNemar's test can have for two counts of the same images.

    The counts leave open how many images only one of the two has right. The difference is
    clearest where every image that the worse one has right is right in the better one too.
    ``first`` and ``second`` are correct predictions, of ``images`` each.
    """
    only_first = range(max(0, first - second), min(first, images - second) + 1)
    values = [discordant_p(alone, alone - (first - second)) for alone in only_first]
    return min(values), max(values)


def unpaired_p(first: int, second: int, images: int) -> float:
    """Fisher's exact test, two-sided, of two counts of other images, ``images`` each."""
    table = [[first, images - first], [second, images - second]]
    return float(fisher_exact(table).pvalue)


def smallest_loss_interval(lost: int, images: int) -> tuple[float, float]:
    """Exact 95 % interval of a loss, in the clearest case: pruning corrects no prediction."""
    interval = binomtest(lost, images).proportion_ci(method="exact")
    return float(interval.low), float(interval.high)


@dataclass(frozen=True)
class Best:
    """The best of several cells, and what picking it on the test images alone explains.

    ``expected`` is the mean of the largest count if all cells had the same true accuracy and
    independent test images; ``p_alike`` tests that they have (chi-squared).
    """

    best: int
    mean: float
    expected: float
    p_alike: float


def best_of(rights: Sequence[int], images: int) -> Best:
    """Selection on the test images among cells with these correct predictions."""
    mean = sum(rights) / len(rights)
    below = binom.cdf(np.arange(images), images, mean / images)  # P(count <= 0 ... images - 1)
    expected = float((1 - below ** len(rights)).sum())
    table = [[right, images - right] for right in rights]
    return Best(max(rights), mean, expected, float(chi2_contingency(table).pvalue))


def at_least_one_of(right: int, images: int, share: float, cells: int) -> float:
    """``better_than`` for the best of several cells, by Bonferroni."""
    return of_best(better_than(right, images, share), cells)


def confusion_margins(
    precision: Sequence[float],
    recall: Sequence[float],
    images: int,
    printing: Printing = "rounded",
    digits: int = 2,
) -> Iterator[Margins]:
    """Diagonals and margins that one confusion matrix with such figures can have.

    Yields for each class its correct predictions, images and predictions; images and predictions
    of all classes each add up to ``images``, which the matrix counts. No such margins: no such
    matrix. ``precision`` and ``recall`` are printed with so many ``digits``, one per class, each
    rounded, or each either rounded or truncated.
    """
    options = [
        [(right, size, of) for right, size in sizes for same, of in predictions if same == right]
        for predictions, sizes in (
            [_counts_printed_as(figure, images, printing, digits) for figure in pair]
            for pair in zip(precision, recall, strict=True)
        )
    ]
    reachable: list[set[tuple[int, int]]] = [{(0, 0)}]
    for of_class in reversed(options):
        sizes = {(size, predictions) for _, size, predictions in of_class}
        sums = {(a + s, b + t) for a, b in reachable[-1] for s, t in sizes}
        reachable.append({(a, b) for a, b in sums if a <= images and b <= images})
    yield from _complete(options, reachable[::-1], (images, images))


def _complete(
    options: Sequence[Sequence[tuple[int, int, int]]],
    reachable: Sequence[set[tuple[int, int]]],
    left: tuple[int, int],
) -> Iterator[Margins]:
    """All choices, one option per class, whose images and predictions use up what is ``left``."""
    if left not in reachable[0]:
        return
    if not options:
        yield ()
        return
    for right, size, predictions in options[0]:
        rest = (left[0] - size, left[1] - predictions)
        for others in _complete(options[1:], reachable[1:], rest):
            yield ((right, size, predictions), *others)


def _counts_printed_as(
    figure: float, images: int, printing: Printing, digits: int
) -> list[tuple[int, int]]:
    """Correct predictions and wholes up to ``images`` whose share prints as ``figure``.

    A precision printed as 0 also stands for a class that was never named.
    """
    scale = 10**digits
    printed = round(figure * scale)
    pairs = [(0, 0)] if printed == 0 else []
    for whole in range(1, images + 1):
        most = whole if printing == "rounded" else 2 * whole - 1
        errors = [2 * (right * scale - printed * whole) for right in range(whole + 1)]
        pairs += [(n, whole) for n, twice in enumerate(errors) if -whole <= twice <= most]
    return pairs  # twice: the error of the whole in half digits


def flattened_alexnet(height: int, width: int, stride: int) -> int:
    """Outputs of the modified AlexNet's convolutions for a stride of its second one.

    ASSUME: as in ``architectures.py``: no padding in the first two convolutions, the size kept by
    the other four; three overlapping poolings.
    """
    sides = [_side(_side(_side(s, 11, 4), 3, 2), 11, stride) for s in (height, width)]
    sides = [_side(_side(s, 3, 2), 3, 2) for s in sides]
    return 256 * sides[0] * sides[1]


def _side(length: int, kernel: int, stride: int) -> int:
    return (length - kernel) // stride + 1


def parameters(network: Mapping[str, Any]) -> int:
    """Weights and biases of a network: convolutions ``kernels, size, depth`` and widths."""
    total = sum(n * size**2 * depth + n for n, size, depth in network["convolutions"])
    inputs = [network["flattened"], *network["widths"][:-1]]
    return total + sum(i * o + o for i, o in zip(inputs, network["widths"], strict=True))


def unit_parameters(network: Mapping[str, Any]) -> int:
    """Parameters of one unit of the pruned layer: incoming weights, bias, outgoing weights."""
    widths = network["widths"]
    place = widths.index(network["pruned"])
    return int(widths[place - 1] + 1 + widths[place + 1])


@dataclass(frozen=True)
class Pruning:
    """A row of Table 4 as counts, and what tests of them can give.

    Attributes:
        bounds: smallest and largest p of McNemar's test, after against before.
        smallest_p: the smaller one after Holm's correction for the table.
        p_largest: of being better than always naming the largest class.
    """

    model: str
    angle: float
    removed: int
    published: float
    before: Count
    after: Count
    bounds: tuple[float, float]
    smallest_p: float
    p_largest: float


@dataclass(frozen=True)
class ClassTable:
    """Table 2 or 3, and the confusion matrices that it may come from.

    Attributes:
        rounded: matrices if every figure is rounded; ``either``: if each is rounded or truncated.
        right: correct predictions that the matrices of ``either`` have.
        sizes: images of each class in them.
    """

    precision: float
    recall: float
    accuracy: float
    rounded: int
    either: int
    right: list[int]
    sizes: set[tuple[int, ...]]


@dataclass(frozen=True)
class Paper:
    """The published figures, as ``resources/paper.yaml`` has them, and what follows from them."""

    figures: Mapping[str, Any]

    @property
    def protocol(self) -> Any:
        """Images, classes, shares, runs and epochs."""
        return self.figures["protocol"]

    @property
    def models(self) -> list[str]:
        """The two networks."""
        return list(self.figures["selected"])

    @property
    def test_images(self) -> int:
        """Images of one test set."""
        return round(self.protocol["images"] * self.protocol["test_share"])

    @property
    def training_images(self) -> int:
        """Images of one training set."""
        return int(self.protocol["images"] - self.test_images)

    @property
    def largest(self) -> float:
        """Share of the images in the largest class."""
        return float(self.protocol["largest_class"] / self.protocol["images"])

    @cached_property
    def settings(self) -> list[tuple[Mapping[str, Any], Count, Count]]:
        """Rows of Table 1 with their training and test accuracies as counts."""
        parts = {"train_accuracy": self.training_images, "test_accuracy": self.test_images}
        rows = self.figures["table1"]
        counts = ([as_count(row[part], images) for row in rows] for part, images in parts.items())
        return list(zip(rows, *counts, strict=True))

    @property
    def fits(self) -> Counter[str]:
        """How many figures of Table 1 are counts: rounded, truncated, none."""
        return Counter(count.fit for _, *pair in self.settings for count in pair)

    def cells(self, model: str) -> list[Count]:
        """Test accuracies of a model's cells in Table 1."""
        return [test for row, _, test in self.settings if row["model"] == model]

    def selected(self, model: str) -> Count:
        """Test accuracy of the cell that the paper prunes."""
        wanted = {"model": model, **self.figures["selected"][model]}
        return next(test for row, _, test in self.settings if wanted.items() <= row.items())

    def p_selected(self, model: str, share: float, tried: int = 1) -> float:
        """P of the selected cell being better than a share, as the best of ``tried`` cells."""
        return at_least_one_of(self.selected(model).right, self.test_images, share, tried)

    @property
    def selects_best(self) -> bool:
        """The selected cells have the highest test accuracy of their network."""
        return all(self.selected(m).right == self.best_of(m).best for m in self.models)

    def best_of(self, model: str) -> Best:
        """The best of a model's cells, and what selection alone explains."""
        return best_of([count.right for count in self.cells(model)], self.test_images)

    def whole_means(self, images: int) -> float:
        """How often a mean over the runs prints like a whole count of ``images``."""
        return share_of_whole_means(images, self.protocol["runs"])

    @property
    def odds_of_means(self) -> float:
        """Once in how many times all of Table 1 would print like counts, were it means."""
        both = self.whole_means(self.training_images) * self.whole_means(self.test_images)
        return float(1 / both ** len(self.settings))

    @cached_property
    def prunings(self) -> list[Pruning]:
        """Rows of Table 4."""
        found = [self._pruning(row) for row in self.figures["table4"]]
        corrected = holm([pruning.smallest_p for pruning in found]).tolist()
        return [replace(of, smallest_p=p) for of, p in zip(found, corrected, strict=True)]

    def _pruning(self, row: Mapping[str, Any]) -> Pruning:
        """One row of Table 4, its p not yet corrected."""
        before, after = (as_count(row[when], self.test_images) for when in ("before", "after"))
        bounds = pairing_bounds(before.right, after.right, self.test_images)
        p_largest = better_than(after.right, self.test_images, self.largest)
        named = (row["model"], row["angle"], row["removed"], row["after"])
        return Pruning(*named, before, after, bounds, bounds[0], p_largest)

    @property
    def pair(self) -> tuple[int, int, int]:
        """Correct predictions of the two selected networks, and test images."""
        first, second = (self.selected(model).right for model in self.models)
        return first, second, self.test_images

    @cached_property
    def class_tables(self) -> dict[str, ClassTable]:
        """Tables 2 and 3 by model."""
        return {model: self._class_table(of) for model, of in self.figures["classes"].items()}

    def _class_table(self, published: Mapping[str, Any]) -> ClassTable:
        precision, recall = (list(published[metric].values()) for metric in ("precision", "recall"))
        rounded = list(confusion_margins(precision, recall, self.test_images))
        either = list(confusion_margins(precision, recall, self.test_images, "either"))
        return ClassTable(
            precision=sum(precision) / len(precision),
            recall=sum(recall) / len(recall),
            accuracy=published["accuracy"],
            rounded=len(rounded),
            either=len(either),
            right=sorted({sum(right for right, _, _ in margins) for margins in either}),
            sizes={tuple(size for _, size, _ in margins) for margins in either},
        )

    def share_of_units(self, model: str, units: int) -> float:
        """Share of a network's parameters that belong to so many units of the pruned layer."""
        network = self.figures["networks"][model]
        return units * unit_parameters(network) / parameters(network)

    @property
    def steps(self) -> list[int]:
        """Optimiser steps of a whole training; the last, smaller batch of an epoch counts."""
        sizes = {row["batch_size"] for row in self.figures["table1"]}
        return sorted(self.protocol["epochs"] * -(-self.training_images // n) for n in sizes)
