"""Decode the images once at one size: whole frames as one array."""

from pathlib import Path

import numpy as np

from neuron_pruning.core.array_store import Pixels, write_rows_of
from neuron_pruning.core.parquet import read_rows
from neuron_pruning.data.index import Resize, resize_image, upright_rgb
from runtime.job_adapter import TrackedResult, run_job


def prepare_frames(
    index: Path,
    array: Path,
    folder: str | Path,
    size: list[int],
    resize: Resize,
    kept: Path,
    threads: int = 1,
) -> TrackedResult:
    """Write the array; images of an earlier one, in ``kept``, are not decoded again."""
    rows = read_rows(index, ["image", "sha256", "width", "height"])
    height, width = size

    def look(place: int) -> Pixels:
        upright = upright_rgb(Path(folder) / rows[place]["image"], rows[place]["sha256"])
        return np.asarray(resize_image(upright, (height, width), resize))

    keys = [f"{row['sha256']} {resize}" for row in rows]
    decoded = write_rows_of(array, keys, (height, width), look, kept, threads)
    resized = sum((row["width"], row["height"]) != (width, height) for row in rows)
    return TrackedResult(metrics={"images": len(rows), "decoded": decoded, "resized": resized})


if "snakemake" in globals():
    run_job(globals()["snakemake"], prepare_frames)
