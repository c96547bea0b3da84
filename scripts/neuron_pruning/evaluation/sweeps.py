"""Accuracy and loss of a network against how many units of a layer are removed.

Computed from recorded activations alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float64
from numpy.typing import NDArray

from neuron_pruning.core.parquet import column, schema
from neuron_pruning.pruning.compensations import Weights, compensate
from neuron_pruning.pruning.selection import Selection
from neuron_pruning.pruning.surgery import pruned_logits
from neuron_pruning.pruning.techniques.technique import SelectAtAmount, Technique
from neuron_pruning.pruning.units import Layer, LayerActivations
from neuron_pruning.statistics.metrics import (
    cross_entropy,
    divergence,
    predicted_classes,
    share_right,
)
from neuron_pruning.statistics.resampling import packed

MAX_ANGLE = 90.0  # degrees: units further apart are never similar
SWEEP_SCHEMA = schema(
    column("state", pa.string(), "trained or untrained"),
    column("layer", pa.string(), "pruned fully connected layer"),
    column("technique", pa.string(), "label of the technique"),
    column("default_compensation", pa.string(), "compensation that the technique's label names"),
    column("units", pa.int64(), "units of the layer before pruning"),
    column("test_images", pa.int64(), "images of the test part", "images"),
    column("compensation", pa.string(), "what the remaining units got in return"),
    column("draw", pa.int64(), "number of the draw, of techniques that draw"),
    column("angle", pa.float64(), "threshold; none where units were counted", "degrees"),
    column("removed", pa.int64(), "removed units"),
    column("train_accuracy", pa.float64(), "accuracy on the training images"),
    column("train_loss", pa.float64(), "mean cross-entropy, training images", "nats"),
    column("test_accuracy", pa.float64(), "accuracy on the test images"),
    column("test_loss", pa.float64(), "mean cross-entropy, test images", "nats"),
    column("agreement", pa.float64(), "share of test images with the unpruned prediction"),
    column("divergence", pa.float64(), "from the unpruned network's probabilities", "nats"),
    column("correct", pa.binary(), "which test images are right: one bit each, as numpy.packbits"),
)


@dataclass(frozen=True)
class SweepSettings:
    """How far and how finely.

    Attributes:
        compensations: what the remaining units get, by name; ``own`` is the technique's.
        step: between thresholds, degrees; None for techniques that have none.
        counts: numbers of removed units.
        draws: of techniques that draw.
    """

    compensations: tuple[str, ...]
    step: float | None
    counts: tuple[int, ...]
    draws: int

    @classmethod
    def for_layer(cls, units: int, section: Mapping[str, Any]) -> "SweepSettings":
        """Settings for a layer of ``units``, from the config's section."""
        return cls(
            tuple(section["compensations"]),
            section["step"],
            counts_up_to(units, section["max_points"], section["counts"]),
            section["draws"],
        )


@dataclass(frozen=True)
class Point:
    """One pruned network; the columns of the same names say what its figures are."""

    compensation: str
    draw: int
    angle: float | None
    removed: int
    train_accuracy: float
    train_loss: float
    test_accuracy: float
    test_loss: float
    agreement: float
    divergence: float
    correct: bytes


def sweep(
    layer: Layer,
    test: LayerActivations,
    technique: Technique,
    options: dict[str, Any],
    compensation: str,
    settings: SweepSettings,
) -> Iterator[Point]:
    """Points at every amount, for every compensation that makes sense for the technique.

    Args:
        layer: with the training patterns, which alone choose and fit.
        test: the same layer over the test patterns.
        technique: how units are selected.
        options: settings of the technique.
        compensation: the one called ``own``.
        settings: amounts.
    """
    named = (compensation if name == "own" else name for name in settings.compensations)
    fitting = [name for name in dict.fromkeys(named) if technique.refusal(name) is None]
    unpruned, draws = layer.logits(test.activations), "draw" in technique.settings
    for draw in range(settings.draws if draws else 1):
        prepared = technique.prepared(layer, **(options | ({"draw": draw} if draws else {})))
        for angle, selection in selections(technique, prepared, layer.units, settings):
            for name in fitting:
                weights = compensate(layer, selection, name)
                figures = _figures(layer, test, unpruned, selection, weights)
                yield Point(name, draw, angle, len(selection.removals), **figures)


def selections(
    technique: Technique, prepared: SelectAtAmount, units: int, settings: SweepSettings
) -> Iterator[tuple[float | None, Selection]]:
    """Selections at every angle, where there is one, and at every number of units."""
    if technique.amount == "units":
        for count in settings.counts:
            yield None, prepared(count)
        return
    assert settings.step is not None
    angles = np.arange(0.0, MAX_ANGLE + settings.step / 2, settings.step)
    # The widest first: narrower thresholds select among the pairs that it found.
    by_angle = {angle: prepared(angle) for angle in angles[:0:-1].tolist()}
    by_angle[0.0] = Selection(units, ())
    for angle in angles.tolist():
        yield angle, by_angle[angle]
    for count in settings.counts:
        enough = at_count([by_angle[angle] for angle in angles.tolist()], count)
        if enough is not None:
            yield None, enough


def at_count(by_angle: Sequence[Selection], count: int) -> Selection | None:
    """The first ``count`` removals of the narrowest threshold that removes so many, if any does.

    ASSUME: so a technique with a threshold is compared at equal numbers of removed units.
    """
    enough = (selection for selection in by_angle if len(selection.removals) >= count)
    return next((selection.first(count) for selection in enough), None)


def _figures(
    layer: Layer,
    test: LayerActivations,
    unpruned: Float64[NDArray, "patterns classes"],
    selection: Selection,
    weights: Weights,
) -> dict[str, Any]:
    """Accuracy and loss of one pruned network beside the test logits of the unpruned one."""
    assert layer.recorded is not None
    train_logits, test_logits = (
        pruned_logits(layer, selection, weights, part) for part in (layer.recorded, test)
    )
    return {
        "train_accuracy": share_right(train_logits, layer.labels),
        "train_loss": cross_entropy(train_logits, layer.labels),
        "test_accuracy": share_right(test_logits, test.labels),
        "test_loss": cross_entropy(test_logits, test.labels),
        "agreement": share_right(test_logits, predicted_classes(unpruned)),
        "divergence": divergence(unpruned, test_logits),
        "correct": packed(test_logits.argmax(axis=1) == test.labels),
    }


def counts_up_to(units: int, most: int, always: Sequence[int] = ()) -> tuple[int, ...]:
    """Every number of removed units from 0 to H - 1, or ``most`` of them evenly spaced.

    Those of ``always`` below H are among them.
    """
    spaced = np.linspace(0, units - 1, min(most, units)).round().astype(int).tolist()
    return tuple(sorted({*spaced, *(count for count in always if count < units)}))
