"""What the face detection found, in words and pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd

from neuron_pruning.data.face_boxes import FaceBox
from neuron_pruning.data.index import upright_rgb
from neuron_pruning.reporting.contact_sheet import (
    CENTRE,
    MARKS,
    OTHER,
    contact_sheet,
    pick_examples,
)
from neuron_pruning.reporting.results import as_dicts

GIVEN = "given"  # the rule of boxes that a CSV states
COLUMNS = 3  # of the contact sheet: its text is legible at the width of the page


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
        "sentence": found_sentence(boxes),
        "table": faces_by_class(boxes),
        "sheet": None if folder is None else sheet(boxes, folder, size, margin),
    }


def found_sentence(boxes: pd.DataFrame) -> str:
    """How many faces were found, and by which rule; the commonest first.

    Args:
        boxes: rows of boxes.parquet.
    """
    rules = boxes["rule"].value_counts(sort=False)
    ordered = sorted(rules.items(), key=lambda item: (-item[1], str(item[0])))
    found = {str(rule): int(number) for rule, number in ordered}
    given, missed = found.pop(GIVEN, 0), found.pop(CENTRE, 0)
    searched = len(boxes) - given
    parts = []
    if given:
        parts.append(f"{_images(given)} came with a face box.")
    if searched:
        parts.append(_searched(found, searched, missed))
    return " ".join(parts)


def _searched(found: Mapping[str, int], searched: int, missed: int) -> str:
    """About the images in which the detectors looked for a face."""
    listed = ", ".join(f"{number} by the rule {rule}" for rule, number in found.items())
    share = f"{100 * (searched - missed) / searched:.1f}\N{NO-BREAK SPACE}%"
    how = f": {listed}" if found else ""
    others = "one" if missed == 1 else str(missed)
    rest = f"; in the other {others} the centre of the image stands in for it" if missed else ""
    return f"A face was found in {searched - missed} of {_images(searched)} ({share}){how}{rest}."


def _images(number: int) -> str:
    return "1 image" if number == 1 else f"{number} images"


def faces_by_class(boxes: pd.DataFrame) -> dict[str, Any]:
    """A row a class: its images and those by every rule, as texts."""
    counts = pd.crosstab(boxes["label"], boxes["rule"])
    rules = counts.sum().sort_values(ascending=False, kind="stable").index
    return {
        "head": ["Class", "Images", *(str(rule).capitalize() for rule in rules)],
        "words": [],
        "rows": [
            [str(label), str(row.sum()), *(str(row[rule]) for rule in rules)]
            for label, row in counts.iterrows()
        ],
    }


def sheet(boxes: pd.DataFrame, folder: Path, size: Sequence[int], margin: float) -> dict[str, str]:
    """Frames with their boxes, and what is cut out of them, of some images of every rule."""
    picked = pick_examples(as_dicts(boxes))
    rules = list(dict.fromkeys(str(row["rule"]) for row in picked))
    named = ", ".join(f"{MARKS.get(rule, OTHER).letter} {rule}" for rule in rules)
    examples = (
        (upright_rgb(folder / row["image"]), box_of(row), str(row["image"])) for row in picked
    )
    return {
        "data": contact_sheet(examples, COLUMNS, size, margin),
        "description": f"Contact sheet: {_images(len(picked))} with the box of the face and the "
        f"face as it is cut out, by rule: {named}",
        "caption": "Frames with the box of the face, and beside each the face as it is cut out: "
        "of every rule some from the fewest votes to the most, so that its doubtful ones are among "
        f"them. {named}.",
    }


def box_of(row: Mapping[str, Any]) -> FaceBox:
    """The box of a row of boxes.parquet."""
    return FaceBox(**{field.name: row[field.name] for field in fields(FaceBox)})
