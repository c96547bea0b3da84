"""Compensations side by side: one network at several thresholds, with and without fine-tuning."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from neuron_pruning.core.parquet import column, schema
from neuron_pruning.evaluation.pruned_networks import EFFECT_COLUMNS
from neuron_pruning.models.checkpoints import Checkpoint
from neuron_pruning.pruning.network_source import StoredLayer
from neuron_pruning.pruning.selection import Selection
from neuron_pruning.pruning.surgery import prune_checkpoint
from neuron_pruning.pruning.techniques import find_technique
from neuron_pruning.pruning.techniques.technique import SelectAtAmount
from neuron_pruning.statistics.metrics import before_and_after, share_right
from neuron_pruning.training.fine_tuning import fine_tune_alike
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


LARGEST_STACK = 10_000_000  # parameters of networks that are fine-tuned at once: 200 MB
Key = tuple[str, int | None]  # compensation, and number of the draw of random removal
Logits = dict[Key, NDArray[np.floating]]


@dataclass(frozen=True)
class CompensationComparison:
    """What is compared: a layer of a stored network after compensations and fine-tuning."""

    stored: StoredLayer
    compensations: Sequence[str]
    training: TrainingSettings  # of fine-tuning; the number of epochs varies
    draws: int  # of random removal

    def rows(
        self, select: SelectAtAmount, angles: list[float], epochs: list[int]
    ) -> Iterator[dict[str, Any]]:
        """One row per angle, the widest first, number of epochs and compensation."""
        test = self.stored.test
        before = self.stored.layer.logits(test.activations)
        for angle in sorted(set(angles), reverse=True):
            selection = select(angle)
            logits = self._logits(self._prunings(selection), epochs)
            for count, name in product(epochs, self.compensations):
                yield {
                    "compensation": name,
                    "angle": angle,
                    "fine_tuning": count,
                    "removed": len(selection.removals),
                    "random_accuracy": self._random_accuracy(name, logits[count]),
                    **before_and_after(before, logits[count][name, None], test.labels),
                }

    def _prunings(self, selection: Selection) -> dict[Key, Selection]:
        """The selection, and random removal of as many units: the same draws for every one."""
        layer, random = self.stored.layer, find_technique("random")
        count = len(selection.removals)
        found: dict[Key, Selection] = {(name, None): selection for name in self.compensations}
        for draw in range(self.draws if count else 1):  # nothing is the same in every draw
            drawn = random.select(layer, count, draw=draw)
            found |= {(of_random(name), draw): drawn for name in self.compensations}
        return found

    def _logits(
        self, prunings: Mapping[Key, Selection], epochs: Sequence[int]
    ) -> dict[int, Logits]:
        """Logits of the test patterns by epochs of fine-tuning; not too many networks at once."""
        checkpoint, layer, keys = self.stored.checkpoint, self.stored.layer, list(prunings)
        logits: dict[int, Logits] = {count: {} for count in epochs}
        size = max(1, LARGEST_STACK // sum(array.size for array in checkpoint.tensors.values()))
        for start in range(0, len(keys), size):
            group = keys[start : start + size]
            pruned = [prune_checkpoint(checkpoint, layer, prunings[key], key[0]) for key in group]
            for count in epochs:
                for key, network in zip(group, self._fine_tuned(pruned, count), strict=True):
                    outputs = network.logits_from(layer.name, self.stored.test.inputs)
                    logits[count][key] = outputs
        return logits

    def _fine_tuned(self, networks: list[Checkpoint], epochs: int) -> list[Checkpoint]:
        """The networks, with the layers downstream of the pruned one trained for some epochs."""
        if not epochs:
            return networks
        layer, settings = self.stored.layer, replace(self.training, epochs=epochs)
        inputs = layer.inputs
        activations = [network.hidden_activations(layer.name, inputs) for network in networks]
        return fine_tune_alike(networks, layer.name, activations, layer.labels, settings)

    def _random_accuracy(self, name: str, logits: Logits) -> float:
        """Test accuracy after random removal with a compensation, mean over draws."""
        labels = self.stored.test.labels
        drawn = [
            share_right(values, labels)
            for (compensation, draw), values in logits.items()
            if draw is not None and compensation == of_random(name)
        ]
        return float(np.mean(drawn))


def of_random(compensation: str) -> str:
    """The compensation of random removal: none, where it cannot have this one."""
    return compensation if find_technique("random").refusal(compensation) is None else "none"
