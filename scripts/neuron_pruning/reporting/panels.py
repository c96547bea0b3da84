"""The charts of training, answers, angles and threshold prunings, with themselves in words."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from markupsafe import Markup

from neuron_pruning.reporting.charts import (
    against_angle,
    angle_histogram,
    confusion_matrix,
    learning_curves,
    own_names,
)
from neuron_pruning.reporting.results import Results, display_name
from neuron_pruning.reporting.summaries import setting_text


@dataclass(frozen=True)
class Panel:
    """One chart of a figure: a name for the page, its heading, itself in words, and the SVG.

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
    """All charts by figure; every figure has one panel a model or pruned layer, or two."""
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
            f"{setting_text(chosen)}; {history['seed'].nunique()} seeds",
            learning_curves(history, cell, quantity, guess),
        )


def confusion_panel(results: Results, model: str) -> Panel:
    """Test answers, summed over the seeds."""
    rows = results.confusion
    rows = rows[(rows["model"] == model) & (rows["part"] == "test")]
    classes = results.classes
    summed = rows.pivot_table(index="label", columns="predicted", values="count", aggfunc="sum")
    counts = summed.loc[classes, classes].to_numpy()
    right, total = int(np.trace(counts)), int(counts.sum())
    return Panel(
        f"confusion-{model}",
        display_name(model),
        f"confusion matrix of {display_name(model)}: {right} of {total} test answers are right",
        confusion_matrix(counts, classes),
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
    if rows.empty:  # the config may write other techniques alone
        return
    gone = 100 * (1 - rows["units_after"] / rows["units_before"])
    removed = pd.DataFrame({**rows[["state", "angle"]], "value": gone})
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
