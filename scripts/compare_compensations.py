"""One network and one compensation at every angle, without and with further training."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from adapter import Mirrored, run_job
from neuron_pruning.core.parquet import column, schema, write_rows
from neuron_pruning.data.split_file import read_split
from neuron_pruning.models.architectures import with_classes
from neuron_pruning.models.checkpoints import Checkpoint
from neuron_pruning.pruning.layer_source import StoredLayer, read_layer
from neuron_pruning.pruning.selection import Selection
from neuron_pruning.pruning.surgery import prune_checkpoint
from neuron_pruning.pruning.techniques import find_technique
from neuron_pruning.statistics.metrics import before_and_after
from neuron_pruning.training.fine_tuning import fine_tune_downstream
from neuron_pruning.training.settings import TrainingSettings
from train import training_settings

POINTS_SCHEMA = schema(
    column("state", pa.string(), "trained or untrained"),
    column("layer", pa.string(), "pruned fully connected layer"),
    column("compensation", pa.string(), "what the remaining units got in return"),
    column("angle", pa.float64(), "threshold of distinctiveness", "degrees"),
    column("fine_tuning", pa.int64(), "epochs of further training behind the layer"),
    column("units", pa.int64(), "units of the layer before pruning"),
    column("removed", pa.int64(), "removed units"),
    column("test_images", pa.int64(), "images of the test part", "images"),
    column("test_accuracy_before", pa.float64(), "share right before pruning"),
    column("test_accuracy_after", pa.float64(), "share right after it"),
    column("random_accuracy", pa.float64(), "the same after random removal of as many units"),
    column("test_loss_before", pa.float64(), "mean cross-entropy before pruning", "nats"),
    column("test_loss_after", pa.float64(), "mean cross-entropy after it", "nats"),
    column("agreement", pa.float64(), "share of test images with the unpruned answer"),
    column("divergence", pa.float64(), "from the unpruned network's answers", "nats"),
    column("lost", pa.int64(), "test images right before pruning alone", "images"),
    column("gained", pa.int64(), "test images right after pruning alone", "images"),
)


def compare_compensations(
    split: Path,
    network: Path,
    activations: Path,
    points: Path,
    keys: dict[str, Any],
    belongs: dict[str, Any],
    architecture: dict[str, Any],
    state: str,
    layer: str,
    technique: dict[str, Any],
    compensation: str,
    angles: list[float],
    epochs: list[int],
    draws: int,
    training: dict[str, Any],
) -> Mirrored:
    """Write a row an angle and number of epochs; the layers behind the pruned one train."""
    parts = read_split(split)
    expected = with_classes(architecture, len(parts.classes))
    stored = read_layer(network, activations, parts, expected, belongs, layer, (), keys["seed"])
    chosen = find_technique(technique["name"]).prepared(stored.layer, **technique["settings"])
    settings = training_settings(training, keys)
    rows = [
        {"angle": angle, "fine_tuning": count, **figures}
        for angle in sorted(angles, reverse=True)
        for count in epochs
        for figures in measure(
            stored, chosen(angle), compensation, replace(settings, epochs=count), draws
        )
    ]
    every = {**keys, "state": state, "layer": layer, "compensation": compensation}
    write_rows(points, rows, POINTS_SCHEMA, {**every, "units": stored.layer.units})
    return Mirrored()


def measure(
    stored: StoredLayer,
    selection: Selection,
    compensation: str,
    settings: TrainingSettings,
    draws: int,
) -> Iterator[dict[str, Any]]:
    """Figures of one pruned network, and of random removal of as many units treated alike.

    Where random removal cannot have the compensation it goes without.
    """
    test, random = stored.test, find_technique("random")
    before = stored.layer.logits(test.activations)
    answers = pruned_answers(stored, selection, compensation, settings)
    fitting = compensation if random.refusal(compensation) is None else "none"
    count = len(selection.removals)
    by_chance = [
        pruned_answers(stored, random.select(stored.layer, count, draw=draw), fitting, settings)
        for draw in range(draws if count else 1)  # nothing is the same nothing in every draw
    ]
    yield {
        "removed": count,
        "random_accuracy": float(
            np.mean([(found.argmax(axis=1) == test.truth).mean() for found in by_chance])
        ),
        **before_and_after(before, answers, test.truth),
    }


def pruned_answers(
    stored: StoredLayer, selection: Selection, compensation: str, settings: TrainingSettings
) -> np.ndarray:
    """Logits of the test patterns after pruning and so many epochs."""
    layer = stored.layer
    after: Checkpoint = prune_checkpoint(stored.checkpoint, layer, selection, compensation)
    said = after.said(layer.name, layer.inputs)
    tuned = fine_tune_downstream(after, layer.name, said, layer.truth, settings)
    return tuned.logits_from(layer.name, stored.test.inputs)


if "snakemake" in globals():
    run_job(snakemake, compare_compensations)  # noqa: F821
