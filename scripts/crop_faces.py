"""Cut the faces out of the images at one size: one array."""

from pathlib import Path

from PIL import Image

from neuron_pruning.core.parquet import read_rows
from neuron_pruning.data.face_boxes import read_boxes
from neuron_pruning.data.face_crops import crop_face
from neuron_pruning.data.image_arrays import write_array
from neuron_pruning.data.index import upright_rgb
from runtime.job_adapter import TrackedResult, run_job


def crop_faces(
    index: Path,
    boxes: Path,
    array: Path,
    folder: str | Path,
    size: list[int],
    margin: float,
    kept: Path,
    threads: int = 1,
) -> TrackedResult:
    """Write the array; faces of an earlier one, in ``kept``, are not cut out again."""
    hashes = {row["image"]: row["sha256"] for row in read_rows(index, ["image", "sha256"])}
    faces = read_boxes(boxes)
    height, width = size

    def crop(image: str) -> Image.Image:
        upright = upright_rgb(Path(folder) / image, hashes[image])
        return crop_face(upright, faces[image], (height, width), margin)

    keys = [f"{sha256} {faces[image]} {margin}" for image, sha256 in hashes.items()]
    decoded = write_array(array, list(hashes), (height, width), crop, threads, kept, keys)
    return TrackedResult(metrics={"images": len(hashes), "decoded": decoded})


if "snakemake" in globals():
    run_job(globals()["snakemake"], crop_faces)
