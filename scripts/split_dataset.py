"""Divide the images into a training, a validation and a test part, per seed."""

import logging
from collections import Counter
from pathlib import Path
from typing import Any

from neuron_pruning.core.errors import UserError
from neuron_pruning.core.parquet import PARTS, read_rows, write_rows
from neuron_pruning.data.split_file import SPLIT_SCHEMA
from neuron_pruning.data.splits import SplitSettings, split_index
from runtime.job_adapter import TrackedResult, run_job


def split_dataset(index: Path, split: Path, seed: int, label: str, **how: Any) -> TrackedResult:
    """Write one row per image.

    ``label`` is the name of the split in the config, ``how`` what ``SplitSettings`` takes.
    """
    settings = SplitSettings(**how)
    try:
        rows = split_index(read_rows(index), settings, seed)
    except UserError as error:
        reason = str(error).removeprefix("split: ")
        raise UserError(f"splits.{label}, seed {seed}: {reason}") from error
    keys = {"seed": seed, "split": label, "protocol": settings.protocol}
    write_rows(split, rows, SPLIT_SCHEMA, keys)
    images = Counter(row["part"] for row in rows)
    there = Counter((row["label"], row["part"]) for row in rows)
    for name in sorted({row["label"] for row in rows}):
        for part in PARTS:
            if images[part] and not there[name, part]:
                logging.warning("class %s has no image in the %s part", name, part)
    return TrackedResult(metrics={f"{part}_images": images[part] for part in PARTS if images[part]})


if "snakemake" in globals():
    run_job(globals()["snakemake"], split_dataset)
