"""What a few hundred test images can show: intervals and tests.

Wilson's intervals, the binomial and McNemar's tests take images as independent draws. ASSUME:
there, frames of one clip count as separate images, as the paper counts them; they are alike, so
that true intervals are wider. :mod:`resampling` draws whole clips instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest
from scipy.stats import t as student
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from neuron_pruning.core.errors import UserError

SIGNIFICANT = 0.05


def wilson(right: float, images: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share of correct predictions (Wilson 1927).

    ``right`` is a fraction only where it is a mean over seeds.

    Raises:
        UserError: no images, or more correct predictions than images.
    """
    _check_count(right, images)
    low, high = proportion_confint(right, images, alpha=1 - level, method="wilson")
    share = right / images  # the ends 0 and 1 are exact, but for the last bit
    return float(min(max(low, 0.0), share)), float(max(min(high, 1.0), share))


def wilson_of_mean(
    shares: Sequence[float], images: int, level: float = 0.95
) -> tuple[float, float]:
    """Interval of a mean accuracy over seeds, as wide as one test set's.

    ASSUME: ``images`` is the size of one test set, not their sum. The test sets of several seeds
    are drawn from the same few hundred images and overlap, and the networks share training images,
    so that pooled counts are not independent and their interval is too narrow. The interval holds
    the chance of which images are tested, for one test set. It holds no variance of training
    (initialisation, order, training images): where seeds differ by more than test sets do, it is
    too narrow for another run; where they hardly differ, it is wider than the mean needs.

    Raises:
        UserError: no seeds or no images.
    """
    if not len(shares):
        raise UserError("a mean over no seeds has no interval; give the accuracy of one at least")
    return wilson(float(np.mean(shares)) * images, images, level)


def better_than(right: int, images: int, share: float) -> float:
    """One-sided exact binomial test: p of so many correct predictions or more under ``share``.

    Raises:
        UserError: no images, or a count or share out of range.
    """
    _check_count(right, images)
    if not 0 <= share <= 1:
        raise UserError(f"an accuracy to test against is a share between 0 and 1, not {share}")
    return float(binomtest(right, images, share, alternative="greater").pvalue)


def _check_count(right: float, images: int) -> None:
    if images < 1:
        raise UserError(
            "there are no test images to judge by; raise the test_fraction of the split"
        )
    if not 0 <= right <= images:
        raise UserError(f"{right} correct predictions of {images} images cannot be")


@dataclass(frozen=True)
class McNemar:
    """Two classifiers on the same images: predictions that only one had right, and p.

    ``same``: the two are one network, for nothing was removed. That is no test, and no family
    counts it.
    """

    first_only: int
    second_only: int
    images: int
    p: float
    same: bool = False

    @property
    def difference(self) -> float:
        """Accuracy of the first less that of the second."""
        return (self.first_only - self.second_only) / self.images


def mcnemar(first_right: ArrayLike, second_right: ArrayLike) -> McNemar:
    """McNemar's exact test, two-sided, of two classifiers on the same images.

    Both arguments tell which images were right, N booleans in the same order.

    Raises:
        UserError: no images, or not the same number of them.
    """
    first, second = np.asarray(first_right, dtype=bool), np.asarray(second_right, dtype=bool)
    if first.shape != second.shape or first.ndim != 1:
        raise UserError(
            f"{first.shape} and {second.shape} predictions cannot be paired; "
            "compare classifiers on the same test images, one prediction per image"
        )
    return of_counts(int((first & ~second).sum()), int((second & ~first).sum()), first.size)


def of_counts(first_only: int, second_only: int, images: int, same: bool = False) -> McNemar:
    """McNemar's exact test from the numbers of images that one alone had right."""
    _check_count(first_only + second_only, images)
    return McNemar(first_only, second_only, images, discordant_p(first_only, second_only), same)


def discordant_p(first_only: int, second_only: int) -> float:
    """Two-sided p of McNemar's exact test; 1 where the classifiers never differ."""
    either = first_only + second_only
    return float(binomtest(first_only, either, 0.5).pvalue) if either else 1.0


def holm(p_values: ArrayLike, tests: int = 0) -> NDArray[np.float64]:
    """P values adjusted for the size of their family (Holm 1979).

    Args:
        p_values: of the tests that were made; a missing one (NaN) stays so. It counts as a test,
            so that the size of a family does not depend on what the data allow to compute.
        tests: size of the family where more tests were planned than made.
    """
    values = np.array(p_values, dtype=np.float64)
    planned = np.ones(max(tests, values.size))
    planned[: values.size] = np.nan_to_num(values, nan=1.0)
    adjusted = multipletests(planned, method="holm")[1][: values.size] if planned.size else values
    return np.where(np.isnan(values), np.nan, adjusted)


def of_best(p: float, tried: int) -> float:
    """P of a cell that is the best of ``tried`` on these images (Bonferroni)."""
    return min(1.0, p * tried)


def deviations_needed(seeds: int, test_to_train: float, tests: int) -> float:
    """Mean difference that :func:`corrected_t` can show, in its own deviations over the seeds.

    Args:
        seeds: number of paired differences, 2 or more.
        test_to_train: test images divided by training images.
        tests: size of the family, whose smallest p Holm's correction multiplies by it.
    """
    t = student.isf(SIGNIFICANT / tests / 2, seeds - 1)
    return float(t * np.sqrt(1 / seeds + test_to_train))


@dataclass(frozen=True)
class CorrectedT:
    """Mean difference over seeds, its interval, and p; NaN where the seeds cannot tell."""

    difference: float
    low: float
    high: float
    p: float


def corrected_t(
    differences: Sequence[float], test_to_train: float, level: float = 0.95
) -> CorrectedT:
    """Corrected resampled t-test, two-sided (Nadeau & Bengio 2003).

    The variance of the mean is that of the differences times ``1 / seeds + test_to_train``: the
    second term stands for the overlap of the training parts. Where all differences are equal their
    spread is unknown, so p is 1 for a difference of 0 and not a number for any other.

    ``differences`` of accuracy are paired, one per seed; ``test_to_train`` is test images divided
    by training images, 0.25 for an 80/20 split.
    """
    values = np.asarray(differences, dtype=np.float64)
    mean = float(values.mean()) if values.size else np.nan
    if values.size < 2:
        return CorrectedT(mean, np.nan, np.nan, np.nan)
    if np.ptp(values) < 1e-12:
        return CorrectedT(mean, np.nan, np.nan, 1.0 if abs(mean) < 1e-12 else np.nan)
    error = np.sqrt((1 / values.size + test_to_train) * values.var(ddof=1))
    half = error * student.ppf((1 + level) / 2, values.size - 1)
    p = 2 * student.sf(abs(mean) / error, values.size - 1)
    return CorrectedT(mean, float(mean - half), float(mean + half), float(p))


@dataclass(frozen=True)
class PairedSeeds:
    """Two classifiers compared on the test images of each seed.

    ``adjusted`` holds the p values of ``tests`` after Holm's correction.
    """

    tests: tuple[McNemar, ...]
    adjusted: tuple[float, ...]
    over_seeds: CorrectedT

    @property
    def difference(self) -> float:
        """Mean accuracy of the first less that of the second."""
        return self.over_seeds.difference

    @property
    def better(self) -> int:
        """Seeds whose own test shows the first to be better."""
        return len(self._significant(1))

    @property
    def worse(self) -> int:
        """Seeds whose own test shows the first to be worse."""
        return len(self._significant(-1))

    @property
    def p(self) -> float:
        """Largest adjusted p of the seeds that show a difference; the smallest where none does."""
        significant = self._significant(1) + self._significant(-1)
        return max(significant, default=min(self.adjusted))

    def _significant(self, sign: int) -> list[float]:
        pairs = zip(self.tests, self.adjusted, strict=True)
        return [p for test, p in pairs if p < SIGNIFICANT and np.sign(test.difference) == sign]


def paired_over_seeds(
    first_right: Sequence[ArrayLike], second_right: Sequence[ArrayLike], test_to_train: float
) -> PairedSeeds:
    """Compare two classifiers over seeds, each seed on its own test images.

    ASSUME: counts of several seeds are never pooled, for their test sets overlap. Two statements
    stand side by side instead:

    * each seed's own exact test, corrected by Holm, which holds however the seeds depend on each
      other. It is about these networks and new images: right for one network before and after
      pruning. One significant seed rejects "no pair of these networks differs".
    * the corrected resampled t-test over the paired differences. It is about the way of making
      networks (another split, another initialisation): right for AlexNet against VGG or an SVM.
      With three seeds it has two degrees of freedom and sees large differences only.

    Both are asked for each seed which test images, in one order, they had right;
    ``test_to_train`` is test images divided by training images.

    Raises:
        UserError: no seeds, other numbers of them, or images that do not pair.
    """
    if len(first_right) != len(second_right) or not len(first_right):
        raise UserError(
            f"{len(first_right)} and {len(second_right)} seeds cannot be paired; "
            "compare classifiers on the same seeds"
        )
    tests = [mcnemar(a, b) for a, b in zip(first_right, second_right, strict=True)]
    return of_tests(tests, test_to_train)


def of_tests(tests: Sequence[McNemar], test_to_train: float) -> PairedSeeds:
    """What the tests of several seeds show together; see :func:`paired_over_seeds`."""
    differences = corrected_t([test.difference for test in tests], test_to_train)
    return PairedSeeds(tuple(tests), tuple(_adjusted(tests)), differences)


def holm_together(family: Sequence[PairedSeeds]) -> list[PairedSeeds]:
    """The comparisons of one table, corrected for all of their seeds' tests together."""
    adjusted = iter(_adjusted([test for paired in family for test in paired.tests]))
    return [replace(p, adjusted=tuple(next(adjusted) for _ in p.tests)) for p in family]


def _adjusted(tests: Sequence[McNemar]) -> list[float]:
    """P values of one family; networks compared with themselves stay at 1, uncounted."""
    adjusted, real = np.ones(len(tests)), [not test.same for test in tests]
    adjusted[real] = holm([test.p for test in tests if not test.same])
    return adjusted.tolist()


def majority_accuracy(train_labels: ArrayLike, test_labels: ArrayLike) -> float:
    """Test accuracy of always naming the largest training class.

    ASSUME: of equally large classes the first in alphabetical (numerical) order.

    Raises:
        UserError: no training or no test images.
    """
    train, test = np.asarray(train_labels), np.asarray(test_labels)
    _check_count(0, min(train.size, test.size))
    names, counts = np.unique(train, return_counts=True)
    return float((test == names[counts.argmax()]).mean())


def part_ratio(parts: pd.DataFrame) -> float:
    """Test images divided by training images, of the rows of split files."""
    sizes = parts["part"].value_counts()
    return float(sizes["test"] / sizes["train"])


def majority_share(parts: Sequence[pd.DataFrame]) -> tuple[float, float]:
    """Mean and deviation over seeds of the test accuracy of the largest training class.

    Args:
        parts: for each seed the rows of its split file.
    """
    labels = [(rows["part"], rows["label"]) for rows in parts]
    pairs = [(label[part == "train"], label[part == "test"]) for part, label in labels]
    shares = pd.Series([majority_accuracy(training, test) for training, test in pairs])
    return float(shares.mean()), float(shares.std())


def p_words(p: float) -> str:
    """``p < 0.001``, ``p = 0.03``; more digits where two would hide the side of 0.05."""
    if np.isnan(p):
        return "no test"
    if p < 0.001:
        return "p < 0.001"
    digits = 3 if p < 0.01 else 2
    while p != SIGNIFICANT and float(f"{p:.{digits}f}") == SIGNIFICANT and digits < 6:
        digits += 1
    return f"p = {p:.{digits}f}"
