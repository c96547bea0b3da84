"""Cut the faces out of the images at one size: one array."""

from pathlib import Path

import numpy as np

from neuron_pruning.core.array_store import Pixels, write_rows_of
from neuron_pruning.core.parquet import read_rows
from neuron_pruning.data.face_crops import crop_face, read_boxes
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
    rows, faces = read_rows(index, ["image", "sha256"]), read_boxes(boxes)
    height, width = size

    def look(place: int) -> Pixels:
        image = rows[place]["image"]
        upright = upright_rgb(Path(folder) / image, rows[place]["sha256"])
        return np.asarray(crop_face(upright, faces[image], (height, width), margin))

    keys = [f"{row['sha256']} {faces[row['image']]} {margin}" for row in rows]
    decoded = write_rows_of(array, keys, (height, width), look, kept, threads)
    return TrackedResult(metrics={"images": len(rows), "decoded": decoded})


if "snakemake" in globals():
    run_job(globals()["snakemake"], crop_faces)
