"""The lines of Table 5 as curves: a technique with one compensation on one layer."""

from collections.abc import Iterable

import pandas as pd

from neuron_pruning.reporting.charts import LINES
from neuron_pruning.reporting.results import Results, on_layer

Line = tuple[str, str]  # technique and compensation
CHANCE: Line = ("random", "none")
MOST_COMPENSATIONS = 5


def table_lines(results: Results, model: str, layer: str) -> pd.DataFrame:
    """The lines that Table 5 shows of a trained layer, the best rank first: a row each.

    That is every technique with its own compensation and with lstsq.
    """
    rows = on_layer(results.comparison, model, layer)
    shown = (rows["compensation"] == rows["own"]) | (rows["compensation"] == "lstsq")
    rows = rows[shown & (rows["state"] == "trained") & (rows["technique"] != "majority class")]
    return rows.drop_duplicates(["technique", "compensation"]).sort_values("rank", kind="stable")


def best_lines(results: Results, model: str, layer: str, number: int = 4) -> list[Line]:
    """The techniques of the best ranks, each with the better of its two compensations."""
    rows = table_lines(results, model, layer)
    rows = rows[(rows["technique"] != "random") & rows["rank"].notna()]
    best = rows.drop_duplicates("technique").head(number)
    return list(best[["technique", "compensation"]].itertuples(index=False, name=None))


def own_line(results: Results, model: str, layer: str, technique: str) -> Line | None:
    """A technique with its own compensation, if it was compared."""
    rows = on_layer(results.sweeps, model, layer)
    own = rows.loc[rows["technique"] == technique, "own"]
    return None if own.empty else (technique, own.iloc[0])


def shown_lines(results: Results, model: str, layer: str) -> list[tuple[Line, int]]:
    """The best techniques, distinctiveness as it is, random removal; with the place in LINES."""
    paper = own_line(results, model, layer, "distinctiveness")
    lines = {paper: 0} if paper else {}
    best = [line for line in best_lines(results, model, layer) if line != paper]
    lines |= {line: place for place, line in enumerate(best, 1)}
    lines[CHANCE] = len(LINES) - 1
    return with_data(results, model, layer, lines.items())


def compensation_lines(results: Results, model: str, layer: str) -> list[tuple[Line, int]]:
    """Random removal and distinctiveness under several compensations, a place in LINES each."""
    wanted = [
        (own_line(results, model, layer, "distinctiveness"), 0),
        (("distinctiveness", "none"), 1),
        (CHANCE, 5),
        (("random", "bias"), 3),
        (("random", "lstsq"), 4),
        (("distinctiveness", "lstsq"), 2),  # where the technique's own is none
    ]
    lines: dict[Line, int] = {}
    for line, place in wanted:
        if line:
            lines.setdefault(line, place)
    return with_data(results, model, layer, lines.items())[:MOST_COMPENSATIONS]


def with_data(
    results: Results, model: str, layer: str, lines: Iterable[tuple[Line, int]]
) -> list[tuple[Line, int]]:
    """Those of the lines that the sweeps have."""
    rows = results.by_count
    rows = rows[(rows["model"] == model) & (rows["layer"] == layer) & (rows["state"] == "trained")]
    known = set(rows[["technique", "compensation"]].itertuples(index=False, name=None))
    return [(line, place) for line, place in lines if line in known]


def free_units(results: Results, model: str, layer: str, line: Line) -> int | None:
    """How many units a line lets go for less than a point; None where it has no figure."""
    rows = on_layer(results.comparison, model, layer)
    rows = rows[rows["state"] == "trained"]
    found = rows[(rows["technique"] == line[0]) & (rows["compensation"] == line[1])]
    values = found["free_units"].dropna()
    return None if values.empty else int(values.iloc[0])


def by_removed(results: Results, model: str, layer: str, line: Line, figure: str) -> pd.DataFrame:
    """A figure of a trained layer in percent: removed units in the index, a column a seed.

    Numbers of units that not every seed reaches are left out: the mean would jump there.
    """
    rows = on_layer(results.by_count, model, layer)
    rows = rows[(rows["state"] == "trained") & (rows["technique"] == line[0])]
    rows = rows[rows["compensation"] == line[1]]
    return 100 * rows.pivot(index="removed", columns="seed", values=figure).dropna()


def by_angle(results: Results, model: str, layer: str, state: str) -> pd.DataFrame:
    """Units that distinctiveness removes: threshold angles in the index, a column a seed."""
    rows = on_layer(results.sweeps, model, layer)
    rows = rows[(rows["state"] == state) & (rows["technique"] == "distinctiveness")]
    # One compensation stands for all: none changes which units go.
    rows = rows[rows["angle"].notna() & (rows["compensation"] == rows["own"])]
    return rows.pivot(index="angle", columns="seed", values="removed").dropna()


def in_words(line: Line) -> str:
    """``obd_unit with lstsq`` or ``random removal without compensation``."""
    technique = "random removal" if line[0] == "random" else line[0]
    return f"{technique} {compensation_words(line[1])}"


def compensation_words(compensation: str) -> str:
    """``with lstsq`` or ``without compensation``."""
    return "without compensation" if compensation == "none" else f"with {compensation}"


def label(line: Line) -> str:
    """The same in a legend: ``random, no compensation``."""
    return f"{line[0]}, {'no compensation' if line[1] == 'none' else line[1]}"
