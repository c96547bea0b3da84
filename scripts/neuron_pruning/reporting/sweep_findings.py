"""What the sweeps show of a pruned layer: lines of Table 5 as curves, and a record per question."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from neuron_pruning.reporting.charts import LINES, STATES
from neuron_pruning.reporting.results import Results, on_layer

Line = tuple[str, str]  # technique and compensation
PlacedLines = list[tuple[Line, int]]  # with the place in LINES, which is how a line looks
RANDOM_REMOVAL: Line = ("random", "none")
MOST_COMPENSATIONS = 5


def table_lines(results: Results, model: str, layer: str) -> pd.DataFrame:
    """The lines that Table 5 shows of a trained layer, one row per line, the best rank first.

    That is every technique with its own compensation and with lstsq.
    """
    rows = _trained(results.comparison, model, layer)
    default = rows["compensation"] == rows["default_compensation"]
    shown = default | (rows["compensation"] == "lstsq")
    rows = rows[shown & (rows["technique"] != "majority class")]
    return rows.drop_duplicates(["technique", "compensation"]).sort_values("rank", kind="stable")


def shown_lines(results: Results, model: str, layer: str, number: int = 4) -> PlacedLines:
    """The techniques of the best ranks, distinctiveness as in the paper, and random removal.

    Each of the ``number`` best techniques has the better of its two compensations.
    """
    rows = table_lines(results, model, layer)
    rows = rows[(rows["technique"] != "random") & rows["rank"].notna()]
    best = rows.drop_duplicates("technique").head(number)[["technique", "compensation"]]
    paper = _own_line(results, model, layer)
    others = [line for line in best.itertuples(index=False, name=None) if line != paper]
    lines = [(paper, 0), *((line, place) for place, line in enumerate(others, 1))]
    return _with_data(results, model, layer, [*lines, (RANDOM_REMOVAL, len(LINES) - 1)])


def compensation_lines(results: Results, model: str, layer: str) -> PlacedLines:
    """Random removal and distinctiveness under several compensations."""
    lines = [
        (_own_line(results, model, layer), 0),
        (("distinctiveness", "none"), 1),
        (RANDOM_REMOVAL, 5),
        (("random", "bias"), 3),
        (("random", "lstsq"), 4),
        (("distinctiveness", "lstsq"), 2),  # where the technique's own is none
    ]
    return _with_data(results, model, layer, lines)[:MOST_COMPENSATIONS]


def _own_line(results: Results, model: str, layer: str) -> Line | None:
    """Distinctiveness with its own compensation, if it was compared."""
    rows = on_layer(results.sweeps, model, layer)
    own = rows.loc[rows["technique"] == "distinctiveness", "default_compensation"]
    return None if own.empty else ("distinctiveness", own.iloc[0])


def _with_data(
    results: Results, model: str, layer: str, lines: Iterable[tuple[Line | None, int]]
) -> PlacedLines:
    """Those of the lines that the sweeps have, each at its first place."""
    rows = _trained(results.by_count, model, layer)
    known = set(rows[["technique", "compensation"]].itertuples(index=False, name=None))
    places: dict[Line, int] = {}
    for line, place in lines:
        if line in known:
            places.setdefault(line, place)
    return list(places.items())


def _trained(rows: pd.DataFrame, model: str, layer: str) -> pd.DataFrame:
    rows = on_layer(rows, model, layer)
    return rows[rows["state"] == "trained"]


def by_removed(results: Results, model: str, layer: str, line: Line, figure: str) -> pd.DataFrame:
    """A figure of a trained layer in percent, by number of removed units (rows) and seed (columns).

    Numbers of units that not every seed reaches are left out: the mean would jump there.
    """
    rows = _on_line(_trained(results.by_count, model, layer), line)
    return 100 * rows.pivot(index="removed", columns="seed", values=figure).dropna()


def removed_by_angle(results: Results, model: str, layer: str) -> dict[str, pd.DataFrame]:
    """Units that distinctiveness removes, by state: threshold angles in rows, seeds in columns.

    One compensation stands for all: none changes which units are removed.
    """
    rows = on_layer(results.sweeps, model, layer)
    rows = rows[(rows["technique"] == "distinctiveness") & rows["angle"].notna()]
    rows = rows[rows["compensation"] == rows["default_compensation"]]
    found = {state: rows[rows["state"] == state] for state in STATES}
    return {
        state: of.pivot(index="angle", columns="seed", values="removed").dropna()
        for state, of in found.items()
        if len(of)
    }


def _on_line(rows: pd.DataFrame, line: Line) -> pd.DataFrame:
    return rows[(rows["technique"] == line[0]) & (rows["compensation"] == line[1])]


def free_units_of_line(results: Results, model: str, layer: str, line: Line) -> int | None:
    """Units that a line removes for less than one point of accuracy; None without a figure."""
    rows = _on_line(_trained(results.comparison, model, layer), line)
    return next((int(value) for value in rows["free_units"].dropna()), None)


@dataclass(frozen=True)
class MostFree:
    """The line of Table 5 with the most units removed for less than one point of accuracy.

    ``random`` is what random removal reaches with the compensation ``reference``.
    """

    layer: str
    units: int
    line: Line
    free: float
    lines: int
    random: int | None
    reference: str


def most_free(results: Results, model: str) -> Iterator[MostFree]:
    """One per pruned layer; a small layer may lack all numbers of Table 5."""
    for layer in results.layers(model):
        rows = table_lines(results, model, layer)
        if rows.empty:
            continue
        best = rows.sort_values(["free_units", "rank"], ascending=[False, True]).iloc[0]
        yield MostFree(
            layer,
            units=results.units(model, layer),
            line=(best["technique"], best["compensation"]),
            free=best["free_units"],
            lines=len(rows),
            random=free_units_of_line(results, model, layer, ("random", best["reference"])),
            reference=best["reference"],
        )


@dataclass(frozen=True)
class LineFigures:
    """One figure of several lines, the largest first; ``missing``: lines without it.

    ``removed``: removed units that the figure belongs to.
    """

    model: str
    layer: str
    units: int
    figures: list[tuple[Line, float]]
    missing: list[Line]
    removed: int = 0


def free_by_line(results: Results, model: str, layer: str, lines: PlacedLines) -> LineFigures:
    """Units removed for less than one point, by the lines of the chart."""
    free = {line: free_units_of_line(results, model, layer, line) for line, _ in lines}
    return _line_figures(results, model, layer, free, 0)


def at_half(
    results: Results, model: str, layer: str, lines: PlacedLines, figure: str
) -> LineFigures:
    """A figure in percent where half the layer is removed; not every line gets that far."""
    means = {
        line: by_removed(results, model, layer, line, figure).mean(axis=1) for line, _ in lines
    }
    half = halfway(means[RANDOM_REMOVAL])
    reached = {line: values.get(half) for line, values in means.items()}
    return _line_figures(results, model, layer, reached, half)


def _line_figures(
    results: Results, model: str, layer: str, figures: Mapping[Line, float | None], removed: int
) -> LineFigures:
    known = [(line, value) for line, value in figures.items() if value is not None]
    missing = [line for line, value in figures.items() if value is None]
    known.sort(key=lambda item: -item[1])
    return LineFigures(model, layer, results.units(model, layer), known, missing, removed)


def halfway(values: pd.Series) -> int:
    """The number of removed units nearest to half of the largest."""
    numbers = values.index.to_numpy()
    return int(numbers[abs(numbers - (numbers.max() + 1) / 2).argmin()])


@dataclass(frozen=True)
class AngleFigures:
    """Units removed at the widest threshold, and the angle that removes half of all, by state."""

    model: str
    layer: str
    units: int
    widest: float
    removed: Mapping[str, float]
    half: Mapping[str, float | None]


def at_angles(results: Results, model: str, layer: str) -> AngleFigures:
    """Both figures of one layer, means over the seeds."""
    widest, units = max(results.config["pruning"]["angles"]), results.units(model, layer)
    means = {
        s: values.mean(axis=1) for s, values in removed_by_angle(results, model, layer).items()
    }
    removed = {s: float(m[m.index <= widest].iloc[-1]) for s, m in means.items()}
    half = {s: next(iter(m.index[m >= units / 2]), None) for s, m in means.items()}
    return AngleFigures(model, layer, units, widest, removed, half)
