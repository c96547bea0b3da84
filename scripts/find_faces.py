"""Find the main face of every image."""

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from adapter import Mirrored, run_job
from neuron_pruning.boxes import BOXES_SCHEMA, FaceBox
from neuron_pruning.dataset import upright_rgb
from neuron_pruning.detection import (
    find_face,
    read_given_boxes,
    roll_angle,
)
from neuron_pruning.records import read_rows, write_rows


def find_faces(
    index: Path, boxes: Path, folder: str | Path, given: str | None, threads: int = 1
) -> Mirrored:
    """Write one box an image; those of the file ``given`` are taken as they are."""
    from tqdm import tqdm

    cv2.setNumThreads(1)  # whole images are shared out, which keeps more cores busy
    images = read_rows(index, ["image", "label", "width", "height"])
    sizes = {image["image"]: (image["width"], image["height"]) for image in images}
    known = read_given_boxes(Path(given), sizes) if given else {}
    with ThreadPoolExecutor(threads) as pool:
        found = pool.map(partial(_row, folder=Path(folder), known=known), images)
        rows = list(tqdm(found, total=len(images), desc="faces", disable=None, leave=False))
    write_rows(boxes, rows, BOXES_SCHEMA)
    rules = Counter(row["rule"].replace(" ", "_") for row in rows)
    return Mirrored(metrics={f"faces_{rule}": count for rule, count in sorted(rules.items())})


def _row(
    image: Mapping[str, Any], folder: Path, known: Mapping[str, FaceBox]
) -> dict[str, str | int | float]:
    pixels = np.asarray(upright_rgb(folder / image["image"]))
    box = known.get(image["image"])
    box = find_face(pixels) if box is None else replace(box, angle=roll_angle(pixels, box))
    height, width = pixels.shape[:2]
    names = {"image": image["image"], "label": image["label"]}
    return {**names, **asdict(box), "image_width": width, "image_height": height}


if "snakemake" in globals():
    run_job(snakemake, find_faces)  # noqa: F821
