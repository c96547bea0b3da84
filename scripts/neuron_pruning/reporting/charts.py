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
from numpy.typing import ArrayLike

CENTIMETRE = 1 / 2.54  # inches
PANEL = (7.8, 6.0)  # width and height in cm: two beside each other on a printed page
INK, MUTED, RULE, PALE = "#1d2329", "#59636e", "#d5dae0", "#aab3bd"
FIRST, SECOND = "#0072b2", "#d55e00"  # Okabe and Ito: told apart by every kind of eye
THIRD, FOURTH = "#00805c", "#a8448f"
COLOURS = (INK, MUTED, RULE, PALE, FIRST, SECOND, THIRD, FOURTH)
VARIABLES = ("ink", "muted", "rule", "pale", "first", "second", "third", "fourth")  # of the page
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: sharp, searchable, in the font of the page
    "text.parse_math": False,  # names of classes are names, whatever dollar signs they hold
    "svg.hashsalt": "neuron-pruning",
    "font.family": ["DejaVu Sans"],
    "font.size": 8,
    **dict.fromkeys(["text.color", "axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor"], INK),
    **dict.fromkeys(["axes.edgecolor", "xtick.color", "ytick.color"], MUTED),
    **dict.fromkeys(["axes.linewidth", "xtick.major.width", "ytick.major.width"], 0.6),
    **dict.fromkeys(["axes.spines.top", "axes.spines.right", "legend.frameon"], False),
    **dict.fromkeys(["axes.grid", "axes.axisbelow", "savefig.transparent"], True),
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "legend.handlelength": 2.4,
}
Look = Mapping[str, Any]
LINES: tuple[Look, ...] = (
    {"color": FIRST, "linestyle": "-", "marker": "o"},
    {"color": SECOND, "linestyle": (0, (5, 1.6)), "marker": "s"},
    {"color": THIRD, "linestyle": (0, (6, 1.4, 1.4, 1.4)), "marker": "^"},
    {"color": FOURTH, "linestyle": (0, (2.2, 1.2)), "marker": "D"},
    {"color": INK, "linestyle": (0, (9, 2.5)), "marker": "v"},
    {"color": MUTED, "linestyle": (0, (3, 1.2, 1, 1.2, 1, 1.2)), "marker": "x"},
)  # as many as one chart bears; each has dashes and a marker of its own
PART_LOOKS: dict[str, Look] = {
    "train": {"color": FIRST, "linestyle": "-"},
    "test": {"color": SECOND, "linestyle": "--"},
}
STATES: dict[str, Look] = {
    "trained": {**PART_LOOKS["train"], "marker": "o"},
    "untrained": {**PART_LOOKS["test"], "marker": "^"},
}
HOLLOW: Look = {"markerfacecolor": "none"}
PAPER_LOOK: Look = {**HOLLOW, "linestyle": "", "marker": "D", "markersize": 6, "color": INK}
DOTTED: Look = {"color": MUTED, "linestyle": ":", "linewidth": 1}
GUESSING: Look = {**DOTTED, "label": "guessing"}
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
    cells = history.groupby(["learning_rate", "batch_size"])

    def draw(axes: Axes) -> None:
        for cell, runs in cells:
            for part, look in PART_LOOKS.items():
                curves = runs.pivot(index="epoch", columns="seed", values=f"{part}_{quantity}")
                _draw_curves(axes, scale * curves, look, pale=cell != selected)
        axes.axhline(scale * guess, **DOTTED)
        axes.set(xlabel="epoch", ylabel=label, ylim=(0, None))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))

    parts = zip(("training", "test"), PART_LOOKS.values(), strict=True)
    handles = [{**look, "linewidth": 1.9, "label": name} for name, look in parts]
    others = {"color": PALE, "linewidth": 0.9, "label": "other settings"}
    return _render(draw, [*handles, GUESSING, *([others] if len(cells) > 1 else [])])


def _draw_curves(axes: Axes, curves: pd.DataFrame, look: Look, *, pale: bool) -> None:
    """Mean of the seeds, thick; the seeds themselves, thin, unless pale. ``curves``: E x seeds."""
    marker = "o" if len(curves) == 1 else ""  # a line of one point cannot be seen
    thick: Look = {"linewidth": 1.9, "zorder": 3}
    if pale:
        thick = {"color": PALE, "linewidth": 0.9, "zorder": 1.5}
    elif curves.shape[1] > 1:
        axes.plot(curves.index, curves, **look, linewidth=0.6, alpha=0.55, zorder=2)
    axes.plot(curves.index, curves.mean(axis=1), **{**look, **thick}, marker=marker)


def confusion_chart(counts: ArrayLike, classes: Sequence[str]) -> str:
    """Counts of K x K: true classes in rows, predictions in columns, shaded by share of the row."""
    table, size = np.asarray(counts), len(classes)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    longest = 0.13 * max(map(len, classes))  # cm a letter of 8 points, for the labels
    side = max(PANEL[0] - 1.2 - longest, 0.75 * size)

    def draw(axes: Axes) -> None:
        for row, column in np.ndindex(table.shape):
            # Never so dark that the figure in it could not be read, on white or on black.
            shade = Rectangle((column, row), 1, 1, color=FIRST, alpha=0.65 * shares[row, column])
            axes.add_patch(shade)
            weight, text = "bold" if row == column else "normal", f"{table[row, column]:d}"
            axes.text(column + 0.5, row + 0.5, text, weight=weight, ha="center", va="center")
        _draw_lattice(axes, size)
        axes.set(xlabel="predicted class", ylabel="true class")
        slanted: Any = {"rotation": 45, "ha": "right", "va": "top", "rotation_mode": "anchor"}
        axes.set_xticks(np.arange(size) + 0.5, classes, **slanted)
        axes.set_yticks(np.arange(size) + 0.5, classes)
        axes.tick_params(length=0)

    return _render(draw, size=(side + 1.2 + longest, side + 1.2 + 0.75 * longest))


def _draw_lattice(axes: Axes, size: int) -> None:
    """Lines between the cells; heavy ones around the diagonal, where the predictions are right."""
    axes.grid(False)
    axes.set(xlim=(0, size), ylim=(size, 0), aspect="equal")
    axes.spines[:].set_visible(False)
    for place in range(size + 1):
        axes.plot([0, size], [place, place], color=RULE, linewidth=0.5, clip_on=False)
        axes.plot([place, place], [0, size], color=RULE, linewidth=0.5, clip_on=False)
    for place in range(size):
        axes.add_patch(Rectangle((place, place), 1, 1, fill=False, edgecolor=INK, linewidth=1))


def angle_histogram(angles: Mapping[str, ArrayLike], thresholds: Sequence[float]) -> str:
    """Angles in degrees of all pairs of units by state, with the regions the thresholds cut off."""
    edges = np.arange(0, 180 + BIN, BIN)
    looks = {
        state: {**PART_LOOKS[part], "linewidth": 1.5}
        for state, part in zip(STATES, PART_LOOKS, strict=True)
    }

    def draw(axes: Axes) -> None:
        for state, values in angles.items():
            shares = 100 * np.histogram(values, edges)[0] / max(np.size(values), 1)
            if state == "trained":
                axes.stairs(shares, edges, fill=True, color=FIRST, alpha=0.15)
                axes.stairs(shares, edges, **looks[state])
            else:  # dashes would tear steps apart
                axes.plot(edges[:-1] + BIN / 2, shares, **looks[state])
        _draw_thresholds(axes, thresholds)
        axes.set(
            xlabel="angle between two units (degrees)", ylabel=f"pairs of units (% per {BIN:g}°)"
        )
        axes.set(xlim=(0, 180), ylim=(0, None), xticks=range(0, 181, 30))

    handles = [{**looks[state], "label": state} for state in angles]
    return _render(draw, [*handles, {"color": MUTED, "linestyle": ":", "label": "thresholds"}])


def _draw_thresholds(axes: Axes, thresholds: Sequence[float]) -> None:
    """Every threshold t and 180 - t; the widest regions shaded and named."""
    widest, place = max(thresholds), axes.get_xaxis_transform()
    axes.axvspan(0, widest, color=PALE, alpha=0.25, linewidth=0)
    axes.text(0, 1.01, "similar", transform=place, ha="left", va="bottom")
    axes.axvspan(180 - widest, 180, color=PALE, alpha=0.25, linewidth=0)
    axes.text(180, 1.01, "complementary", transform=place, ha="right", va="bottom")
    for angle in thresholds:
        for edge in (angle, 180 - angle):
            axes.axvline(edge, color=MUTED, linestyle=":", linewidth=0.9)


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
    means = {
        state: {**look, "linewidth": 1.6, "markersize": 4.5, "label": state}
        for state, look in STATES.items()
        if state in set(rows["state"])
    }
    paper = published is not None and len(published) > 0

    def draw(axes: Axes) -> None:
        points = {"linestyle": "", "markersize": 3, "markeredgewidth": 0.5, "alpha": 0.5}
        for state, look in means.items():
            found = rows[rows["state"] == state]
            axes.plot(found["angle"], found["value"], **{**STATES[state], **points}, zorder=2)
            mean = found.groupby("angle")["value"].mean()
            axes.plot(mean.index, mean, **look, zorder=3)
        if published is not None and paper:
            axes.plot(published["angle"], published["value"], **PAPER_LOOK, zorder=4)
        if guess is not None:
            axes.axhline(guess, **DOTTED)
        _angle_axis(axes, sorted(rows["angle"].unique()))
        top = max(axes.get_ylim()[1], 1.0)
        axes.set(ylabel=label, ylim=(-0.04 * top, 1.04 * top))  # a point at zero is seen whole

    handles = [*means.values(), *([{**PAPER_LOOK, "label": "paper"}] if paper else [])]
    return _render(draw, [*handles, *([] if guess is None else [GUESSING])])


def _angle_axis(axes: Axes, angles: Sequence[float]) -> None:
    """Ticks at the thresholds where they fit, else round numbers; 0 reads as not pruned."""
    reach, gaps = max(angles), np.diff(angles)
    axes.set(
        xlabel="threshold angle (degrees)", xlim=(min(0, *angles) - 0.06 * reach, 1.06 * reach)
    )
    if len(angles) <= 6 and (not gaps.size or gaps.min() >= 0.12 * reach):
        axes.set_xticks(angles, ["not\npruned" if a == 0 else f"{a:g}" for a in angles])
    else:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6))


@dataclass(frozen=True)
class Curve:
    """A line and how it looks; ``values``: x in the index, one column per seed."""

    label: str
    values: pd.DataFrame
    look: Look

    @property
    def style(self) -> dict[str, Any]:
        """The look of the line and its markers."""
        return {**self.look, "linewidth": 1.5, "markersize": 4, "markeredgewidth": 0.8}


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
    handles = [{**curve.style, "label": curve.label} for curve in curves]
    handles += [{**DOTTED, "label": level.label} for level in levels if level.in_legend]

    def draw(axes: Axes) -> None:
        for number, curve in enumerate(curves):
            _draw_band(axes, curve, number)
        for level in levels:
            axes.axhline(level.value, **DOTTED)
            if not level.in_legend:
                place = axes.get_yaxis_transform()
                axes.text(0.01, level.value, level.label, transform=place, ha="left", va="bottom")
        reach = max(ticks[-1], *(curve.values.index.max() for curve in curves))
        limits = (-0.02 * reach, 1.02 * reach)
        axes.set(xlabel=labels[0], ylabel=labels[1], xticks=ticks, xlim=limits)

    return _render(draw, handles, (PANEL[0], PANEL[1] + 0.6 + 0.4 * len(handles)), columns=1)


def _draw_band(axes: Axes, curve: Curve, number: int) -> None:
    """One line; ``number`` shifts its markers, so that lines that coincide still show theirs."""
    values, band = curve.values, {"color": curve.look["color"], "alpha": 0.13, "linewidth": 0}
    if values.shape[1] > 1:
        ends = values.min(axis=1), values.max(axis=1)
        axes.fill_between(values.index, *ends, **band, zorder=1.5)
    step = max(len(LINES), len(values) // MARKERS)
    start = min(number * step // len(LINES), len(values) - 1)
    axes.plot(values.index, values.mean(axis=1), **curve.style, markevery=(start, step), zorder=3)


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
            look, ends = looks[dot.group], [place - DOT_LINE / 2, place + DOT_LINE / 2]
            if not np.isnan(dot.low):
                axes.plot([dot.low, dot.high], [place] * 2, color=look["color"], linewidth=1.1)
            axes.plot([dot.value], [place], **_dot_style(look, dot.hollow), zorder=3)
            axes.plot([level.value] * 2, ends, **DOTTED, zorder=1.5)  # not through the names
        for name, place in names.items():
            text = axes.get_yaxis_transform()
            axes.text(0, place, name, transform=text, ha="left", va="center", weight="bold")
        reach = max(level.value, *(max(d.value, np.nan_to_num(d.high)) for d in dots))
        axes.set(xlabel=label, xlim=(0, 1.04 * reach), ylim=(depth, 0), yticks=[])
        axes.spines["left"].set_visible(False)

    handles = [{**_dot_style(looks[group]), "label": group} for group in groups]
    if any(dot.hollow for dot in dots):
        handles.append({**_dot_style(PAPER_LOOK, hollow=True), "label": "hollow: published"})
    rows = -(-(len(groups) + 2) // 2)  # of the legend
    size = (1.35 * PANEL[0], depth + 1.3 + 0.42 * rows)
    return _render(draw, [*handles, {**DOTTED, "label": level.label}], size)


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


def _dot_style(look: Look, hollow: bool = False) -> dict[str, Any]:
    style = {"linestyle": "", "marker": look["marker"], "color": look["color"], "markersize": 4.6}
    return {**style, **HOLLOW} if hollow else style


def _render(
    draw: Callable[[Axes], None],
    handles: Iterable[Look] = (),
    size: tuple[float, float] = PANEL,
    columns: int = 2,
) -> str:
    """The bare SVG element of one pair of axes, its colours as variables.

    Args:
        draw: what the axes show.
        handles: looks and labels of the legend, above the axes, where it covers no data.
        size: width and height in cm.
        columns: of the legend; with one its handles are long enough for every pattern of dashes.
    """
    buffer = io.StringIO()
    with mpl.rc_context():
        mpl.rcdefaults()  # whatever matplotlibrc the person keeps
        mpl.rcParams.update(STYLE)
        figure = Figure(figsize=(size[0] * CENTIMETRE, size[1] * CENTIMETRE), layout="constrained")
        draw(figure.subplots())
        shown = [Line2D([], [], **look) for look in handles]
        if columns == 1:
            figure.legend(handles=shown, loc="outside upper left", handlelength=4.2)
        elif shown:
            figure.legend(handles=shown, loc="outside upper center", ncols=columns)
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=nothing)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].strip()
    for colour, name in zip(COLOURS, VARIABLES, strict=True):
        svg = svg.replace(colour, f"var(--{name})")
    return svg


def own_names(svg: str, prefix: str) -> str:
    """The chart with ``prefix`` before every id, so that several share a page."""
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", svg)
