"""Find the main face of every image."""

from collections import Counter
from pathlib import Path

from neuron_pruning.core.parquet import read_rows, write_rows
from neuron_pruning.data import face_detection
from neuron_pruning.data.face_crops import BOXES_SCHEMA, read_given_boxes
from runtime.job_adapter import TrackedResult, run_job


def find_faces(
    index: Path, boxes: Path, folder: str | Path, given: str | None, kept: Path, threads: int = 1
) -> TrackedResult:
    """Write one box per image; those of the file ``given`` are taken as they are, but levelled."""
    images = read_rows(index, ["image", "label", "sha256", "width", "height"])
    sizes = {image["image"]: (image["width"], image["height"]) for image in images}
    known = read_given_boxes(Path(given), sizes) if given else {}
    rows = face_detection.find_faces(images, Path(folder), known, kept, threads)
    write_rows(boxes, rows, BOXES_SCHEMA)
    rules = Counter(f"faces_{row['rule'].replace(' ', '_')}" for row in rows)
    return TrackedResult(metrics=dict(sorted(rules.items())))


if "snakemake" in globals():
    run_job(globals()["snakemake"], find_faces)
