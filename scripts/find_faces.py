"""Find the main face of every image."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from neuron_pruning.core.parquet import read_rows, write_rows
from neuron_pruning.core.row_cache import rows_by_key
from neuron_pruning.data.face_boxes import BOXES_SCHEMA, FaceBox
from neuron_pruning.data.face_detection import (
    find_face,
    read_given_boxes,
    roll_angle,
)
from neuron_pruning.data.index import upright_rgb
from runtime.job_adapter import TrackedResult, run_job


def find_faces(
    index: Path, boxes: Path, folder: str | Path, given: str | None, kept: Path, threads: int = 1
) -> TrackedResult:
    """Write one box per image; those of the file ``given`` are taken as they are.

    Images that an earlier run searched, in ``kept``, are not searched again.
    """
    from tqdm import tqdm

    cv2.setNumThreads(1)  # whole images are shared out, which keeps more cores busy
    images = read_rows(index, ["image", "label", "sha256", "width", "height"])
    sizes = {image["image"]: (image["width"], image["height"]) for image in images}
    known = read_given_boxes(Path(given), sizes) if given else {}
    items = {f"{i['image']} {i['sha256']} {known.get(i['image'])}": i for i in images}
    with tqdm(total=len(images), desc="faces", disable=None, leave=False) as progress:

        def look(image: Mapping[str, Any]) -> dict[str, str | int | float]:
            row = _row(image, Path(folder), known)
            progress.update()
            return row

        found = [row for _, row in rows_by_key(items, look, kept, threads)]
    rows = [row for row in found if row is not None]
    write_rows(boxes, rows, BOXES_SCHEMA)
    rules = Counter(row["rule"].replace(" ", "_") for row in rows)
    return TrackedResult(metrics={f"faces_{rule}": count for rule, count in sorted(rules.items())})


def _row(
    image: Mapping[str, Any], folder: Path, known: Mapping[str, FaceBox]
) -> dict[str, str | int | float]:
    pixels = np.asarray(upright_rgb(folder / image["image"], image["sha256"]))
    box = known.get(image["image"])
    box = find_face(pixels) if box is None else replace(box, angle=roll_angle(pixels, box))
    height, width = pixels.shape[:2]
    names = {"image": image["image"], "label": image["label"]}
    return {**names, **asdict(box), "image_width": width, "image_height": height}


if "snakemake" in globals():
    run_job(globals()["snakemake"], find_faces)
