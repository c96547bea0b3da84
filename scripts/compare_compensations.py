"""One network and one compensation at every angle, without and with further training."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from adapter import Mirrored, run_job
from neuron_pruning.architectures import with_classes
from neuron_pruning.checkpoints import Checkpoint, check_belongs, load_checkpoint
from neuron_pruning.fine_tuning import fine_tune_behind
from neuron_pruning.layers import describe_layer, preceding_name, record
from neuron_pruning.measured import read_outputs
from neuron_pruning.methods import find_technique
from neuron_pruning.metrics import before_and_after
from neuron_pruning.records import column, schema, write_rows
from neuron_pruning.splits import Split, read_split
from neuron_pruning.surgery import prune_checkpoint
from neuron_pruning.training import TrainingSettings
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
    column("test_loss_before", pa.float64(), "mean cross-entropy before pruning", "nats"),
    column("test_loss_after", pa.float64(), "mean cross-entropy after it", "nats"),
    column("agreement", pa.float64(), "share of test images with the unpruned answer"),
    column("divergence", pa.float64(), "from the unpruned network's answers", "nats"),
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
    training: dict[str, Any],
) -> Mirrored:
    """Write a row an angle and number of epochs; the layers behind the pruned one train."""
    parts = read_split(split)
    expected = with_classes(architecture, len(parts.classes))
    check_belongs(network, expected, belongs)
    reads = preceding_name(expected, layer)
    last = expected.layer_names[-1]
    outputs = read_outputs(activations, [reads, layer, last])
    before = load_checkpoint(network, since=layer)
    rows, test = parts.positions("train"), parts.positions("test")
    view = describe_layer(before, layer, record(outputs, expected, layer, rows, parts.truth))
    settings = training_settings(training, keys)
    prepared = find_technique(technique["name"]).prepared(view, **technique["settings"])
    found = []
    for angle in sorted(angles, reverse=True):
        selection = prepared(angle)
        after = prune_checkpoint(before, view, selection, compensation)
        for count in epochs:
            tuned = further(after, layer, outputs[reads], parts, replace(settings, epochs=count))
            answers = tuned.logits_from(layer, outputs[reads][test])
            found.append(
                {
                    "angle": angle,
                    "fine_tuning": count,
                    "removed": len(selection.removals),
                    **before_and_after(outputs[last][test], answers, parts.truth[test]),
                }
            )
    every = {**keys, "state": state, "layer": layer, "compensation": compensation}
    write_rows(points, found, POINTS_SCHEMA, {**every, "units": view.units})
    return Mirrored()


def further(
    after: Checkpoint,
    layer: str,
    inputs: np.ndarray,
    parts: Split,
    settings: TrainingSettings,
) -> Checkpoint:
    """The network after so many epochs."""
    rows = parts.positions("train")
    said = after.said(layer, inputs[rows])
    return fine_tune_behind(after, layer, said, parts.truth[rows], settings)


if "snakemake" in globals():
    run_job(snakemake, compare_compensations)  # noqa: F821
