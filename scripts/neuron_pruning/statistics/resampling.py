"""Test images and seeds drawn again: intervals and paired tests that keep clips together.

Frames of one clip are alike, and the seeds of an experiment test some images more than once. Both
count here as one clip: where a clip is drawn or turned round, so are all its frames in all seeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neuron_pruning.core.seeds import derive_seed

if TYPE_CHECKING:  # sweeps, which are many, have no frames
    import pandas as pd

Right = Mapping[int, NDArray[np.float32]]  # by seed: draws x test images, 1 where right
Clips = Mapping[int, NDArray[np.int64]]  # by seed: number of the clip of every test image
BOOTSTRAPS = 2000  # ASSUME: samples of an interval
FLIPS = 19_999  # ASSUME: of a test; with them its p is 1 / 20,000 at least
LEVEL = 0.95


def packed(right: NDArray[np.bool_]) -> bytes:
    """One bit per test image, as the sweeps keep them."""
    return np.packbits(right).tobytes()


def unpacked(rows: Sequence[bytes], images: int) -> NDArray[np.float32]:
    """What :func:`packed` made of every row: rows x images, 1 where right."""
    packs = np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(len(rows), -1)
    return np.unpackbits(packs, axis=1, count=images).astype(np.float32)


def clips_of(tested: "pd.DataFrame") -> dict[int, NDArray[np.int64]]:
    """Numbers of the clips, by seed.

    Args:
        tested: one row per test image and seed, in the order of the outcomes: seed and clip.
    """
    numbers, rows = tested["clip"].factorize()[0], tested.groupby("seed").indices
    return {int(str(seed)): numbers[found] for seed, found in rows.items()}


def ends(samples: NDArray[np.floating], level: float = LEVEL) -> tuple[float, float]:
    """Percentile interval of bootstrap samples."""
    low, high = np.nanquantile(samples, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class Resampling:
    """The test images of all seeds of a network, and which belong to one clip."""

    clips: Clips

    @property
    def number(self) -> int:
        """Clips among the test images of all seeds."""
        return 1 + max(int(found.max()) for found in self.clips.values())

    def accuracies(self, right: Right) -> NDArray[np.float64]:
        """Mean accuracy over seeds in every bootstrap sample.

        ASSUME: seeds and clips are drawn independently of each other (Owen 2007), since a clip
        may be tested by several seeds; the draws of random removal are drawn again as well. With
        few seeds the interval is too narrow for other seeds, by the root of (n - 1) / n about.
        """
        rng = np.random.default_rng(derive_seed(0, "bootstrap draws"))
        total, found = np.zeros(BOOTSTRAPS), np.zeros(BOOTSTRAPS)
        for seed, (weights, tested) in self._of_images.items():
            shares = weights @ right[seed].T
            draws = shares.shape[1]
            if draws > 1:
                again = rng.multinomial(draws, np.full(draws, 1 / draws), BOOTSTRAPS) / draws
                shares = (shares * again).sum(axis=1, keepdims=True)
            found += tested * shares[:, 0]
            total += tested
        return np.divide(found, total, out=np.full(BOOTSTRAPS, np.nan), where=total > 0)

    @cached_property
    def _of_images(self) -> dict[int, tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """By seed: share of each test image in each sample, and how often samples have the seed."""
        rng = np.random.default_rng(derive_seed(0, "bootstrap"))
        of_clips, of_seeds = (
            rng.multinomial(n, np.full(n, 1 / n), BOOTSTRAPS).astype(np.float32)
            for n in (self.number, len(self.clips))
        )
        found = {}
        for place, (seed, clips) in enumerate(self.clips.items()):
            weights = of_clips[:, clips]
            images = weights.sum(axis=1)
            tested = of_seeds[:, place] * (images > 0)  # a sample may lack a seed's few images
            found[seed] = weights / np.maximum(images, 1)[:, None], tested
        return found

    def by_clip(self, first: Right, second: Right) -> NDArray[np.float64]:
        """What each clip adds to the difference of two mean accuracies over seeds."""
        sums = np.zeros(self.number)
        for seed, clips in self.clips.items():
            difference = first[seed].mean(axis=0) - second[seed].mean(axis=0)
            sums += np.bincount(clips, difference, len(sums)) / (len(clips) * len(self.clips))
        return sums

    def p_values(self, by_clip: NDArray[np.float64]) -> NDArray[np.float64]:
        """Two-sided p of no difference, by turning round the difference of each clip at random.

        With two single networks, one seed and no clips it is McNemar's exact test, but for the
        sampling. It is about these networks (and these draws of random removal) and new clips.

        Args:
            by_clip: comparisons x clips.
        """
        rng = np.random.default_rng(derive_seed(0, "sign flips"))
        sums, observed = by_clip.T.astype(np.float32), np.abs(by_clip.sum(axis=1))
        extreme = np.ones(len(by_clip))  # what was observed is one of the possible turns
        for part in np.array_split(np.arange(FLIPS), 8):
            signs = rng.choice(np.array([-1, 1], np.float32), (len(part), len(sums)))
            extreme += (np.abs(signs @ sums) >= observed - 1e-6).sum(axis=0)
        return extreme / (FLIPS + 1)


def smallest_p(by_clip: NDArray[np.float64]) -> NDArray[np.float64]:
    """The smallest p that :meth:`Resampling.p_values` can give with so many clips that differ."""
    differing = (by_clip != 0).sum(axis=1)
    return np.minimum(1.0, np.maximum(2.0 ** (1 - differing), 1 / (FLIPS + 1)))
