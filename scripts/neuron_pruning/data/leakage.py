"""Leakage between the parts of a split: movies, clips, groups or pictures on both sides."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from neuron_pruning.core.errors import UserError
from neuron_pruning.core.parquet import PARTS, column, schema
from neuron_pruning.data.near_duplicates import DISTANCE, near_duplicate_sets

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
) -> dict[str, dict[str, Any]]:
    """What names the set of every image, by check; group and class are left out.

    ``distance`` is that of near-duplicates; None: they are not looked for.
    """
    sources = {"movie": "movie", "clip": "clip", "byte-identical": "sha256"}
    sets = {check: [row[source] for row in index] for check, source in sources.items()}
    if distance is not None:
        hashes = [row["perceptual_hash"] for row in index]
        sets["near-identical"] = near_duplicate_sets(hashes, distance).tolist()
    images = [row["image"] for row in index]
    return {check: dict(zip(images, found, strict=True)) for check, found in sets.items()}


def audit_split(
    rows: Sequence[Mapping[str, Any]], shared: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Rows of the audit for one split file; ``shared`` is what ``shared_sets`` returns.

    A relative in the validation part counts for a test image as one in the training part does:
    it influences the selection.
    """
    parts = [row["part"] for row in rows]
    keys = {name: rows[0][name] for name in ("split", "protocol", "seed")}
    totals = {f"{part}_total": parts.count(part) for part in PARTS}
    sets = {check: [of[row["image"]] for row in rows] for check, of in shared.items()}
    sets["group"] = [row["group"] for row in rows]
    found: list[dict[str, Any]] = [
        {"check": check, "subject": "", **_count_leaks(its, parts)} for check, its in sets.items()
    ]
    classes = Counter((row["label"], row["part"]) for row in rows)
    for label in sorted({row["label"] for row in rows}):
        counts = {f"{part}_images": classes[label, part] for part in PARTS}
        found.append(
            {"check": "class", "subject": label, "sets": None, "leaking_sets": None, **counts}
        )
    return [{**keys, **row, **totals} for row in found]


def _count_leaks(sets: Sequence[Any], parts: Sequence[str]) -> dict[str, int | None]:
    """Numbers of the sets that lie in more than one part, and of their images."""
    members: dict[Any, Counter[str]] = defaultdict(Counter)
    for name, part in zip(sets, parts, strict=True):
        members[name][part] += 1
    leaking = [count for count in members.values() if len(count) > 1]
    return {
        "sets": sum(count.total() > 1 for count in members.values()),
        "leaking_sets": len(leaking),
        "train_images": None,
        "validation_images": sum(count["validation"] for count in leaking if "train" in count),
        "test_images": sum(count["test"] for count in leaking),
    }


def check_promises(rows: Iterable[Mapping[str, Any]]) -> None:
    """Refuse sets in two parts that the protocol keeps apart."""
    for row in rows:
        if row["check"] in PROMISED.get(row["protocol"], ()) and row["leaking_sets"]:
            raise UserError(
                f"split {row['split']}, seed {row['seed']}: {row['leaking_sets']} of {row['sets']} "
                f"{row['check']} sets lie in two parts, which the protocol {row['protocol']} "
                "rules out; the split belongs to another index, delete it and run again"
            )
