"""Relatives of test images among the images that a network learned from, split by split."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from neuron_pruning.data.leakage import SAID, crossing_sentence
from neuron_pruning.reporting.evidence import unbroken
from neuron_pruning.reporting.results import as_dicts

HEADINGS = {
    "clip": "Same clip",
    "movie": "Same movie",
    "near-identical": "Near-identical",
    "byte-identical": "Byte-identical",
}
PARTS = {"train": "Training", "validation": "Validation", "test": "Test"}
NO_RELATIVES = (
    "No two images are of one clip or movie or look the same, so that no split can part any."
)


def kinship(crossings: pd.DataFrame) -> dict[str, Any]:
    """A sentence a split, and the same as a table."""
    return {
        "sentence": unbroken(crossing_sentence(as_dicts(crossings))) or NO_RELATIVES,
        "table": kinship_table(crossings),
    }


def kinship_table(crossings: pd.DataFrame) -> dict[str, Any]:
    """A row a split: sizes of its parts, and test images with a relative; means over seeds."""
    checks = [check for check in SAID if crossings.loc[_about(crossings, check), "sets"].any()]
    shown = {"train", "test"} | ({"validation"} if crossings["validation_total"].any() else set())
    parts = [part for part in PARTS if part in shown]
    return {
        "head": ["Split", "Protocol", *(PARTS[p] for p in parts), *(HEADINGS[c] for c in checks)],
        "words": [1],
        "rows": [
            _row(str(split), rows, parts, checks)
            for split, rows in crossings.groupby("split", sort=False)
        ],
    }


def _row(split: str, rows: pd.DataFrame, parts: Sequence[str], checks: Sequence[str]) -> list[str]:
    sizes = [f"{rows[f'{part}_total'].mean():.0f}" for part in parts]
    found = [rows[_about(rows, check)] for check in checks]
    return [split, rows["protocol"].iloc[0], *sizes, *map(_images, found)]


def _images(rows: pd.DataFrame) -> str:
    """``61 (45 %)`` of the test images; a dash where nothing of the kind was looked for."""
    if rows.empty:
        return "–"
    images, total = rows["test_images"].mean(), rows["test_total"].mean()
    figure = f"{images:.0f}" if images >= 10 or images == round(images) else f"{images:.1f}"
    return f"{figure} ({100 * images / total:.0f}\N{NO-BREAK SPACE}%)"


def _about(rows: pd.DataFrame, check: str) -> "pd.Series[bool]":
    return rows["check"] == check
