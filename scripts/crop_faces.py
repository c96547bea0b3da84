"""Cut the faces out of the images at one size: one array."""

from pathlib import Path

from PIL import Image

from adapter import Mirrored, run_job
from neuron_pruning.boxes import read_boxes
from neuron_pruning.cropping import crop_face
from neuron_pruning.dataset import upright_rgb
from neuron_pruning.records import read_rows
from neuron_pruning.views import write_array


def crop_faces(
    index: Path,
    boxes: Path,
    array: Path,
    folder: str | Path,
    size: list[int],
    margin: float,
    threads: int = 1,
) -> Mirrored:
    """Write the array."""
    images = [row["image"] for row in read_rows(index, ["image"])]
    faces = read_boxes(boxes)
    height, width = size

    def crop(image: str) -> Image.Image:
        return crop_face(upright_rgb(Path(folder) / image), faces[image], (height, width), margin)

    write_array(array, images, (height, width), crop, threads)
    return Mirrored(metrics={"images": len(images)})


if "snakemake" in globals():
    run_job(snakemake, crop_faces)  # noqa: F821
