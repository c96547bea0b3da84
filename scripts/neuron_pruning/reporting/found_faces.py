"""What the face detection found, in numbers and pictures."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd

from neuron_pruning.core.parquet import as_dicts
from neuron_pruning.data.face_crops import FaceBox
from neuron_pruning.data.index import upright_rgb
from neuron_pruning.reporting.contact_sheet import (
    CENTRE,
    MARKS,
    OTHER,
    contact_sheet,
    pick_examples,
)

GIVEN = "given"  # the rule of boxes that a CSV states
SHEET_COLUMNS = 3  # of the contact sheet: its text is legible at the width of the page


def faces_found(
    boxes: pd.DataFrame,
    folder: str | Path | None,
    size: Sequence[int] = (1, 1),
    margin: float = 0.0,
) -> dict[str, Any]:
    """All that the page shows of the detection.

    Args:
        boxes: rows of boxes.parquet.
        folder: which the images lie in; None shows none of them.
        size: height x width that the networks see.
        margin: around the boxes, of their sides.
    """
    return {
        **rules_found(boxes),
        "table": faces_by_class(boxes),
        "sheet": None if folder is None else sheet(boxes, Path(folder), size, margin),
    }


def rules_found(boxes: pd.DataFrame) -> dict[str, Any]:
    """Images with a given box, images searched for a face, and those by rule, most first."""
    found = boxes["rule"].sort_values().value_counts(sort=False)
    rules = found.sort_values(ascending=False, kind="stable").to_dict()
    given, missed = rules.pop(GIVEN, 0), rules.pop(CENTRE, 0)
    return {"given": given, "missed": missed, "searched": len(boxes) - given, "rules": rules}


def faces_by_class(boxes: pd.DataFrame) -> dict[str, Any]:
    """One row per class: its images and those by every rule, as texts."""
    counts = pd.crosstab(boxes["label"], boxes["rule"])
    counts = counts[counts.sum().sort_values(ascending=False, kind="stable").index]
    rows = [[label, row.sum(), *row] for label, row in counts.iterrows()]
    return {
        "head": ["Class", "Images", *counts.columns.str.capitalize()],
        "rows": [[str(cell) for cell in row] for row in rows],
    }


def sheet(boxes: pd.DataFrame, folder: Path, size: Sequence[int], margin: float) -> dict[str, Any]:
    """Frames with their boxes, and the cropped faces, of some images of every rule."""
    picked, names = pick_examples(as_dicts(boxes)), [field.name for field in fields(FaceBox)]
    examples = (
        (
            upright_rgb(folder / row["image"]),
            FaceBox(**{name: row[name] for name in names}),
            row["image"],
        )
        for row in picked
    )
    return {
        "data": contact_sheet(examples, SHEET_COLUMNS, size, margin),
        "images": len(picked),
        "rules": {row["rule"]: MARKS.get(row["rule"], OTHER).letter for row in picked},
    }
