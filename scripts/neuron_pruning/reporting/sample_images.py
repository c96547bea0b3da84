"""Test images with the predictions of the networks."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from neuron_pruning.core.parquet import as_dicts
from neuron_pruning.reporting.results import Results

THUMBNAIL = (240, 192)  # pixels at most: sharp at the size shown, a few kB each


def samples(results: Results, array: Path) -> Iterator[dict[str, Any]]:
    """Test images of the first seed with the rows that predict each, one per trained network."""
    rows = results.trained[results.trained["part"] == "test"]
    rows = rows[rows["seed"] == results.predictions["seed"].iloc[0]]
    labels = rows.drop_duplicates("position").set_index("position")["label"]
    pixels = np.load(array, mmap_mode="r")
    for position in spread_over_classes(labels, results.config["report"]["sample_images"]):
        predictions = as_dicts(rows[rows["position"] == position])
        yield {"data": thumbnail(pixels[position]), "predictions": predictions}


def spread_over_classes(labels: pd.Series, number: int) -> list[int]:
    """Positions in turns over the classes, each class from its first image to its last.

    Args:
        labels: class by position.
        number: how many; fewer where there are fewer images.
    """
    turn = labels.groupby(labels).cumcount()
    order = pd.DataFrame({"turn": turn, "label": labels}).sort_values(["turn", "label"])
    return sorted(order.index[:number], key=lambda position: (labels[position], position))


def thumbnail(pixels: NDArray[np.uint8]) -> str:
    """JPEG of an image, height x width x 3, as a data URI."""
    image = Image.fromarray(np.asarray(pixels))
    image.thumbnail(THUMBNAIL)
    return data_uri(image, quality=82)


def data_uri(image: Image.Image, **options: Any) -> str:
    """An image as a JPEG in text; ``options`` are Pillow's."""
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", **options)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
