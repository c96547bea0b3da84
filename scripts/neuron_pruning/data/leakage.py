"""Leakage between the parts of a split: movies, clips, groups or pictures on both sides."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from neuron_pruning.core.errors import UserError
from neuron_pruning.core.parquet import PARTS, column, schema
from neuron_pruning.data.near_duplicates import DISTANCE, near_duplicate_sets, unite

INSEPARABLE = ("group", "byte-identical", "near-identical")
PROMISED = {"movie": ("movie", *INSEPARABLE), "clip": ("clip", *INSEPARABLE), "group": INSEPARABLE}
"""Checks of which no set may lie in two parts, by protocol."""

LEAKAGE_SCHEMA = schema(
    column("split", pa.string(), "name of the split in the config"),
    column("protocol", pa.string(), "random, stratified, clip, movie, group or list"),
    column("seed", pa.int64(), "seed of the split"),
    column(
        "check", pa.string(), "what the images of a set share: movie, clip, group, byte-identical, "
        "near-identical; class: images of the class, no sets"
    ),
    column("subject", pa.string(), "the class where the check is class, else empty"),
    column("sets", pa.int64(), "sets of two or more images; null for a class"),
    column("leaking_sets", pa.int64(), "sets with images in two or three parts; null for a class"),
    column("train_images", pa.int64(), "training images of the class; null for sets", "images"),
    column(
        "validation_images", pa.int64(), "validation images with another of their set in the "
        "training part, or of the class", "images"
    ),
    column(
        "test_images", pa.int64(), "test images with another of their set in the training or "
        "validation part, or of the class", "images"
    ),
    column("train_total", pa.int64(), "images of the training part", "images"),
    column("validation_total", pa.int64(), "images of the validation part", "images"),
    column("test_total", pa.int64(), "images of the test part", "images"),
    run=False,
)  # fmt: skip


def shared_sets(
    index: Sequence[Mapping[str, Any]], distance: int | None = DISTANCE
) -> dict[str, dict[str, int]]:
    """Number of the set of every image, by check; group and class are left out.

    ``distance`` is that of near-duplicates; None: they are not looked for.
    """
    images = [row["image"] for row in index]
    numbers = {
        "movie": _numbers([row["movie"] for row in index]),
        "clip": _numbers([row["clip"] for row in index]),
        "byte-identical": _numbers([row["sha256"] for row in index]),
    }
    if distance is not None:
        hashes = [row["perceptual_hash"] for row in index]
        numbers["near-identical"] = near_duplicate_sets(hashes, distance)
    return {
        check: dict(zip(images, found.tolist(), strict=True)) for check, found in numbers.items()
    }


def _numbers(names: Sequence[str]) -> NDArray[np.int64]:
    return unite(len(names), [], names)


def audit_split(
    rows: Sequence[Mapping[str, Any]], shared: Mapping[str, Mapping[str, int]]
) -> list[dict[str, Any]]:
    """Rows of the audit for one split file.

    A relative in the validation part counts for a test image as one in the training part does:
    it influences the selection.

    Args:
        rows: Rows of the split file.
        shared: What ``shared_sets`` returns.
    """
    parts = [row["part"] for row in rows]
    keys = {name: rows[0][name] for name in ("split", "protocol", "seed")}
    totals = {f"{part}_total": parts.count(part) for part in PARTS}
    sets = {check: [of[row["image"]] for row in rows] for check, of in shared.items()}
    sets["group"] = _numbers([row["group"] for row in rows]).tolist()
    found = [{"check": check, "subject": "", **_count_leaks(s, parts)} for check, s in sets.items()]
    found += _class_counts(rows)
    return [{**keys, **row, **totals} for row in found]


def _count_leaks(sets: Sequence[int], parts: Sequence[str]) -> dict[str, int | None]:
    """Numbers of the sets that lie in more than one part, and of their images."""
    members: dict[int, Counter[str]] = defaultdict(Counter)
    for number, part in zip(sets, parts, strict=True):
        members[number][part] += 1
    leaking = [count for count in members.values() if len(count) > 1]
    return {
        "sets": sum(count.total() > 1 for count in members.values()),
        "leaking_sets": len(leaking),
        "train_images": None,
        "validation_images": sum(count["validation"] for count in leaking if "train" in count),
        "test_images": sum(count["test"] for count in leaking),
    }


def _class_counts(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    count = Counter((row["label"], row["part"]) for row in rows)
    return [
        {
            "check": "class",
            "subject": label,
            "sets": None,
            "leaking_sets": None,
            **{f"{part}_images": count[label, part] for part in PARTS},
        }
        for label in sorted({row["label"] for row in rows})
    ]


def check_promises(rows: Iterable[Mapping[str, Any]]) -> None:
    """Refuse sets in two parts that the protocol keeps apart.

    Raises:
        UserError: a set is in two parts.
    """
    for row in rows:
        if row["check"] in PROMISED.get(row["protocol"], ()) and row["leaking_sets"]:
            raise UserError(
                f"split {row['split']}, seed {row['seed']}: {row['leaking_sets']} of {row['sets']} "
                f"{row['check']} sets lie in two parts, which the protocol {row['protocol']} "
                "rules out; the split belongs to another index, delete it and run again"
            )
