"""Split files: which image belongs to which part."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from neuron_pruning.core.parquet import PARTS, column, read_rows, schema

SPLIT_SCHEMA = schema(
    column("seed", pa.int64(), "seed of the split"),
    column("split", pa.string(), "name of the split in the config"),
    column("protocol", pa.string(), "random, stratified, clip, movie, group or list"),
    column("position", pa.int64(), "row of the array"),
    column("image", pa.string(), "file, relative to the folder of class folders"),
    column("label", pa.string(), "class"),
    column("group", pa.string(), "what stays in one part: the image, or a set of clips or movies"),
    column("part", pa.string(), "train, validation or test"),
    run=False,
)


@dataclass(frozen=True)
class Split:
    """A split file as arrays: N rows in the order of the image array.

    Attributes:
        classes: Names in alphabetical order.
        images: N files, relative to the folder of class folders.
        labels: N class numbers.
        parts: N parts, ``train``, ``validation`` or ``test``; N booleans are taken as which
            images are for testing.
        groups: N groups; every image its own where none are given.
    """

    classes: tuple[str, ...]
    images: tuple[str, ...]
    labels: NDArray[np.int64]
    parts: NDArray[Any]
    groups: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        """Fill in what was left out."""
        if self.parts.dtype == bool:
            object.__setattr__(self, "parts", np.where(self.parts, "test", "train"))
        if self.groups is None:
            object.__setattr__(self, "groups", np.array(self.images, dtype=str))

    @property
    def group_names(self) -> NDArray[Any]:
        """Group of every image, N."""
        return np.asarray(self.groups)

    @property
    def test(self) -> NDArray[np.bool_]:
        """Which images are for testing, N booleans."""
        return np.asarray(self.parts == "test")

    @property
    def parts_present(self) -> tuple[str, ...]:
        """Parts that have images, in the order train, validation, test."""
        return tuple(part for part in PARTS if part in self.parts)

    def positions(self, part: str) -> NDArray[np.int64]:
        """Rows of the array that belong to ``train``, ``validation`` or ``test``."""
        return np.flatnonzero(self.parts == part)


SPLIT_COLUMNS = ("position", "image", "label", "part", "group")


def read_split(path: Path) -> Split:
    """Read what ``split_dataset`` wrote; classes are numbered in alphabetical order."""
    rows = sorted(read_rows(path, SPLIT_COLUMNS), key=lambda row: row["position"])
    classes = tuple(sorted({row["label"] for row in rows}))
    numbers = {name: number for number, name in enumerate(classes)}
    return Split(
        classes,
        tuple(row["image"] for row in rows),
        np.array([numbers[row["label"]] for row in rows]),
        np.array([row["part"] for row in rows]),
        np.array([row["group"] for row in rows]),
    )
