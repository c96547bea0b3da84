"""Split files: which image belongs to which part."""

from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

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
        parts: N parts, ``train``, ``validation`` or ``test``.
        groups: N groups, each of which stays in one part where the protocol says so.
    """

    classes: tuple[str, ...]
    images: tuple[str, ...]
    labels: NDArray[np.int64]
    parts: NDArray[np.str_]
    groups: NDArray[np.str_]

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


def read_split(path: Path) -> Split:
    """Read what ``split_dataset`` wrote; classes are numbered in alphabetical order."""
    columns = ["position", "image", "label", "part", "group"]
    rows = sorted(read_rows(path, columns), key=itemgetter("position"))
    images, names, parts, groups = ([row[key] for row in rows] for key in columns[1:])
    classes, labels = np.unique(np.array(names, str), return_inverse=True)
    return Split(
        classes=tuple(classes.tolist()),
        images=tuple(images),
        labels=labels.astype(np.int64),
        parts=np.array(parts, str),
        groups=np.array(groups, str),
    )
