"""Divide the images into a training, a validation and a test part, per seed."""

import logging
from collections import Counter
from pathlib import Path

from neuron_pruning.core.errors import UserError
from neuron_pruning.core.parquet import PARTS, read_rows, write_rows
from neuron_pruning.data.near_duplicates import DISTANCE
from neuron_pruning.data.split_file import SPLIT_SCHEMA
from neuron_pruning.data.splits import Protocol, SplitSettings, split_index
from runtime.job_adapter import TrackedResult, run_job


def split_dataset(
    index: Path,
    split: Path,
    seed: int,
    label: str,
    protocol: Protocol = "random",
    test_fraction: float = 0.2,
    validation_fraction: float = 0.0,
    folds: int | None = None,
    file: str | Path | None = None,
    column: str | None = None,
    near_duplicate_distance: int | None = DISTANCE,
) -> TrackedResult:
    """Write one row per image; ``label`` is the name of the split in the config."""
    listed = None if file is None else str(file)
    fractions = test_fraction, validation_fraction
    settings = SplitSettings(protocol, *fractions, folds, listed, column, near_duplicate_distance)
    try:
        rows = split_index(read_rows(index), settings, seed)
    except UserError as error:
        reason = str(error).removeprefix("split: ")
        raise UserError(f"splits.{label}, seed {seed}: {reason}") from error
    write_rows(split, rows, SPLIT_SCHEMA, {"seed": seed, "split": label, "protocol": protocol})
    images = Counter(row["part"] for row in rows)
    present = [part for part in PARTS if images[part]]
    there = {(row["label"], row["part"]) for row in rows}
    for name in sorted({row["label"] for row in rows}):
        for part in (part for part in present if (name, part) not in there):
            logging.warning("class %s has no image in the %s part", name, part)
    return TrackedResult(metrics={f"{part}_images": images[part] for part in present})


if "snakemake" in globals():
    run_job(globals()["snakemake"], split_dataset)
