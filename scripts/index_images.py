"""List a folder of class folders and look at every image once: index and audit."""

import logging
from pathlib import Path

from neuron_pruning.core.parquet import write_rows
from neuron_pruning.data.image_folder import (
    ignored_files,
    list_ignored,
    list_unused,
    unused_images,
)
from neuron_pruning.data.index import (
    AUDIT_SCHEMA,
    INDEX_SCHEMA,
    OnBadImage,
    audit_images,
    index_images,
    plain_images,
    skipped_files,
)
from runtime.job_adapter import TrackedResult, run_job, warn


def index_dataset(
    index: Path,
    audit: Path,
    folder: str | Path,
    on_bad_image: OnBadImage,
    kept: Path,
    fingerprint: str = "",
    threads: int = 1,
) -> TrackedResult:
    """Write index and audit; ``fingerprint`` is there to rerun when the images change."""
    rows, bad = index_images(Path(folder), on_bad_image, threads, kept)
    for image in bad:
        logging.warning("skipped %s: %s", image.image, image.reason)
    ignored, unused = list_ignored(Path(folder)), list_unused(Path(folder))
    told = (skipped_files(bad), unused_images(unused), ignored_files(ignored), plain_images(rows))
    for line in filter(None, told):
        warn(f"{line}; see {audit}")
    write_rows(index, rows, INDEX_SCHEMA)
    write_rows(audit, audit_images(rows, bad, ignored, unused), AUDIT_SCHEMA)
    return TrackedResult(metrics={"images": len(rows), "skipped": len(bad)})


if "snakemake" in globals():
    run_job(globals()["snakemake"], index_dataset)
