"""Images that are the same picture: byte-identical files and near-identical frames."""

from collections.abc import Iterator, Sequence

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

HASH_BITS = 64
DISTANCE = 8
"""Bits of 64 in which the hashes of near-duplicates differ at most.

ASSUME: 8, from the 675 frames of SFEW. Of the 159 pairs up to 8, 140 lie within a clip, 19 between
clips of one movie and none between movies; those looked at (the 19, and some of the 140 at 8) show
the same people in one camera shot. From 10 on come pairs of different movies that share no more
than a layout (3 at 10, 7 more at 12, 54 more at 14).
"""
BLOCK_PAIRS = 2**22  # pairs compared at once: 32 MiB of 64-bit words


def perceptual_hash(image: Image.Image) -> str:
    """DCT hash of the picture, 64 bits as 16 hexadecimal digits.

    It sees the coarse layout of grey levels alone: colours and small details do not count, and
    pictures of one plain colour are all alike.
    """
    return str(imagehash.phash(image))


def near_duplicate_pairs(hashes: Sequence[str], distance: int = DISTANCE) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, of hashes that differ in at most ``distance`` bits, sorted.

    Exact: of ``distance`` + 1 bands of the bits at least one is the same in both (pigeonhole;
    Norouzi et al., 2012, "Fast search in Hamming space with multi-index hashing"), so that only
    hashes that share a band are compared.
    """
    words = np.array([int(text, 16) for text in hashes], dtype=np.uint64)
    found: set[tuple[int, int]] = set()
    for bits in np.array_split(np.arange(HASH_BITS, dtype=np.uint64), distance + 1):
        band = words & np.bitwise_or.reduce(np.uint64(1) << bits)
        order = np.argsort(band, kind="stable")
        starts = np.flatnonzero(np.diff(band[order])) + 1
        for members in np.split(order, starts):
            if len(members) > 1:
                found.update(_close_pairs(words, members, distance))
    return sorted(found)


def _close_pairs(
    words: NDArray[np.uint64], members: NDArray[np.int64], distance: int
) -> Iterator[tuple[int, int]]:
    """Pairs among ``members`` (ascending), compared a block of rows at a time."""
    rows = max(1, BLOCK_PAIRS // len(members))
    for start in range(0, len(members), rows):
        here, others = members[start : start + rows], members[start:]
        apart = np.bitwise_count(words[here, None] ^ words[None, others])
        left, right = np.nonzero(np.triu(apart <= distance, k=1))
        yield from zip(here[left].tolist(), others[right].tolist(), strict=True)


def unite(
    count: int, pairs: Sequence[tuple[int, int]], *groupings: Sequence[str]
) -> NDArray[np.int64]:
    """Connected sets of ``count`` items: N positions, each the first member of the item's set.

    What belongs together are the positions in a pair, and the items of one name in a grouping.
    """
    edges = [np.array(pairs, dtype=np.int64).reshape(-1, 2)]
    for names in groupings:
        _, first, number = np.unique(np.asarray(names), return_index=True, return_inverse=True)
        edges.append(np.column_stack([np.arange(count), first[number]]))
    left, right = np.concatenate(edges).T
    graph = coo_array((np.ones(len(left), dtype=bool), (left, right)), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    _, first, number = np.unique(labels, return_index=True, return_inverse=True)
    return first[number]


def near_duplicate_sets(hashes: Sequence[str], distance: int = DISTANCE) -> NDArray[np.int64]:
    """Near-duplicates and their near-duplicates in one set: N positions of the first member.

    Sets are transitive: two images may differ by more where others lie between them.
    """
    names, first = np.unique(np.asarray(hashes), return_index=True)
    close = near_duplicate_pairs(names.tolist(), distance)
    pairs = [(int(first[i]), int(first[j])) for i, j in close]
    return unite(len(hashes), pairs, hashes)
