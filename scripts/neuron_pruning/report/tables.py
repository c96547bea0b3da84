"""The tables as the page shows them: headings, rows of texts and a caption."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from neuron_pruning.report.results import display_name
from neuron_pruning.tables import over_seeds

Display = Callable[[pd.DataFrame], pd.DataFrame]
FIRST_LINES = 12
UNTRAINED = ", untrained"  # as Tables 5 and 6 mark it
WORDS = ("Technique", "Compensation")  # columns of text
COMPARISONS = {
    5: "Techniques at equal numbers of removed units, by rank: test accuracy in percent after so "
    "many units went, in brackets the paired difference in points from random removal with the "
    "same compensation, or without where random removal cannot have it. Free: units that go for "
    "less than one point.",
    6: "Compensations of distinctiveness: test accuracy in percent, in brackets the paired "
    "differences in points from no compensation and from random removal of as many units.",
}


def page_table(number: int, rows: pd.DataFrame, display: Display) -> dict[str, Any]:
    """One table; ``rest`` has the lines that the page folds."""
    shown = display(rows)
    early = FOLDS[number](shown) if number in FOLDS else pd.Series(True, index=shown.index)
    return {
        "number": number,
        "caption": caption(number, rows),
        "head": list(shown.columns),
        "words": [place for place, name in enumerate(shown.columns) if name in WORDS],
        "rows": list(texts(shown[early])),
        "rest": list(texts(shown[~early])),
    }


def caption(number: int, rows: pd.DataFrame) -> str:
    """What the figures of a table are."""
    figures = over_seeds(rows["seeds"].max())
    if number in COMPARISONS:
        return f"{COMPARISONS[number]} Figures are {figures}."
    name = display_name(rows.iloc[0]["model"])
    captions = {
        1: "Train and test accuracy of every setting in percent; * marks the selected ones.",
        4: "Units removed from the pruned layer, and test accuracy in percent before and after it.",
    }
    text = captions.get(number, f"Test precision and recall of {name} by class, as shares.")
    return (
        f"{text} Figures are {figures}, {rows['test_images'].max()} test images; the "
        "paper's own stand beside them."
    )


def first_lines(shown: pd.DataFrame) -> "pd.Series[bool]":
    """The first lines of every network in Table 5; an untrained one goes with its trained one."""
    networks = shown["Network"].str.removesuffix(UNTRAINED)
    return shown.groupby(networks).cumcount() < FIRST_LINES


def trained_lines(shown: pd.DataFrame) -> "pd.Series[bool]":
    """The lines of the trained networks in Table 6."""
    return ~shown["Network"].str.endswith(UNTRAINED)


FOLDS = {5: first_lines, 6: trained_lines}  # what stays in sight


def texts(rows: pd.DataFrame) -> Iterator[list[str]]:
    """Cells as the page writes them, a dash where there is no figure.

    A cell breaks at most before its bracket.
    """
    for row in rows.to_numpy():
        first, *others = ("–" if pd.isna(cell) else str(cell) for cell in row)
        yield [first, *(re.sub(r" (?!\()", "\N{NO-BREAK SPACE}", cell) for cell in others)]
