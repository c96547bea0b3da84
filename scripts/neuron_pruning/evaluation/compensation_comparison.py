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
from neuron_pruning.statistics.metrics import before_and_after
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
    """A layer of a stored network, a compensation, and the training settings of fine-tuning.

    Attributes:
        stored: the layer with its training and test patterns.
        compensation: name of the compensation.
        training: settings of fine-tuning; its number of epochs varies.
        draws: of random removal.
    """

    stored: StoredLayer
    compensation: str
    training: TrainingSettings
    draws: int

    def rows(
        self, selections: dict[float, Selection], epochs: list[int]
    ) -> Iterator[dict[str, Any]]:
        """One row per angle, the widest first, and number of epochs."""
        for angle in sorted(selections, reverse=True):
            for count in epochs:
                figures = self._figures(selections[angle], replace(self.training, epochs=count))
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
        random_logits = [
            self._logits(random.select(self.stored.layer, removed, draw=draw), fitting, settings)
            for draw in range(draws)
        ]
        accuracies = [(logits.argmax(axis=1) == test.labels).mean() for logits in random_logits]
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
