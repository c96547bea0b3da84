"""Where the faces are: one box per image."""

from dataclasses import dataclass, fields
from pathlib import Path

import pyarrow as pa

from neuron_pruning.core.parquet import column, read_rows, schema

BOXES_SCHEMA = schema(
    column("image", pa.string(), "file, relative to the folder of class folders"),
    column("label", pa.string(), "class folder"),
    column("x", pa.float64(), "left edge of the face in the upright image", "pixels"),
    column("y", pa.float64(), "upper edge of the face in the upright image", "pixels"),
    column("width", pa.float64(), "width of the face", "pixels"),
    column("height", pa.float64(), "height of the face", "pixels"),
    column("angle", pa.float64(), "clockwise roll; 0 unless both eyes were found", "degrees"),
    column("rule", pa.string(), "first detector to find it alone, together, given or centre"),
    column("score", pa.float64(), "votes of the windows that agree", "votes"),
    column("image_width", pa.int64(), "width of the upright image", "pixels"),
    column("image_height", pa.int64(), "height of the upright image", "pixels"),
    run=False,
)


@dataclass(frozen=True)
class FaceBox:
    """A face in pixels of the upright image; ``angle`` is its clockwise roll in degrees."""

    x: float
    y: float
    width: float
    height: float
    angle: float
    rule: str
    score: float


def read_boxes(path: Path) -> dict[str, FaceBox]:
    """Box of every image by its name in the index."""
    names = [field.name for field in fields(FaceBox)]
    rows = read_rows(path, ["image", *names])
    return {row["image"]: FaceBox(*(row[name] for name in names)) for row in rows}
