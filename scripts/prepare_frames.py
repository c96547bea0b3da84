"""Decode the images once at one size: whole frames as one array."""

from pathlib import Path

from adapter import Mirrored, run_job
from neuron_pruning.dataset import upright_rgb
from neuron_pruning.records import read_rows
from neuron_pruning.views import resize_image, write_array


def prepare_frames(
    index: Path,
    array: Path,
    folder: str | Path,
    size: list[int],
    resize: str,
    threads: int = 1,
) -> Mirrored:
    """Write the array."""
    rows = read_rows(index, ["image", "width", "height"])
    height, width = size
    write_array(
        array,
        [row["image"] for row in rows],
        (height, width),
        lambda image: resize_image(upright_rgb(Path(folder) / image), (height, width), resize),
        threads,
    )
    resized = sum((row["width"], row["height"]) != (width, height) for row in rows)
    return Mirrored(metrics={"images": len(rows), "resized": resized})


if "snakemake" in globals():
    run_job(snakemake, prepare_frames)  # noqa: F821
