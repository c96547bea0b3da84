"""Training and test part of the images, per seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from neuron_pruning.errors import UserError
from neuron_pruning.records import column, read_rows, schema
from neuron_pruning.seeds import derive_seed

Protocol = Literal["random", "stratified", "clip", "movie"]

SPLIT_SCHEMA = schema(
    column("seed", pa.int64(), "seed of the split"),
    column("protocol", pa.string(), "random, stratified, clip or movie"),
    column("position", pa.int64(), "row of the array"),
    column("image", pa.string(), "file, relative to the folder of class folders"),
    column("label", pa.string(), "class"),
    column("group", pa.string(), "what stays on one side: the image, its clip or its movie"),
    column("part", pa.string(), "train or test"),
    run=False,
)


def split_images(
    labels: Sequence[str],
    groups: Sequence[str],
    protocol: Protocol,
    test_fraction: float,
    seed: int,
) -> NDArray[np.bool_]:
    """Which images are for testing, N booleans.

    ``random`` draws ``round(N * test_fraction)`` images, as the paper does; ``stratified`` does
    so class by class; ``clip`` and ``movie`` draw whole groups until the fraction is reached.

    Raises:
        UserError: unknown protocol, or one side would be empty.
    """
    if protocol not in get_args(Protocol):
        raise UserError(f"split.protocol must be one of {get_args(Protocol)}, not {protocol!r}")
    rng = np.random.default_rng(derive_seed(seed, "split"))
    if protocol == "random":
        test = _draw(np.arange(len(labels)), len(labels), test_fraction, rng)
    elif protocol == "stratified":
        names = np.asarray(labels)
        parts = [np.flatnonzero(names == name) for name in sorted(set(labels))]
        test = np.any([_draw(p, len(labels), test_fraction, rng) for p in parts], axis=0)
    else:
        test = _draw_groups(groups, test_fraction, rng)
    if not test.any() or test.all():
        raise UserError(
            f"split: {test.sum()} of {test.size} images would be for testing under {protocol} with "
            f"test_fraction {test_fraction}; change split.test_fraction or split.protocol"
        )
    return test


def _draw(
    candidates: NDArray[np.int64], total: int, fraction: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    test = np.zeros(total, dtype=bool)
    test[rng.permutation(candidates)[: round(len(candidates) * fraction)]] = True
    return test


def _draw_groups(
    groups: Sequence[str], fraction: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Whole groups in random order.

    ASSUME: a group is taken while the test part does not exceed its share.
    """
    wanted = round(len(groups) * fraction)
    names = np.asarray(groups)
    test = np.zeros(len(groups), dtype=bool)
    for name in rng.permutation(sorted(set(groups))):
        members = names == name
        if test.sum() + members.sum() <= wanted:
            test |= members
    return test


@dataclass(frozen=True)
class Split:
    """A split file as arrays: N rows in the order of the image array."""

    classes: tuple[str, ...]
    images: tuple[str, ...]
    truth: NDArray[np.int64]
    test: NDArray[np.bool_]

    def positions(self, part: str) -> NDArray[np.int64]:
        """Rows of the array that belong to ``train`` or ``test``."""
        return np.flatnonzero(self.test == (part == "test"))


def read_split(path: Path) -> Split:
    """Read what ``split_dataset`` wrote; classes are numbered in alphabetical order."""
    rows = sorted(read_rows(path), key=lambda row: row["position"])
    classes = tuple(sorted({row["label"] for row in rows}))
    numbers = {name: number for number, name in enumerate(classes)}
    return Split(
        classes,
        tuple(row["image"] for row in rows),
        np.array([numbers[row["label"]] for row in rows]),
        np.array([row["part"] == "test" for row in rows]),
    )
