"""Tests of the charts: what a reader finds in them, whatever the shape of the data."""

import re
import xml.etree.ElementTree as ElementTree

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from neuron_pruning.reporting.charts import (
    LINES,
    Curve,
    Dot,
    Level,
    against_angle,
    angle_histogram,
    banded_curves,
    confusion_chart,
    dot_plot,
    learning_curves,
    own_names,
)
from neuron_pruning.reporting.results import pair_angles


def texts(svg):
    """All texts of a chart; fails where the chart is no well-formed XML."""
    root = ElementTree.fromstring(svg)
    return [node.text for node in root.iter() if node.tag.endswith("text") and node.text]


def count_lines(svg, colour, width):
    """Lines of one colour and width in points; the legend's are lines too."""
    styles = re.findall(r'<path [^>]*style="([^"]*)"', svg)
    wanted = (f"stroke: var(--{colour})", f"stroke-width: {width}")
    return sum(all(part in style for part in wanted) for style in styles)


def history(cells=((0.001, 64),), seeds=(0, 1), epochs=4):
    rows = [
        {"learning_rate": rate, "batch_size": size, "seed": seed, "epoch": epoch}
        for rate, size in cells
        for seed in seeds
        for epoch in range(1, epochs + 1)
    ]
    frame = pd.DataFrame(rows)
    for number, name in enumerate(("train_loss", "test_loss", "train_accuracy", "test_accuracy")):
        frame[name] = 0.1 * number + 0.05 * frame["seed"] + 0.02 * frame["epoch"]
    return frame


def prunings(angles=(15, 10, 5), seeds=(0, 1, 2), states=("trained", "untrained")):
    return pd.DataFrame(
        [
            {"state": state, "seed": seed, "angle": float(angle), "value": 2.0 * angle + seed}
            for state in states
            for angle in angles
            for seed in seeds
        ]
    )


def test_learning_curves_show_seeds_mean_and_other_settings():
    svg = learning_curves(history(((0.001, 64), (0.002, 64)), (0, 1, 2)), (0.001, 64), "loss", 1.9)
    shown = texts(svg)
    assert {"training", "test", "guessing", "other settings", "epoch", "loss (nats)"} <= set(shown)
    assert count_lines(svg, "first", 0.6) == 3  # a thin line a seed
    assert count_lines(svg, "first", 1.9) == 2  # the mean and its entry in the legend
    assert count_lines(svg, "pale", 0.9) == 3  # train and test of the other setting, legend


def test_learning_curves_of_one_seed_and_setting_have_no_thin_or_pale_lines():
    svg = learning_curves(history(seeds=(0,)), (0.001, 64), "accuracy", 0.15)
    assert "accuracy (%)" in texts(svg) and "other settings" not in texts(svg)
    assert count_lines(svg, "first", 0.6) == count_lines(svg, "pale", 0.9) == 0


def test_learning_curves_of_one_epoch_are_points():
    one, two = (
        learning_curves(history(epochs=epochs), (0.001, 64), "loss", 1.9) for epochs in (1, 2)
    )
    series = [re.findall(r'<use [^>]*style="[^"]*var\(--second\)', svg) for svg in (one, two)]
    assert len(series[0]) == 1 and not series[1]


def test_training_and_test_differ_without_colour():
    svg = learning_curves(history(), (0.001, 64), "loss", 1.9)
    dashed = re.findall(r'style="([^"]*stroke-dasharray: [^"]*var\(--(\w+)\)[^"]*)"', svg)
    assert {colour for _, colour in dashed} == {"second", "muted"}


@pytest.mark.parametrize("size", [2, 7, 12])
def test_confusion_matrix_writes_every_count_and_class(size):
    counts = np.arange(size * size).reshape(size, size) + 1000
    classes = [f"a rather long class name {number}" for number in range(size)]
    shown = texts(confusion_chart(counts, classes))
    assert [text for text in shown if text.isdigit()] == [str(n) for n in counts.ravel()]
    assert [shown.count(name) for name in classes] == [2] * size
    assert "true class" in shown and "predicted class" in shown


def test_confusion_matrix_outlines_the_correct_predictions():
    svg = confusion_chart(np.ones((4, 4), dtype=int), list("ABCD"))
    assert svg.count("stroke: var(--ink)") == 4


def test_confusion_matrix_shades_by_share_of_the_row():
    svg = confusion_chart([[3, 1], [0, 0]], ["A", "B"])
    found = re.findall(r"fill: var\(--first\); opacity: ([\d.]+)", svg)
    assert [float(value) for value in found] == pytest.approx([0.65 * 0.75, 0.65 * 0.25])


def test_angle_histogram_names_states_and_marks_every_threshold():
    generator = np.random.default_rng(0)
    angles = {state: generator.uniform(0, 180, 100) for state in ("trained", "untrained")}
    svg = angle_histogram(angles, [15, 5])
    assert {"trained", "untrained", "thresholds", "similar", "complementary"} <= set(texts(svg))
    assert "angle between two units (degrees)" in texts(svg)
    assert count_lines(svg, "muted", 0.9) == 4  # 5, 15, 165, 175
    alone = texts(angle_histogram({"trained": angles["trained"]}, [15]))
    assert "untrained" not in alone and "trained" in alone


def test_against_angle_shows_states_paper_and_guessing():
    paper = pd.DataFrame({"angle": [15, 10], "value": [95.0, 82.0]})
    everything = texts(against_angle(prunings(), "units removed (%)", paper, 14.8))
    assert {"trained", "untrained", "paper", "guessing"} <= set(everything)
    assert {"units removed (%)", "5", "10", "15"} <= set(everything)
    plain = texts(against_angle(prunings(states=("trained",)), "accuracy", paper[:0]))
    assert not {"untrained", "paper", "guessing"} & set(plain)


def test_against_angle_names_the_start_and_takes_any_number_of_angles():
    assert {"not", "pruned", "15"} <= set(texts(against_angle(prunings((0, 15)), "accuracy (%)")))
    assert "7.5" in texts(against_angle(prunings((7.5,), (0,)), "accuracy (%)"))
    many = texts(against_angle(prunings(range(1, 91)), "accuracy (%)"))
    assert sum(text.isdigit() for text in many) < 25


def curves(number=6, seeds=(0, 1), points=20):
    x = np.arange(points)
    return [
        Curve(f"line {n}", pd.DataFrame({seed: 50 - n * x - seed for seed in seeds}, index=x), look)
        for n, look in enumerate(LINES[:number])
    ]


def bands(svg):
    """Colours of the filled areas."""
    return re.findall(r"fill: var\(--(\w+)\); (?:fill-)?opacity: 0\.13", svg)


def test_curves_have_a_band_where_there_are_several_seeds():
    names = ("removed of 20 units", "test accuracy (%)")
    several = banded_curves(curves(2), names, [0, 10, 20])
    assert bands(several) == ["first", "second"]
    assert bands(banded_curves(curves(2, (0,)), names, [0, 10, 20])) == []
    assert {"line 0", "line 1", "0", "10", "20", *names} <= set(texts(several))


def test_curves_show_the_mean_of_the_seeds():
    both = banded_curves(curves(1, (0, 2)), ("x", "y"), [0, 20])
    alone = banded_curves(curves(1, (1,)), ("x", "y"), [0, 20])
    assert count_lines(both, "first", 1.5) == count_lines(alone, "first", 1.5) == 2  # with legend


def test_curves_differ_without_colour():
    dashes = {str(look["linestyle"]) for look in LINES}
    assert len(dashes) == len({look["marker"] for look in LINES}) == len(LINES) >= 6
    svg = banded_curves(curves(), ("x", "y"), [0, 20])
    styles = re.findall(r'<path [^>]*style="([^"]*stroke-width: 1.5[^"]*)"', svg)
    patterns = [re.findall(r"stroke-dasharray: ([\d.,]+)", style) for style in styles]
    assert len({tuple(pattern) for pattern in patterns}) == len(LINES)


def test_curves_that_coincide_show_their_own_markers():
    same = [Curve(curve.label, curves(1, (0,))[0].values, curve.look) for curve in curves()]
    svg = banded_curves(same, ("x", "y"), [0, 20])
    uses = re.findall(r'<use [^>]*x="([\d.]+)" y="[\d.]+" style="fill: var\(--(\w+)\)', svg)
    places = [{x for x, colour in uses if colour == name} for name in ("first", "second")]
    legend = set.intersection(*({x for x, colour in uses if colour == c} for _, c in uses))
    assert len(legend) == 1 and all(len(found) >= 3 for found in places)
    assert places[0] & places[1] == legend


@pytest.mark.parametrize("points", [1, 2, 3])
def test_curves_of_few_points(points):
    svg = banded_curves(curves(points=points), ("x", "y"), [0, 1, 2])
    assert svg.count("<use") >= 6


def test_levels_are_dotted_and_named():
    levels = [Level("one point below", 40.0), Level("largest class", 15.0, in_legend=False)]
    svg = banded_curves(curves(1), ("x", "y"), [0, 20], levels)
    assert {"one point below", "largest class"} <= set(texts(svg))
    dotted = re.findall(r"stroke-dasharray: [^;]+; [^\"]*var\(--muted\)", svg)
    assert len(dotted) == 3  # two levels and the one of the legend


NOT = float("nan")
DOTS = [
    Dot("AlexNet", "random", 42.0, 34.0, 50.0),
    Dot("AlexNet", "movie", 21.0, 15.0, 29.0),
    Dot("Zhang (published)", "random", 23.0, NOT, NOT, hollow=True),
    Dot("elsewhere", "", 32.6, 29.0, 36.0, hollow=True),
]
CHANCE = Level("chance", 14.3)


def dots_of(svg, colour):
    """Whether each marker of one colour is hollow, the legend's among them."""
    found = re.findall(rf'<use [^>]*style="(fill[^;]*); stroke: var\(--{colour}\)', svg)
    return sorted(style == "fill-opacity: 0" for style in found)


def test_dots_are_named_once_and_in_their_order():
    shown = texts(dot_plot(DOTS, "test accuracy (%)", CHANCE))
    names = [text for text in shown if text in {dot.row for dot in DOTS}]
    assert names == ["AlexNet", "Zhang (published)", "elsewhere"]
    assert {"random", "movie", "chance", "hollow: published", "test accuracy (%)"} <= set(shown)
    plain = texts(dot_plot(DOTS[:2], "test accuracy (%)", CHANCE))
    assert "hollow: published" not in plain


def test_dots_have_an_interval_where_there_is_one():
    svg = dot_plot(DOTS, "x", CHANCE)
    assert [count_lines(svg, colour, 1.1) for colour in ("first", "second", "ink")] == [1, 1, 1]
    assert count_lines(dot_plot(DOTS[2:3], "x", CHANCE), "first", 1.1) == 0


def test_published_dots_are_hollow():
    svg = dot_plot(DOTS, "x", CHANCE)
    assert dots_of(svg, "first") == [False, False, True]
    assert dots_of(svg, "second") == [False, False]
    assert dots_of(svg, "ink") == [True, True]


def test_level_of_the_dots_does_not_cross_their_names():
    heights = []
    for path in re.findall(r'<path d="([^"]+)"[^>]*var\(--muted\)', dot_plot(DOTS, "x", CHANCE)):
        points = [float(n) for n in re.findall(r"[\d.]+", path)]
        if len(points) == 4 and points[0] == points[2]:
            heights.append(abs(points[1] - points[3]))
    pieces = [height for height in heights if height > 0]
    assert len(pieces) == len(DOTS) and max(pieces) < 10  # points; a name's line has 13


@pytest.mark.parametrize("number", [1, 6, 9])
def test_dots_of_any_number_of_groups(number):
    dots = [Dot("one", f"split {n}", 10.0 * n, NOT, NOT) for n in range(number)]
    shown = texts(dot_plot(dots, "x", CHANCE))
    assert {f"split {n}" for n in range(number)} <= set(shown)


def test_pair_angles_counts_every_pair_once():
    angles = np.array([[0, 1, 2], [1, 0, 3], [2, 3, 0]], dtype=float)
    assert pair_angles(angles).tolist() == [1, 2, 3]


def test_charts_repeat_byte_for_byte_and_leave_matplotlib_as_it_was():
    before = dict(mpl.rcParams)
    first, second = (confusion_chart([[1, 2], [3, 4]], ["A", "B"]) for _ in range(2))
    assert first == second
    assert dict(mpl.rcParams) == before


def test_charts_do_not_depend_on_a_persons_matplotlibrc():
    expected = confusion_chart([[1, 2], [3, 4]], ["A", "B"])
    with mpl.rc_context({"axes.labelpad": 30, "font.weight": "bold"}):
        assert confusion_chart([[1, 2], [3, 4]], ["A", "B"]) == expected


def test_charts_share_a_page():
    chart = confusion_chart(np.eye(2, dtype=int), ["A", "B"])
    assert chart.startswith("<svg") and "<metadata" not in chart
    assert "#0072b2" not in chart and "var(--first)" in chart
    renamed = [own_names(chart, prefix) for prefix in ("one", "two")]
    names = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in renamed]
    assert names[0] and not names[0] & names[1]
    for svg, own in zip(renamed, names, strict=True):
        links = set(re.findall(r'(?:url\(#|href="#)([^")]+)', svg))
        assert links and links <= own


def test_dollar_signs_of_class_names_are_no_formula():
    shown = texts(confusion_chart(np.array([[3, 1], [0, 2]]), ["$x^{$", "$5 and $6"]))
    assert shown.count("$x^{$") == shown.count("$5 and $6") == 2
