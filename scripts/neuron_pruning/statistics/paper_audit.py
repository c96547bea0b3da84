"""What the figures of a paper can and cannot be: counts behind shares, pairs behind counts.

Everything here is arithmetic on published figures (``resources/paper.yaml``): no run of ours.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from scipy.stats import binom, binomtest, chi2_contingency, fisher_exact

from neuron_pruning.statistics.significance import better_than, discordant_p, wilson

Printing = Literal["rounded", "either"]
Margins = tuple[tuple[int, int, int], ...]  # a class: right answers, images, answers


@dataclass(frozen=True)
class Count:
    """A printed share as a count of images.

    ``fit`` says how the printed digits come from the count: rounded, cut (digits dropped) or not
    at all. ``error`` is the printed share less the exact one.
    """

    right: int
    images: int
    fit: Literal["rounded", "cut", "none"]
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
    fit: Literal["rounded", "cut", "none"] = "none"
    if abs(exact - printed) <= Fraction(1, 2):
        fit = "rounded"
    elif math.floor(exact) == printed:
        fit = "cut"
    return Count(right, images, fit, share - right / images)


def share_of_whole_means(images: int, runs: int, digits: int = 4) -> float:
    """How often a mean over ``runs`` prints like a whole count of ``images``, by enumeration.

    Of all multiples of ``1 / (images * runs)``, the share whose rounded digits are those of a
    multiple of ``1 / images``, itself rounded or cut. ASSUME: all multiples are equally likely;
    neighbours differ so little in likelihood that it makes no difference.
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

    Args:
        first: right answers before, or of the first classifier.
        second: right answers after, or of the second.
        images: test images of both.
    """
    only_first = range(max(0, first - second), min(first, images - second) + 1)
    values = [discordant_p(alone, alone - (first - second)) for alone in only_first]
    return min(values), max(values)


def unpaired_p(first: int, second: int, images: int) -> float:
    """Fisher's exact test, two-sided, of two counts of other images, ``images`` each."""
    table = [[first, images - first], [second, images - second]]
    return float(fisher_exact(table).pvalue)


def smallest_loss_interval(lost: int, images: int) -> tuple[float, float]:
    """Exact 95 % interval of a loss, in the clearest case: pruning never mends an answer."""
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
    """Selection on the test images among cells with these right answers."""
    mean = sum(rights) / len(rights)
    below = binom.cdf(np.arange(images), images, mean / images)  # P(count <= 0 ... images - 1)
    expected = float((1 - below ** len(rights)).sum())
    table = [[right, images - right] for right in rights]
    return Best(max(rights), mean, expected, float(chi2_contingency(table).pvalue))


def at_least_one_of(right: int, images: int, share: float, cells: int) -> float:
    """``better_than`` for the best of several cells, by Bonferroni."""
    return min(1.0, cells * better_than(right, images, share))


def confusion_margins(
    precision: Sequence[float],
    recall: Sequence[float],
    images: int,
    printing: Printing = "rounded",
    digits: int = 2,
) -> Iterator[Margins]:
    """Diagonals and margins that one confusion matrix with such figures can have.

    Yields for each class its right answers, images and answers; images and answers of all classes
    each add up to ``images``. No such margins: no such matrix.

    Args:
        precision: printed precision of each class.
        recall: printed recall of each class.
        images: images that the matrix counts.
        printing: every figure rounded, or each one either rounded or cut.
        digits: decimals printed.
    """
    options = [
        _class_options(p, r, images, printing, digits)
        for p, r in zip(precision, recall, strict=True)
    ]
    reachable: list[set[tuple[int, int]]] = [{(0, 0)}]
    for of_class in reversed(options):
        sizes = {(size, answers) for _, size, answers in of_class}
        sums = {(a + s, b + t) for a, b in reachable[-1] for s, t in sizes}
        reachable.append({(a, b) for a, b in sums if a <= images and b <= images})
    yield from _complete(options, reachable[::-1], (images, images))


def _complete(
    options: Sequence[Sequence[tuple[int, int, int]]],
    reachable: Sequence[set[tuple[int, int]]],
    left: tuple[int, int],
) -> Iterator[Margins]:
    """All choices, one option a class, whose images and answers use up what is ``left``."""
    if left not in reachable[0]:
        return
    if not options:
        yield ()
        return
    for right, size, answers in options[0]:
        rest = (left[0] - size, left[1] - answers)
        for others in _complete(options[1:], reachable[1:], rest):
            yield ((right, size, answers), *others)


def _class_options(
    precision: float, recall: float, images: int, printing: Printing, digits: int
) -> list[tuple[int, int, int]]:
    sizes = _denominators(recall, images, printing, digits)
    answers = _denominators(precision, images, printing, digits)
    return [
        (right, size, answer)
        for right in range(images + 1)
        for size in sizes.get(right, ())
        for answer in answers.get(right, ())
    ]


def _denominators(
    figure: float, images: int, printing: Printing, digits: int
) -> dict[int, list[int]]:
    """For each number of right answers, the wholes of which it prints as ``figure``.

    A precision printed as 0 also stands for a class that was never named.
    """
    scale = 10**digits
    printed = round(figure * scale)
    found: dict[int, list[int]] = {0: [0]} if printed == 0 else {}
    for whole in range(1, images + 1):
        lowest = max(0, whole * (printed - 1) // scale)
        for right in range(lowest, min(whole, whole * (printed + 1) // scale + 1) + 1):
            twice = 2 * (right * scale - printed * whole)  # of whole: the error in half digits
            if -whole <= twice <= (whole if printing == "rounded" else 2 * whole - 1):
                found.setdefault(right, []).append(whole)
    return found


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
    """Parameters that go with one unit of the pruned layer: into it, its bias, and out of it."""
    widths = network["widths"]
    place = widths.index(network["pruned"])
    return int(widths[place - 1] + 1 + widths[place + 1])
