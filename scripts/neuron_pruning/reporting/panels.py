"""The charts of the report, each with its heading and a description for screen readers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from neuron_pruning.reporting.charts import (
    LINES,
    STATES,
    Curve,
    Level,
    against_angle,
    angle_histogram,
    banded_curves,
    confusion_chart,
    learning_curves,
    own_names,
)
from neuron_pruning.reporting.results import Results
from neuron_pruning.reporting.sweep_findings import (
    Line,
    PlacedLines,
    by_removed,
    compensation_lines,
    removed_by_angle,
    shown_lines,
)
from neuron_pruning.reporting.templating import counted
from neuron_pruning.tables.rendering import display_name

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


def figures(results: Results) -> dict[str, list[Panel]]:
    """All charts by figure; every figure has one or two panels per model or pruned layer."""
    return {
        "learning": [p for model in results.models for p in learning_panels(results, model)],
        "confusion": [confusion_panel(results, model) for model in results.models],
        "angles": [angle_panel(results, *network) for network in results.networks],
        "pruning": [p for model in results.models for p in pruning_panels(results, model)],
    }


def learning_panels(results: Results, model: str) -> Iterator[Panel]:
    """Loss and accuracy by epoch."""
    history = results.history[results.history["model"] == model]
    chosen = results.selected(model)
    cell = (chosen["learning_rate"], chosen["batch_size"])
    guesses = {"loss": float(np.log(len(results.classes))), "accuracy": results.guessing}
    for quantity, guess in guesses.items():
        yield Panel(
            f"{quantity}-{model}",
            f"{display_name(model)}: {quantity}",
            f"{quantity} of {display_name(model)} on training and test images by epoch, "
            f"learning rate {cell[0]:g}, batch size {cell[1]}; "
            f"{counted(history['seed'].nunique(), 'seed')}",
            learning_curves(history, cell, quantity, guess),
        )


def confusion_panel(results: Results, model: str) -> Panel:
    """Predictions for the test images, summed over the seeds."""
    rows = results.confusion
    rows = rows[(rows["model"] == model) & (rows["part"] == "test")]
    classes = results.classes
    summed = rows.pivot_table(index="label", columns="predicted", values="count", aggfunc="sum")
    counts = summed.loc[classes, classes].to_numpy()
    right, total = int(np.trace(counts)), int(counts.sum())
    return Panel(
        f"confusion-{model}",
        display_name(model),
        f"confusion matrix of {display_name(model)}: {right} of {total} test predictions "
        "are correct",
        confusion_chart(counts, classes),
        wide=len(classes) > 8,
    )


def angle_panel(results: Results, model: str, layer: str) -> Panel:
    """Angles between the units of a pruned layer."""
    found = results.angles.items()
    angles = {state: values for (*place, state), values in found if place == [model, layer]}
    thresholds = results.config["pruning"]["angles"]
    listed = ", ".join(
        f"{state} median {np.median(values):.1f} degrees" for state, values in angles.items()
    )
    return Panel(
        f"angles-{model}-{layer}",
        f"{display_name(model)}, layer {layer}",
        f"histogram of the angles between units of {display_name(model)}: {listed}",
        angle_histogram(angles, thresholds),
    )


def pruning_panels(results: Results, model: str) -> Iterator[Panel]:
    """Units removed and test accuracy against the angle."""
    rows, published = results.at_thresholds(model), results.published(model)
    if rows.empty:  # the config may save other techniques only
        return
    share = 100 * (1 - rows["units_after"] / rows["units_before"])
    removed = pd.DataFrame({**rows[["state", "angle"]], "value": share})
    paper = published.assign(value=100 * published["removed"] / published["units"])
    name, layer = display_name(model), rows["layer"].iloc[0]
    yield Panel(
        f"removed-{model}",
        f"{name}: units removed from {layer}",
        f"share of the units of {name} removed against the threshold angle",
        against_angle(removed, "units removed (%)", paper),
    )
    after = rows[["state", "angle"]].assign(value=100 * rows["test_accuracy_after"])
    before = rows.drop_duplicates(["state", "seed"])
    before = before[["state"]].assign(angle=0.0, value=100 * before["test_accuracy_before"])
    accuracy = pd.concat([before, after])
    yield Panel(
        f"accuracy-after-{model}",
        f"{name}: test accuracy",
        f"test accuracy of {name} before and after pruning against the threshold angle",
        against_angle(
            accuracy,
            "test accuracy (%)",
            published_accuracy(published),
            100 * results.guessing,
        ),
    )


def published_accuracy(published: pd.DataFrame) -> pd.DataFrame:
    """The paper's accuracies in percent by angle, 0 being before pruning."""
    before = published[:1].assign(angle=0, value=100 * published["before"][:1])
    return pd.concat([before, published.assign(value=100 * published["after"])])


def sweep_figures(results: Results) -> dict[str, list[Panel]]:
    """The charts of the sweeps by question, one panel per network and pruned layer."""
    shown = {network: shown_lines(results, *network) for network in results.networks}
    return {
        "how_much": [accuracy_panel(results, *n, lines, "go") for n, lines in shown.items()],
        "compensation": [
            accuracy_panel(results, *n, compensation_lines(results, *n), "compensated")
            for n in results.networks
        ],
        "agreement": [agreement_panel(results, *n, lines) for n, lines in shown.items()],
        "at_angles": [
            removed_panel(results, *n) for n in results.networks if removed_by_angle(results, *n)
        ],
    }


def accuracy_panel(
    results: Results, model: str, layer: str, lines: PlacedLines, name: str
) -> Panel:
    """Test accuracy against removed units."""
    curves = curves_of(results, model, layer, lines, "test_accuracy")
    before = float(curves[0].values.iloc[0].mean())
    levels = [
        Level("one point below unpruned", before - 1),
        Level("guessing", 100 * results.guessing, in_legend=False),
    ]
    return removal_panel(results, model, layer, curves, ("test accuracy", name), levels)


def agreement_panel(results: Results, model: str, layer: str, lines: PlacedLines) -> Panel:
    """Unchanged predictions against removed units."""
    curves = curves_of(results, model, layer, lines, "agreement")
    return removal_panel(results, model, layer, curves, ("unchanged predictions", "agreement"))


def removal_panel(
    results: Results,
    model: str,
    layer: str,
    curves: list[Curve],
    names: tuple[str, str],
    levels: Sequence[Level] = (),
) -> Panel:
    """Curves against removed units; ``names``: of the quantity and of the panel."""
    units, (quantity, panel) = results.units(model, layer), names
    seeds = counted(curves[0].values.shape[1], "seed")
    axes = f"removed of {units} units", f"{quantity} (%)"
    return Panel(
        f"{panel}-{model}-{layer}",
        f"{display_name(model)}, layer {layer}",
        f"{quantity} in percent of {display_name(model)} against the number of units removed from "
        f"{layer}, {seeds}; {'; '.join(map(ends, curves))}",
        banded_curves(curves, axes, ticks(units), levels),
    )


def removed_panel(results: Results, model: str, layer: str) -> Panel:
    """Removed units against the threshold, trained and untrained."""
    found = removed_by_angle(results, model, layer)
    curves = [Curve(state, values, STATES[state]) for state, values in found.items()]
    axes = "threshold angle (degrees)", f"removed of {results.units(model, layer)} units"
    return Panel(
        f"at-angles-{model}-{layer}",
        f"{display_name(model)}, layer {layer}",
        f"units of {layer} of {display_name(model)} removed against the threshold angle in "
        f"degrees; {'; '.join(map(ends, curves))}",
        banded_curves(curves, axes, ANGLES),
    )


def curves_of(
    results: Results, model: str, layer: str, lines: PlacedLines, figure: str
) -> list[Curve]:
    """One curve per line, in the look that its place stands for."""
    return [
        Curve(label(line), by_removed(results, model, layer, line, figure), LINES[place])
        for line, place in lines
    ]


def label(line: Line) -> str:
    """A line in a legend: ``random, no compensation``."""
    return f"{line[0]}, {'no compensation' if line[1] == 'none' else line[1]}"


def ticks(units: int) -> list[float]:
    """Round numbers of removed units, up to all of them."""
    places = MaxNLocator(nbins=6, integer=True).tick_values(0, units)
    return [float(place) for place in places if place <= units]


def ends(curve: Curve) -> str:
    """A curve in numbers: its first, middle and last mean."""
    means = curve.values.mean(axis=1)
    places = sorted({0, len(means) // 2, len(means) - 1})
    listed = ", ".join(f"{means.iloc[p]:.1f} at {means.index[p]:g}" for p in places)
    return f"{curve.label}: {listed}"
