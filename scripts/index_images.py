"""List a folder of class folders and look at every image once: index and audit."""

import logging
from pathlib import Path

from neuron_pruning.core.parquet import write_rows
from neuron_pruning.data.index import (
    AUDIT_SCHEMA,
    INDEX_SCHEMA,
    OnBadImage,
    audit_images,
    index_images,
    list_ignored,
)
from runtime.job_adapter import TrackedResult, run_job


def index_dataset(
    index: Path,
    audit: Path,
    folder: str | Path,
    on_bad_image: OnBadImage,
    kept: Path,
    fingerprint: str = "",
    threads: int = 1,
) -> TrackedResult:
    """Write index and audit; ``fingerprint`` is there to rerun when the folder changes."""
    rows, bad = index_images(Path(folder), on_bad_image, threads, kept)
    for image in bad:
        logging.warning("skipped %s: %s", image.image, image.reason)
    write_rows(index, rows, INDEX_SCHEMA)
    write_rows(audit, audit_images(rows, bad, list_ignored(Path(folder))), AUDIT_SCHEMA)
    return TrackedResult(metrics={"images": len(rows), "skipped": len(bad)})


if "snakemake" in globals():
    run_job(globals()["snakemake"], index_dataset)
