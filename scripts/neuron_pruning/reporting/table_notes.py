"""The tables as the page shows them: headings, rows of texts and a caption."""

from pathlib import Path
from typing import Any

import pandas as pd

from neuron_pruning.core.parquet import read_frame
from neuron_pruning.tables import (
    compensations,
    grid,
    models,
    networks,
    peers,
    per_class,
    pruning,
    running_times,
    svm,
    techniques,
    unit_layers,
)

MODULES = (
    *(grid, per_class, per_class, pruning, techniques, compensations, models, svm),
    *(unit_layers, networks, peers, running_times),
)
TABLES = {number: module.TABLE for number, module in enumerate(MODULES, 1)}
FIRST_LINES = 12  # of every network in Table 5 that the page does not fold
UNTRAINED = ", untrained"  # as Tables 5 and 6 mark it
SHARED = len(svm.SHARED)  # first columns of Table 8, which become headings of its rows
TEXT_COLUMNS = (
    *("Technique", "Compensation", "Batch norm", "Layer", "Kind", "Activation", "By"),
    "Runtime",
)


def read_tables(paths: list[Path]) -> dict[int, pd.DataFrame]:
    """Rows of the tables by number; the classifiers of Table 7 with the names that it shows."""
    found = {int(path.stem.removeprefix("table")): read_frame([path]) for path in paths}
    if 7 in found:
        found[7] = found[7].assign(name=models.names_of(found[7]))
    return found


def page_table(number: int, rows: pd.DataFrame) -> dict[str, Any]:
    """One table: its ``rows``, those of Table 8 in ``groups``; the page folds ``rest``."""
    shown = TABLES[number].display(rows)
    keys = [shown.iloc[:, place] for place in range(SHARED if number == 8 else 0)]
    groups = shown.groupby(keys, sort=False) if keys else ()
    inner, early = shown.iloc[:, len(keys) :], in_sight(number, shown)
    # In the other tables names of columns may be the user's.
    texts_in = TEXT_COLUMNS if number in (5, 6, 9, 10, 11, 12) else ()
    return {
        "number": number,
        "caption": TABLES[number].caption(rows),
        "head": list(inner.columns),
        "text_columns": [n for n, name in enumerate(inner.columns) if name in texts_in],
        "groups": [(key, texts(inner.loc[found.index])) for key, found in groups],
        "rows": texts(inner[early]),
        "rest": texts(inner[~early]),
    }


def in_sight(number: int, shown: pd.DataFrame) -> "pd.Series[bool]":
    """Lines that the page does not fold: the first of Table 5, the trained networks of Table 6.

    In Table 5 an untrained network goes with its trained one.
    """
    if number == 5:
        networks = shown["Network"].str.removesuffix(UNTRAINED)
        return shown.groupby(networks).cumcount() < FIRST_LINES
    if number == 6:
        return ~shown["Network"].str.endswith(UNTRAINED)
    return pd.Series(True, index=shown.index)


def texts(rows: pd.DataFrame) -> list[list[str]]:
    """Cells as the page writes them, a dash where there is no figure.

    A cell breaks at most before its brackets.
    """
    cells = rows.map(lambda cell: "–" if pd.isna(cell) else str(cell))
    kept = cells.iloc[:, 1:].replace(r" (?![(\[])", "\N{NO-BREAK SPACE}", regex=True)
    return [list(row) for row in pd.concat([cells.iloc[:, :1], kept], axis=1).to_numpy()]
