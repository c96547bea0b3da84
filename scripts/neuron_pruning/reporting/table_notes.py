"""The tables as the page shows them: headings, rows of texts and a caption."""

import re
from collections.abc import Iterator
from typing import Any

import pandas as pd

from neuron_pruning.tables.table import Table

FIRST_LINES = 12
UNTRAINED = ", untrained"  # as Tables 5 and 6 mark it
SHARED = {8: ["SVM", "Split", "Accuracy"]}  # columns that become headings of rows
TEXT_COLUMNS = ("Technique", "Compensation", "Split")


def page_table(number: int, rows: pd.DataFrame, table: Table) -> dict[str, Any]:
    """One table; ``rest`` has the lines that the page folds."""
    shown = table.display(rows)
    early = (
        LINES_IN_SIGHT[number](shown)
        if number in LINES_IN_SIGHT
        else pd.Series(True, index=shown.index)
    )
    shared = SHARED.get(number, [])
    inner = shown.drop(columns=shared)
    return {
        "number": number,
        "caption": table.caption(rows),
        "head": list(inner.columns),
        "text_columns": [n for n, name in enumerate(inner.columns) if name in TEXT_COLUMNS],
        "groups": list(groups(shown, shared)),
        "rows": list(texts(inner[early])),
        "rest": list(texts(inner[~early])),
    }


def groups(shown: pd.DataFrame, shared: list[str]) -> Iterator[tuple[str, list[list[str]]]]:
    """Rows below a heading of what they share, so that a narrow page need not repeat it."""
    if not shared:
        return
    for key, found in shown.groupby(shared, sort=False):
        svm, split, accuracy = (str(value) for value in key)
        yield f"{svm}, {split}: accuracy {accuracy}", list(texts(found.drop(columns=shared)))


def first_lines(shown: pd.DataFrame) -> "pd.Series[bool]":
    """The first lines of every network in Table 5; an untrained one goes with its trained one."""
    networks = shown["Network"].str.removesuffix(UNTRAINED)
    return shown.groupby(networks).cumcount() < FIRST_LINES


def trained_lines(shown: pd.DataFrame) -> "pd.Series[bool]":
    """The lines of the trained networks in Table 6."""
    return ~shown["Network"].str.endswith(UNTRAINED)


LINES_IN_SIGHT = {5: first_lines, 6: trained_lines}  # lines that the page does not fold


def texts(rows: pd.DataFrame) -> Iterator[list[str]]:
    """Cells as the page writes them, a dash where there is no figure.

    A cell breaks at most before its brackets.
    """
    for row in rows.to_numpy():
        first, *others = ("–" if pd.isna(cell) else str(cell) for cell in row)
        yield [first, *(re.sub(r" (?![(\[])", "\N{NO-BREAK SPACE}", cell) for cell in others)]
