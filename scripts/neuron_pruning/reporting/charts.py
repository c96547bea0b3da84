"""Charts of one experiment as SVG text for an HTML page.

Colours leave as CSS variables, so that the page decides about light, dark and print; lines and
markers differ in shape as well, so that nothing is lost in grey. The same data gives the same
bytes.
"""

import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

CENTIMETRE = 1 / 2.54  # inches
PANEL = (7.8, 6.0)  # width and height in cm: two beside each other on a printed page
INK, MUTED, RULE, PALE = "#1d2329", "#59636e", "#d5dae0", "#aab3bd"
FIRST, SECOND = "#0072b2", "#d55e00"  # Okabe and Ito: told apart by every kind of eye
THIRD, FOURTH = "#00805c", "#a8448f"
Look = Mapping[str, Any]
VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    RULE: "rule",
    PALE: "pale",
    FIRST: "first",
    SECOND: "second",
    THIRD: "third",
    FOURTH: "fourth",
}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: sharp, searchable, in the font of the page
    "svg.hashsalt": "neuron-pruning",
    "font.family": ["DejaVu Sans"],
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "legend.fontsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "savefig.transparent": True,
}
PART_LOOKS: dict[str, Look] = {
    "train": {"color": FIRST, "linestyle": "-"},
    "test": {"color": SECOND, "linestyle": "--"},
}
STATES: dict[str, Look] = {
    "trained": {"color": FIRST, "linestyle": "-", "marker": "o"},
    "untrained": {"color": SECOND, "linestyle": "--", "marker": "^"},
}
LINES: tuple[Look, ...] = (
    {"color": FIRST, "linestyle": "-", "marker": "o"},
    {"color": SECOND, "linestyle": (0, (5, 1.6)), "marker": "s"},
    {"color": THIRD, "linestyle": (0, (6, 1.4, 1.4, 1.4)), "marker": "^"},
    {"color": FOURTH, "linestyle": (0, (2.2, 1.2)), "marker": "D"},
    {"color": INK, "linestyle": (0, (9, 2.5)), "marker": "v"},
    {"color": MUTED, "linestyle": (0, (3, 1.2, 1, 1.2, 1, 1.2)), "marker": "x"},
)  # as many as one chart bears; each has dashes and a marker of its own
DOTTED: Look = {"color": MUTED, "linestyle": ":", "linewidth": 1}
MARKERS = 7  # on a line, about
BIN = 2.5  # degrees


def learning_curves(
    history: pd.DataFrame, selected: tuple[float, int], quantity: str, guess: float
) -> str:
    """Loss or accuracy of one model by epoch.

    Args:
        history: learning_rate, batch_size, seed, epoch, train_<quantity>, test_<quantity>.
        selected: learning rate and batch size that stand out.
        quantity: ``loss`` in nats or ``accuracy`` as a share.
        guess: what a network without knowledge reaches, in the same unit.
    """
    scale, label = (100.0, "accuracy (%)") if quantity == "accuracy" else (1.0, "loss (nats)")

    def draw(axes: Axes) -> None:
        for cell, runs in history.groupby(["learning_rate", "batch_size"]):
            for part, look in PART_LOOKS.items():
                curves = scale * runs.pivot(
                    index="epoch", columns="seed", values=f"{part}_{quantity}"
                )
                _draw_curves(axes, curves, look, pale=cell != selected)
        axes.axhline(scale * guess, color=MUTED, linestyle=":", linewidth=1)
        axes.set(xlabel="epoch", ylabel=label, ylim=(0, None))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        others = len(history.groupby(["learning_rate", "batch_size"])) > 1
        _legend(axes, _learning_handles(others))

    return _render(draw)


def _draw_curves(axes: Axes, curves: pd.DataFrame, look: Look, *, pale: bool) -> None:
    """Mean of the seeds, thick; the seeds themselves, thin, unless pale. ``curves``: E x seeds."""
    marker = "o" if len(curves) == 1 else ""  # a line of one point cannot be seen
    mean = curves.mean(axis=1)
    if pale:
        style = {**look, "color": PALE}
        axes.plot(mean.index, mean, **style, linewidth=0.9, marker=marker, zorder=1.5)
        return
    if curves.shape[1] > 1:
        axes.plot(curves.index, curves, **look, linewidth=0.6, alpha=0.55, zorder=2)
    axes.plot(mean.index, mean, **look, linewidth=1.9, marker=marker, zorder=3)


def _learning_handles(others: bool) -> Iterable[Line2D]:
    for part, look in PART_LOOKS.items():
        yield Line2D([], [], **look, linewidth=1.9, label={"train": "training"}.get(part, part))
    yield Line2D([], [], color=MUTED, linestyle=":", linewidth=1, label="guessing")
    if others:
        yield Line2D([], [], color=PALE, linewidth=0.9, label="other settings")


def confusion_chart(counts: ArrayLike, classes: Sequence[str]) -> str:
    """Counts of K x K: true classes in rows, predictions in columns, shaded by share of the row."""
    table = np.asarray(counts)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    size = len(classes)
    longest = 0.13 * max(map(len, classes))  # cm a letter of 8 points, for the labels
    side = max(PANEL[0] - 1.2 - longest, 0.75 * size)

    def draw(axes: Axes) -> None:
        for row, column in np.ndindex(table.shape):
            # Never so dark that the figure in it could not be read, on white or on black.
            shade = Rectangle((column, row), 1, 1, color=FIRST, alpha=0.65 * shares[row, column])
            axes.add_patch(shade)
            weight = "bold" if row == column else "normal"
            axes.text(column + 0.5, row + 0.5, f"{table[row, column]:d}", weight=weight, **CENTRED)
        _draw_lattice(axes, size)
        axes.set(xlabel="predicted class", ylabel="true class")
        axes.set_xticks(np.arange(size) + 0.5, classes, rotation=45, **SLANTED)
        axes.set_yticks(np.arange(size) + 0.5, classes)
        axes.tick_params(length=0)

    return _render(draw, (side + 1.2 + longest, side + 1.2 + 0.75 * longest))


CENTRED: Look = {"ha": "center", "va": "center"}
SLANTED: Look = {"ha": "right", "va": "top", "rotation_mode": "anchor"}


def _draw_lattice(axes: Axes, size: int) -> None:
    """Lines between the cells; heavy ones around the diagonal, where the predictions are right."""
    axes.grid(False)
    axes.set(xlim=(0, size), ylim=(size, 0), aspect="equal")
    for spine in axes.spines.values():
        spine.set_visible(False)
    for place in range(size + 1):
        axes.plot([0, size], [place, place], color=RULE, linewidth=0.5, clip_on=False)
        axes.plot([place, place], [0, size], color=RULE, linewidth=0.5, clip_on=False)
    for place in range(size):
        box = Rectangle((place, place), 1, 1, fill=False, edgecolor=INK, linewidth=1)
        axes.add_patch(box)


def angle_histogram(angles: Mapping[str, ArrayLike], thresholds: Sequence[float]) -> str:
    """Angles in degrees of all pairs of units by state, with the regions the thresholds cut off."""
    edges = np.arange(0, 180 + BIN, BIN)

    def draw(axes: Axes) -> None:
        for state, values in angles.items():
            look, values = STATES[state], np.asarray(values)
            shares = 100 * np.histogram(values, edges)[0] / max(values.size, 1)
            if state == "trained":
                axes.stairs(shares, edges, fill=True, color=FIRST, alpha=0.15)
                axes.stairs(shares, edges, **_line(look), linewidth=1.5)
            else:  # dashes would tear steps apart
                axes.plot(edges[:-1] + BIN / 2, shares, **_line(look), linewidth=1.5)
        _draw_thresholds(axes, thresholds)
        axes.set(
            xlabel="angle between two units (degrees)",
            ylabel=f"pairs of units (% per {BIN:g}°)",
            xlim=(0, 180),
            ylim=(0, None),
            xticks=range(0, 181, 30),
        )
        handles = [Line2D([], [], **_line(STATES[s]), linewidth=1.5, label=s) for s in angles]
        _legend(axes, [*handles, Line2D([], [], color=MUTED, linestyle=":", label="thresholds")])

    return _render(draw)


def _draw_thresholds(axes: Axes, thresholds: Sequence[float]) -> None:
    """Every threshold t and 180 - t; the widest regions shaded and named."""
    widest = max(thresholds)
    for low, high, name, side in (
        (0, widest, "similar", "left"),
        (180 - widest, 180, "complementary", "right"),
    ):
        axes.axvspan(low, high, color=PALE, alpha=0.25, linewidth=0)
        place = {"left": low, "right": high}[side]
        axes.text(place, 1.01, name, transform=axes.get_xaxis_transform(), ha=side, va="bottom")
    for angle in thresholds:
        for place in (angle, 180 - angle):
            axes.axvline(place, color=MUTED, linestyle=":", linewidth=0.9)


def against_angle(
    rows: pd.DataFrame,
    label: str,
    published: pd.DataFrame | None = None,
    guess: float | None = None,
) -> str:
    """A figure in percent by threshold angle: one point per seed, a line through the means.

    Args:
        rows: state, angle in degrees (0: before pruning), value in percent; one row per seed.
        label: title of the value axis.
        published: angle and value of the paper, if it has any.
        guess: value of guessing in percent.
    """

    def draw(axes: Axes) -> None:
        for state, found in rows.groupby("state"):
            look = STATES[str(state)]
            axes.plot(found["angle"], found["value"], **_points(look), alpha=0.5, zorder=2)
            mean = found.groupby("angle")["value"].mean()
            axes.plot(mean.index, mean, **look, linewidth=1.6, markersize=4.5, zorder=3)
        if published is not None and len(published):
            axes.plot(published["angle"], published["value"], **PAPER_LOOK, zorder=4)
        if guess is not None:
            axes.axhline(guess, color=MUTED, linestyle=":", linewidth=1)
        _angle_axis(axes, sorted(rows["angle"].unique()))
        axes.set(ylabel=label, ylim=_from_zero(axes))
        _legend(axes, _angle_handles(rows, published, guess))

    return _render(draw)


@dataclass(frozen=True)
class Curve:
    """A line and how it looks; ``values``: x in the index, one column per seed."""

    label: str
    values: pd.DataFrame
    look: Look


@dataclass(frozen=True)
class Level:
    """A dotted horizontal line; named in the legend, or at its left where curves start higher."""

    label: str
    value: float
    in_legend: bool = True


def banded_curves(
    curves: Sequence[Curve],
    labels: tuple[str, str],
    ticks: Sequence[float],
    levels: Sequence[Level] = (),
) -> str:
    """A line through the means of the seeds, in a band from their lowest to their highest.

    Args:
        curves: as many as ``LINES`` at most.
        labels: titles of the x and the y axis.
        ticks: of the x axis, from 0; the curves may end before the last one.
        levels: values that the curves are held against.
    """

    def draw(axes: Axes) -> None:
        for number, curve in enumerate(curves):
            _draw_band(axes, curve, number)
        for level in levels:
            _draw_level(axes, level)
        reach = max(ticks[-1], *(curve.values.index.max() for curve in curves))
        limits = (-0.02 * reach, 1.02 * reach)
        axes.set(xlabel=labels[0], ylabel=labels[1], xticks=ticks, xlim=limits)
        _legend(axes, handles, columns=1)

    handles = [Line2D([], [], **_curve_style(c.look), label=c.label) for c in curves]
    named = [level for level in levels if level.in_legend]
    handles += [Line2D([], [], **DOTTED, label=level.label) for level in named]
    return _render(draw, (PANEL[0], PANEL[1] + 0.6 + 0.4 * len(handles)))


def _draw_band(axes: Axes, curve: Curve, number: int) -> None:
    """One line; ``number`` shifts its markers, so that lines that coincide still show theirs."""
    values = curve.values
    if values.shape[1] > 1:
        low, high = values.min(axis=1), values.max(axis=1)
        axes.fill_between(
            values.index, low, high, color=curve.look["color"], alpha=0.13, linewidth=0, zorder=1.5
        )
    step = max(len(LINES), len(values) // MARKERS)
    start = min(number * step // len(LINES), len(values) - 1)
    style = _curve_style(curve.look)
    axes.plot(values.index, values.mean(axis=1), **style, markevery=(start, step), zorder=3)


def _curve_style(look: Look) -> dict[str, Any]:
    return {**look, "linewidth": 1.5, "markersize": 4, "markeredgewidth": 0.8}


def _draw_level(axes: Axes, level: Level) -> None:
    axes.axhline(level.value, **DOTTED)
    if not level.in_legend:
        place = axes.get_yaxis_transform()
        axes.text(0.01, level.value, level.label, transform=place, ha="left", va="bottom")


@dataclass(frozen=True)
class Dot:
    """One figure with its interval (NaN: none) on the line ``group`` of the block ``row``.

    Attributes:
        group: what colour and marker stand for; empty for none of them.
        hollow: a figure from elsewhere.
    """

    row: str
    group: str
    value: float
    low: float
    high: float
    hollow: bool = False


NAME_LINE, DOT_LINE = 0.46, 0.3  # cm


def dot_plot(dots: Sequence[Dot], label: str, level: Level) -> str:
    """Figures with intervals: one block per row, its name above, one line per dot.

    Args:
        dots: in the order of the rows; the first six groups have looks of their own.
        label: title of the value axis.
        level: a dotted vertical line.
    """
    groups = list(dict.fromkeys(dot.group for dot in dots if dot.group))
    looks: dict[str, Look] = {g: LINES[n % len(LINES)] for n, g in enumerate(groups)}
    looks[""] = PAPER_LOOK
    places, names, depth = _block_places(dots)

    def draw(axes: Axes) -> None:
        for dot, place in zip(dots, places, strict=True):
            _draw_dot(axes, dot, place, looks[dot.group])
            ends = [place - DOT_LINE / 2, place + DOT_LINE / 2]
            axes.plot([level.value] * 2, ends, **DOTTED, zorder=1.5)  # not through the names
        for name, place in names.items():
            text = axes.get_yaxis_transform()
            axes.text(0, place, name, transform=text, ha="left", va="center", weight="bold")
        reach = max([level.value, *(max(d.value, np.nan_to_num(d.high)) for d in dots)])
        axes.set(xlabel=label, xlim=(0, 1.04 * reach), ylim=(depth, 0), yticks=[])
        axes.spines["left"].set_visible(False)
        _legend(axes, _dot_handles(looks, dots, level))

    rows = -(-(len(groups) + 2) // 2)  # of the legend
    return _render(draw, (1.35 * PANEL[0], depth + 1.3 + 0.42 * rows))


def _block_places(dots: Sequence[Dot]) -> tuple[list[float], dict[str, float], float]:
    """Depth in cm of every dot and of every name, and of all."""
    names: dict[str, float] = {}
    places, depth = [], 0.0
    for dot in dots:
        if dot.row not in names:
            names[dot.row] = depth + 0.6 * NAME_LINE
            depth += NAME_LINE
        places.append(depth + DOT_LINE / 2)
        depth += DOT_LINE
    return places, names, depth + DOT_LINE / 2


def _draw_dot(axes: Axes, dot: Dot, place: float, look: Look) -> None:
    if not np.isnan(dot.low):
        axes.plot([dot.low, dot.high], [place, place], color=look["color"], linewidth=1.1)
    axes.plot([dot.value], [place], **_dot_style(look, dot.hollow), zorder=3)


def _dot_style(look: Look, hollow: bool) -> dict[str, Any]:
    style = {"linestyle": "", "marker": look["marker"], "color": look["color"], "markersize": 4.6}
    return {**style, "markerfacecolor": "none"} if hollow else style


def _dot_handles(looks: Mapping[str, Look], dots: Sequence[Dot], level: Level) -> Iterable[Line2D]:
    for group, look in looks.items():
        if group:
            yield Line2D([], [], **_dot_style(look, hollow=False), label=group)
    if any(dot.hollow for dot in dots):
        yield Line2D([], [], **_dot_style(PAPER_LOOK, hollow=True), label="hollow: published")
    yield Line2D([], [], **DOTTED, label=level.label)


PAPER_LOOK: Look = {
    "linestyle": "",
    "marker": "D",
    "markersize": 6,
    "markerfacecolor": "none",
    "color": INK,
}


def _points(look: Look) -> dict[str, Any]:
    return {**look, "linestyle": "", "markersize": 3, "markeredgewidth": 0.5}


def _line(look: Look) -> dict[str, Any]:
    return {name: look[name] for name in ("color", "linestyle")}


def _from_zero(axes: Axes) -> tuple[float, float]:
    """Limits from zero with air, so that a point at zero is seen whole."""
    top = max(axes.get_ylim()[1], 1.0)
    return -0.04 * top, 1.04 * top


def _angle_axis(axes: Axes, angles: Sequence[float]) -> None:
    """Ticks at the thresholds where they fit, else round numbers; 0 reads as not pruned."""
    axes.set_xlabel("threshold angle (degrees)")
    reach = max(angles)
    axes.set_xlim(min(0, min(angles)) - 0.06 * reach, 1.06 * reach)
    gaps = np.diff(angles)
    if len(angles) <= 6 and (not gaps.size or gaps.min() >= 0.12 * reach):
        axes.set_xticks(angles, ["not\npruned" if a == 0 else f"{a:g}" for a in angles])
    else:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6))


def _angle_handles(
    rows: pd.DataFrame, published: pd.DataFrame | None, guess: float | None
) -> Iterable[Line2D]:
    for state, look in STATES.items():
        if state in set(rows["state"]):
            yield Line2D([], [], **look, linewidth=1.6, markersize=4.5, label=state)
    if published is not None and len(published):
        yield Line2D([], [], **PAPER_LOOK, label="paper")
    if guess is not None:
        yield Line2D([], [], color=MUTED, linestyle=":", linewidth=1, label="guessing")


def _legend(axes: Axes, handles: Iterable[Line2D], columns: int = 2) -> None:
    """Above the axes, where it covers no data."""
    figure = axes.get_figure()
    assert figure is not None
    shown = list(handles)
    if columns == 1:  # handles long enough for every pattern of dashes
        figure.legend(handles=shown, loc="outside upper left", handlelength=4.2)
    else:
        figure.legend(handles=shown, loc="outside upper center", ncols=columns)


def _render(draw: Callable[[Axes], None], size: tuple[float, float] = PANEL) -> str:
    """SVG of one pair of axes; ``size`` is width and height in cm."""
    buffer = io.StringIO()
    with mpl.rc_context():
        mpl.rcdefaults()  # whatever matplotlibrc the person keeps
        mpl.rcParams.update(STYLE)
        figure = Figure(figsize=(size[0] * CENTIMETRE, size[1] * CENTIMETRE), layout="constrained")
        draw(figure.subplots())
        figure.savefig(buffer, format="svg", metadata=NO_METADATA)
    return _for_a_page(buffer.getvalue())


NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


def _for_a_page(svg: str) -> str:
    """The bare element, its colours as variables."""
    svg = svg[svg.index("<svg") :].strip()
    for colour, name in VARIABLES.items():
        svg = svg.replace(colour, f"var(--{name})")
    return svg


def own_names(svg: str, prefix: str) -> str:
    """The chart with ``prefix`` before every id, so that several share a page."""
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", svg)


def pair_angles(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """The angles of all pairs i < j of an H x H matrix: H (H - 1) / 2 numbers."""
    return angles[np.triu_indices(len(angles), 1)]
