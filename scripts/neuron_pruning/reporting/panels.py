"""The charts of the report, each with its heading and a description for screen readers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from neuron_pruning.core.parquet import as_dicts
from neuron_pruning.reporting.charts import (
    LINES,
    STATES,
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
from neuron_pruning.reporting.results import Results
from neuron_pruning.reporting.sweep_findings import Layer, PlacedLines
from neuron_pruning.statistics.model_comparison import (
    CONSTANT_KIND,
    PUBLISHED_KIND,
    concerns_any_split,
)
from neuron_pruning.tables.rendering import counted, display_name

ANGLES = range(0, 91, 15)  # degrees


@dataclass(frozen=True)
class Panel:
    """One chart of a figure: a name for the page, a heading, a description, and the SVG.

    Attributes:
        wide: as large as it is drawn; what is wider than the page scrolls.
        column: alone in its row, no wider than it is drawn.
    """

    name: str
    title: str
    description: str
    chart: str
    wide: bool = False
    column: bool = False

    @property
    def svg(self) -> Markup:
        """The chart with ids that no other chart of the page has."""
        return Markup(own_names(self.chart, self.name))


def figures(results: Results, layers: Sequence[Layer]) -> dict[str, list[Panel]]:
    """All charts by figure; every figure has one or two panels per model or pruned layer."""
    guessing = 100 * results.guessing
    return {
        "learning": [p for model in results.models for p in learning_panels(results, model)],
        "confusion": [confusion_panel(results, model) for model in results.models],
        "angles": [angle_panel(results, layer) for layer in layers],
        "pruning": [p for model in results.models for p in pruning_panels(results, model)],
        "how_much": [accuracy_panel(of, of.best_lines, "go", guessing) for of in layers],
        "compensation": [
            accuracy_panel(of, of.compensation_lines, "compensated", guessing) for of in layers
        ],
        "agreement": [agreement_panel(layer) for layer in layers],
        "at_angles": [removed_panel(layer) for layer in layers if layer.by_angle],
        "classifiers": list(classifier_panels(results)),
    }


def learning_panels(results: Results, model: str) -> Iterator[Panel]:
    """Loss and accuracy by epoch."""
    history, name = results.history[results.history["model"] == model], display_name(model)
    cell = tuple(results.selected(model)[["learning_rate", "batch_size"]])
    guesses = {"loss": float(np.log(len(results.classes))), "accuracy": results.guessing}
    setting = f"learning rate {cell[0]:g}, batch size {cell[1]}"
    seeds = counted(history["seed"].nunique(), "seed")
    for quantity, guess in guesses.items():
        yield Panel(
            f"{quantity}-{model}",
            f"{name}: {quantity}",
            f"{quantity} of {name} on training and test images by epoch, {setting}; {seeds}",
            learning_curves(history, cell, quantity, guess),
        )


def confusion_panel(results: Results, model: str) -> Panel:
    """Predictions for the test images, summed over the seeds."""
    rows, classes, name = results.confusion, results.classes, display_name(model)
    rows = rows[(rows["model"] == model) & (rows["part"] == "test")]
    summed = rows.pivot_table(index="label", columns="predicted", values="count", aggfunc="sum")
    counts = summed.loc[classes, classes].to_numpy()
    predictions = f"{int(np.trace(counts))} of {int(counts.sum())} test predictions"
    return Panel(
        f"confusion-{model}",
        name,
        f"confusion matrix of {name}: {predictions} are correct",
        confusion_chart(counts, classes),
        wide=len(classes) > 8,
    )


def angle_panel(results: Results, layer: Layer) -> Panel:
    """Angles between the units of a pruned layer."""
    place, found = (layer.model, layer.name), results.angles.items()
    angles = {key[-1]: values for key, values in found if key[:-1] == place}
    medians = [f"{s} median {np.median(values):.1f} degrees" for s, values in angles.items()]
    return layer_panel(
        layer,
        "angles",
        f"histogram of the angles between units of {display_name(layer.model)}: "
        f"{', '.join(medians)}",
        angle_histogram(angles, results.config["pruning"]["angles"]),
    )


def layer_panel(layer: Layer, name: str, description: str, chart: str) -> Panel:
    """A chart of one pruned layer."""
    title = f"{display_name(layer.model)}, layer {layer.name}"
    return Panel(f"{name}-{layer.model}-{layer.name}", title, description, chart)


def pruning_panels(results: Results, model: str) -> Iterator[Panel]:
    """Units removed and test accuracy against the angle."""
    rows, published = results.at_thresholds(model), results.published(model)
    if rows.empty:  # the config may save other techniques only
        return
    share = 100 * (1 - rows["units_after"] / rows["units_before"])
    paper = published.assign(value=100 * published["removed"] / published["units"])
    name, points = display_name(model), rows[["state", "angle"]]
    yield Panel(
        f"removed-{model}",
        f"{name}: units removed from {rows['layer'].iloc[0]}",
        f"share of the units of {name} removed against the threshold angle",
        against_angle(points.assign(value=share), "units removed (%)", paper),
    )
    after = points.assign(value=100 * rows["test_accuracy_after"])
    before = rows.drop_duplicates(["state", "seed"])
    before = before[["state"]].assign(angle=0.0, value=100 * before["test_accuracy_before"])
    unpruned = published[:1].assign(angle=0, value=100 * published["before"][:1])
    paper = pd.concat([unpruned, published.assign(value=100 * published["after"])])
    accuracy, guess = pd.concat([before, after]), 100 * results.guessing
    yield Panel(
        f"accuracy-after-{model}",
        f"{name}: test accuracy",
        f"test accuracy of {name} before and after pruning against the threshold angle",
        against_angle(accuracy, "test accuracy (%)", paper, guess),
    )


def accuracy_panel(layer: Layer, lines: PlacedLines, name: str, guessing: float) -> Panel:
    """Test accuracy against removed units."""
    curves = curves_of(layer, lines, "test_accuracy")
    below = Level("one point below unpruned", float(curves[0].values.iloc[0].mean()) - 1)
    levels = [below, Level("guessing", guessing, in_legend=False)]
    return removal_panel(layer, curves, ("test accuracy", name), levels)


def agreement_panel(layer: Layer) -> Panel:
    """Unchanged predictions against removed units."""
    curves = curves_of(layer, layer.best_lines, "agreement")
    return removal_panel(layer, curves, ("unchanged predictions", "agreement"))


def removal_panel(
    layer: Layer, curves: list[Curve], names: tuple[str, str], levels: Sequence[Level] = ()
) -> Panel:
    """Curves against removed units; ``names``: of the quantity and of the panel."""
    quantity, panel = names
    seeds = counted(curves[0].values.shape[1], "seed")
    ticks = MaxNLocator(nbins=6, integer=True).tick_values(0, layer.units)
    ticks = [float(place) for place in ticks if place <= layer.units]
    axes = f"removed of {layer.units} units", f"{quantity} (%)"
    return layer_panel(
        layer,
        panel,
        f"{quantity} in percent of {display_name(layer.model)} against the number of units removed "
        f"from {layer.name}, {seeds}; {'; '.join(map(ends, curves))}",
        banded_curves(curves, axes, ticks, levels),
    )


def removed_panel(layer: Layer) -> Panel:
    """Removed units against the threshold, trained and untrained."""
    curves = [Curve(state, values, STATES[state]) for state, values in layer.by_angle.items()]
    axes = "threshold angle (degrees)", f"removed of {layer.units} units"
    return layer_panel(
        layer,
        "at-angles",
        f"units of {layer.name} of {display_name(layer.model)} removed against the threshold angle "
        f"in degrees; {'; '.join(map(ends, curves))}",
        banded_curves(curves, axes, ANGLES),
    )


def curves_of(layer: Layer, lines: PlacedLines, figure: str) -> list[Curve]:
    """One curve per line, in the look that its place stands for."""
    labels = [f"{t}, {'no compensation' if c == 'none' else c}" for t, c in lines]
    return [
        Curve(label, layer.by_removed(line, figure), LINES[place])
        for label, (line, place) in zip(labels, lines.items(), strict=True)
    ]


def ends(curve: Curve) -> str:
    """A curve in numbers: its first, middle and last mean."""
    means = curve.values.mean(axis=1)
    places = sorted({0, len(means) // 2, len(means) - 1})
    listed = ", ".join(f"{means.iloc[p]:.1f} at {means.index[p]:g}" for p in places)
    return f"{curve.label}: {listed}"


def classifier_panels(results: Results) -> Iterator[Panel]:
    """Table 7 as one chart of all classifiers and splits; none without that table."""
    if 7 not in results.tables:
        return
    rows = results.tables[7]
    shown = rows[(rows["contender"] != "chance") | (rows["kind"] != CONSTANT_KIND)]
    level = Level("chance", 100 * results.constant("chance"))
    yield Panel(
        "classifiers",
        "Test accuracy under every split",
        f"test accuracy in percent with 95 % intervals; chance {level.value:.1f}; "
        f"{in_words(shown)}",
        dot_plot(dots(shown), "test accuracy (%)", level),
        column=True,
    )


def dots(rows: pd.DataFrame) -> list[Dot]:
    """Points of the chart, classifier by classifier."""
    groups = rows["split"].mask(concerns_any_split(rows), "")
    shown = 100 * rows[["accuracy_mean", "low", "high"]]
    rows = shown.assign(group=groups, name=rows["name"], hollow=rows["kind"] == PUBLISHED_KIND)
    columns = ["name", "group", "accuracy_mean", "low", "high", "hollow"]
    by_name = [found[columns] for _, found in rows.groupby("name", sort=False)]
    return [Dot(*row) for found in by_name for row in found.itertuples(index=False)]


def in_words(rows: pd.DataFrame) -> str:
    """Every point: ``AlexNet, initialised, whole frames: random 42.0 (34 to 50), movie …``."""
    listed = [
        f"{name}: {', '.join(map(_figure, as_dicts(found)))}"
        for name, found in rows.assign(everywhere=concerns_any_split(rows)).groupby(
            "name", sort=False
        )
    ]
    return "; ".join(listed)


def _figure(row: Mapping[str, Any]) -> str:
    split = "" if row["everywhere"] else f"{row['split']} "
    ends = "" if pd.isna(row["low"]) else f" ({100 * row['low']:.0f} to {100 * row['high']:.0f})"
    return f"{split}{100 * row['accuracy_mean']:.1f}{ends}"
