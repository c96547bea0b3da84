"""Compensations side by side: one network at several thresholds, with and without fine-tuning."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from neuron_pruning.core.parquet import column, schema
from neuron_pruning.evaluation.pruned_networks import EFFECT_COLUMNS
from neuron_pruning.pruning.network_source import StoredLayer
from neuron_pruning.pruning.selection import Selection
from neuron_pruning.pruning.surgery import prune_checkpoint
from neuron_pruning.pruning.techniques import find_technique
from neuron_pruning.pruning.techniques.technique import SelectAtAmount
from neuron_pruning.statistics.metrics import before_and_after, share_right
from neuron_pruning.training.fine_tuning import fine_tune_downstream
from neuron_pruning.training.settings import TrainingSettings

_test_images, _before, _after, *_others = EFFECT_COLUMNS
COMPENSATION_SCHEMA = schema(
    column("state", pa.string(), "trained or untrained"),
    column("layer", pa.string(), "pruned fully connected layer"),
    column("compensation", pa.string(), "what the remaining units got in return"),
    column("angle", pa.float64(), "threshold of distinctiveness", "degrees"),
    column("fine_tuning", pa.int64(), "epochs of fine-tuning of the downstream layers"),
    column("units", pa.int64(), "units of the layer before pruning"),
    column("removed", pa.int64(), "removed units"),
    _test_images,
    _before,
    _after,
    column("random_accuracy", pa.float64(), "test accuracy after random removal of as many units"),
    *_others,
)


@dataclass(frozen=True)
class CompensationComparison:
    """What is compared: a layer of a stored network after one compensation and fine-tuning."""

    stored: StoredLayer
    compensation: str
    training: TrainingSettings  # of fine-tuning; the number of epochs varies
    draws: int  # of random removal

    def rows(
        self, select: SelectAtAmount, angles: list[float], epochs: list[int]
    ) -> Iterator[dict[str, Any]]:
        """One row per angle, the widest first, and number of epochs."""
        for angle in sorted(set(angles), reverse=True):
            selection = select(angle)
            for count in epochs:
                figures = self._figures(selection, replace(self.training, epochs=count))
                yield {"angle": angle, "fine_tuning": count, **figures}

    def _figures(self, selection: Selection, settings: TrainingSettings) -> dict[str, Any]:
        """Figures of one pruned network, and of random removal of as many units.

        Where random removal cannot have the compensation, it has none.
        """
        test, random = self.stored.test, find_technique("random")
        before = self.stored.layer.logits(test.activations)
        after = self._logits(selection, self.compensation, settings)
        fitting = self.compensation if random.refusal(self.compensation) is None else "none"
        removed = len(selection.removals)
        draws = self.draws if removed else 1  # nothing is the same nothing in every draw
        drawn = (random.select(self.stored.layer, removed, draw=draw) for draw in range(draws))
        logits = (self._logits(selection, fitting, settings) for selection in drawn)
        accuracies = [share_right(values, test.labels) for values in logits]
        return {
            "removed": removed,
            "random_accuracy": float(np.mean(accuracies)),
            **before_and_after(before, after, test.labels),
        }

    def _logits(
        self, selection: Selection, compensation: str, settings: TrainingSettings
    ) -> NDArray[np.floating]:
        """Logits of the test patterns after pruning and fine-tuning the downstream layers."""
        layer = self.stored.layer
        pruned = prune_checkpoint(self.stored.checkpoint, layer, selection, compensation)
        activations = pruned.hidden_activations(layer.name, layer.inputs)
        tuned = fine_tune_downstream(pruned, layer.name, activations, layer.labels, settings)
        return tuned.logits_from(layer.name, self.stored.test.inputs)
