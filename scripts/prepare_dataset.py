"""Decode a folder of class folders once: array, index and audit."""

import logging
from dataclasses import asdict
from pathlib import Path

from adapter import Mirrored, run_job
from neuron_pruning.dataset import (
    AUDIT_SCHEMA,
    INDEX_SCHEMA,
    DatasetSettings,
    audit_images,
    list_ignored,
    prepare_images,
)
from neuron_pruning.records import write_rows


def prepare_dataset(
    array: Path,
    index: Path,
    audit: Path,
    folder: str | Path,
    input_size: list[int],
    resize: str,
    on_bad_image: str,
    fingerprint: str = "",
    threads: int = 1,
) -> Mirrored:
    """Write the images as one array; ``fingerprint`` is there to rerun when the folder changes."""
    settings = DatasetSettings((input_size[0], input_size[1]), resize, on_bad_image)
    records, bad = prepare_images(Path(folder), array, settings, threads)
    for image in bad:
        logging.warning("skipped %s: %s", image.image, image.reason)
    write_rows(index, map(asdict, records), INDEX_SCHEMA)
    write_rows(
        audit, audit_images(records, bad, settings, list_ignored(Path(folder))), AUDIT_SCHEMA
    )
    return Mirrored(metrics={"images": len(records), "skipped": len(bad)})


if "snakemake" in globals():
    run_job(snakemake, prepare_dataset)  # noqa: F821
