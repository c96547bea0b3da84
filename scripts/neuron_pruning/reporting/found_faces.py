"""What the face detection found, in numbers and pictures."""

from collections.abc import Mapping, Sequence
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
    folder: Path | None,
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
        "sheet": None if folder is None else sheet(boxes, folder, size, margin),
    }


def rules_found(boxes: pd.DataFrame) -> dict[str, Any]:
    """Images with a given box, images searched for a face, and those by rule, most first."""
    rules = boxes["rule"].value_counts(sort=False)
    ordered = sorted(rules.items(), key=lambda item: (-item[1], str(item[0])))
    found = {str(rule): int(number) for rule, number in ordered}
    given, missed = found.pop(GIVEN, 0), found.pop(CENTRE, 0)
    return {"given": given, "missed": missed, "searched": len(boxes) - given, "rules": found}


def faces_by_class(boxes: pd.DataFrame) -> dict[str, Any]:
    """One row per class: its images and those by every rule, as texts."""
    counts = pd.crosstab(boxes["label"], boxes["rule"])
    rules = counts.sum().sort_values(ascending=False, kind="stable").index
    return {
        "head": ["Class", "Images", *(str(rule).capitalize() for rule in rules)],
        "rows": [
            [str(label), str(row.sum()), *(str(row[rule]) for rule in rules)]
            for label, row in counts.iterrows()
        ],
    }


def sheet(boxes: pd.DataFrame, folder: Path, size: Sequence[int], margin: float) -> dict[str, Any]:
    """Frames with their boxes, and the cropped faces, of some images of every rule."""
    picked = pick_examples(as_dicts(boxes))
    rules = dict.fromkeys(str(row["rule"]) for row in picked)
    examples = (
        (upright_rgb(folder / row["image"]), box_of(row), str(row["image"])) for row in picked
    )
    return {
        "data": contact_sheet(examples, SHEET_COLUMNS, size, margin),
        "images": len(picked),
        "rules": {rule: MARKS.get(rule, OTHER).letter for rule in rules},
    }


def box_of(row: Mapping[str, Any]) -> FaceBox:
    """The box of a row of boxes.parquet."""
    return FaceBox(**{field.name: row[field.name] for field in fields(FaceBox)})
