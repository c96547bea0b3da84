"""A uniform sample of rows from a stream of unknown length."""

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

# ASSUME: rows (pattern, position) that stand for all where there are more; the first convolution
# of a 576 x 720 image has thousands of positions for each of hundreds of patterns.
SAMPLE_ROWS = 20_000


class RowSample:
    """All rows or, where there are more, ``count`` of them, in their order.

    Every row draws a number, and the rows with the smallest stay; the sample does not depend on
    the size of the pieces.
    """

    def __init__(self, count: int, generator: np.random.Generator) -> None:
        self._count, self._generator = count, generator
        self._kept: NDArray[Any] | None = None
        self._keys = np.empty(0)

    def add(self, piece: Float[NDArray, "_ units"]) -> None:
        """Take in more rows."""
        fresh = self._generator.random(len(piece))
        if len(self._keys) >= self._count:  # nearly all rows of a long stream: not worth a copy
            chosen = fresh < self._keys.max()
            piece, fresh = piece[chosen], fresh[chosen]
        kept = piece if self._kept is None else np.concatenate([self._kept, piece])
        keys = np.concatenate([self._keys, fresh])
        if len(keys) > self._count:
            smallest = np.sort(np.argpartition(keys, self._count - 1)[: self._count])
            kept, keys = kept[smallest], keys[smallest]
        self._kept, self._keys = kept, keys

    @property
    def rows(self) -> Float[NDArray, "rows units"] | None:
        """The sample; None before the first piece."""
        return self._kept
