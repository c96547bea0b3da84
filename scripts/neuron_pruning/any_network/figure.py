"""Why a pruned network does worse, as a picture: what each of its layers lost."""

from typing import TYPE_CHECKING, Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from neuron_pruning.any_network.result import PruningResult

WIDTH, ROW, MARGIN = 7.1, 0.16, 1.0  # inches: a printed page, a layer, title and axes
LEAST = 1e-4  # errors below are drawn there
DARK, BLUE, PALE = "#1d2329", "#0072b2", "#d5dae0"
STYLE: dict[Any, Any] = {
    "font.size": 7, "axes.titlesize": 7, "legend.frameon": False, "axes.axisbelow": True,
    "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.6,
    "ytick.major.size": 0, "grid.color": PALE, "grid.linewidth": 0.5, "hatch.linewidth": 0.6,
    "text.parse_math": False,  # a name of a layer is a name, whatever signs it holds
}  # fmt: skip


def draw(result: "PruningResult") -> Figure:
    """Errors and units of the pruned layers, and how far batch normalisation moved.

    Marks differ in shape and filling, so that nothing is lost in grey.
    """
    rows, shifts = result.rows(), result.cut.shifts
    height = MARGIN + ROW * max(len(rows), len(shifts), 4)
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.subplots(1, 3 if shifts else 2)
        _draw_errors(axes[0], rows)
        _draw_units(axes[1], rows)
        axes[1].set_yticklabels([])
        if shifts:
            _draw_shifts(axes[2], shifts)
        return figure


def _name_rows(axes: Axes, names: list[str]) -> None:
    """One row for each name, the first on top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="x")


def _draw_errors(axes: Axes, rows: list[dict[str, Any]]) -> None:
    """Two marks for each layer: hollow without compensation, filled with it."""
    _name_rows(axes, [row["layer"] for row in rows])
    known = [(place, row) for place, row in enumerate(rows) if row["error"] is not None]
    places = [place for place, _ in known]
    before, after = (
        [max(row[name], LEAST) for _, row in known]
        for name in ("error without compensation", "error")
    )
    axes.hlines(places, before, after, color=DARK, linewidth=0.7)
    axes.plot(before, places, "o", color=DARK, mfc="white", ms=4, label="without compensation")
    axes.plot(after, places, "o", color=BLUE, ms=4, label="with compensation")
    axes.axvline(1.0, color=DARK, linewidth=0.6, linestyle=":")
    axes.set(xscale="log", xlabel="change of the next layers' outputs\n(share of their variance)")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0.2)


def _draw_units(axes: Axes, rows: list[dict[str, Any]]) -> None:
    """Three bars in one for each layer: removed, dead and saturated units."""
    _name_rows(axes, [row["layer"] for row in rows])
    places = range(len(rows))
    removed, dead, saturated = (
        [100.0 * (row[name] or 0) / row["units"] for row in rows]
        for name in ("removed", "dead", "saturated")
    )
    edge: dict[str, Any] = {"edgecolor": DARK, "linewidth": 0.6}
    axes.barh(places, removed, 0.75, facecolor="none", label="removed", **edge)
    axes.barh(places, dead, 0.4, facecolor=DARK, label="dead", **edge)
    axes.barh(
        places, saturated, 0.4, dead, facecolor=PALE, hatch="/////", label="saturated", **edge
    )
    axes.set(xlim=(0, 100), xlabel="units (%)")
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0.2, ncols=3,
                columnspacing=1.0, handlelength=1.4)  # fmt: skip


def _draw_shifts(axes: Axes, shifts: Any) -> None:
    """How far the means of each batch normalisation moved."""
    _name_rows(axes, list(shifts))
    places, values = range(len(shifts)), list(shifts.values())
    axes.hlines(places, 0.0, values, color=DARK, linewidth=0.7)
    axes.plot(values, places, "D", color=DARK, ms=3)
    axes.set_xlim(0, None)
    axes.set_xlabel("shift of batch-norm means\n(standard deviations)", loc="right")
