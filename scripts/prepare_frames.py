"""Decode the images once at one size: whole frames as one array."""

from pathlib import Path

from PIL import Image

from neuron_pruning.core.parquet import read_rows
from neuron_pruning.data.image_arrays import Resize, resize_image, write_array
from neuron_pruning.data.index import upright_rgb
from runtime.job_adapter import TrackedResult, run_job

INDEX_COLUMNS = ["image", "sha256", "width", "height"]


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
    rows = {row["image"]: row for row in read_rows(index, INDEX_COLUMNS)}
    height, width = size

    def look(image: str) -> Image.Image:
        upright = upright_rgb(Path(folder) / image, rows[image]["sha256"])
        return resize_image(upright, (height, width), resize)

    keys = [f"{row['sha256']} {resize}" for row in rows.values()]
    decoded = write_array(array, list(rows), (height, width), look, threads, kept, keys)
    resized = sum((row["width"], row["height"]) != (width, height) for row in rows.values())
    return TrackedResult(metrics={"images": len(rows), "decoded": decoded, "resized": resized})


if "snakemake" in globals():
    run_job(globals()["snakemake"], prepare_frames)
