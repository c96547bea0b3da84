"""Prune one network at one angle and measure what is left."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from safetensors.numpy import load_file

from adapter import Mirrored, run_job
from neuron_pruning.architectures import count_multiply_adds, count_parameters, with_classes
from neuron_pruning.checkpoints import (
    Checkpoint,
    check_belongs,
    load_checkpoint,
    save_checkpoint,
)
from neuron_pruning.distinctiveness import RULES, Selection, select_units
from neuron_pruning.errors import UserError
from neuron_pruning.metrics import cross_entropy
from neuron_pruning.records import column, schema, write_rows
from neuron_pruning.splits import read_split
from neuron_pruning.surgery import following_layer, prune_checkpoint

PRUNING = (
    column("state", pa.string(), "trained or untrained"),
    column("technique", pa.string(), "how units were selected"),
    column("compensation", pa.string(), "what the remaining units got in return"),
    column("layer", pa.string(), "pruned fully connected layer"),
    column("angle", pa.float64(), "threshold", "degrees"),
)
METRICS_SCHEMA = schema(
    *PRUNING,
    column("units_before", pa.int64(), "units of the layer before pruning"),
    column("units_after", pa.int64(), "units of the layer after pruning"),
    *(column(f"removed_{rule}", pa.int64(), f"units removed as {rule}") for rule in RULES),
    column("largest_similar_angle", pa.float64(), "between a unit and its survivor", "degrees"),
    column("test_images", pa.int64(), "images of the test part", "images"),
    column("test_accuracy_before", pa.float64(), "share right before pruning"),
    column("test_accuracy_after", pa.float64(), "share right after pruning"),
    column("test_loss_before", pa.float64(), "mean cross-entropy before pruning", "nats"),
    column("test_loss_after", pa.float64(), "mean cross-entropy after pruning", "nats"),
    column("parameters_before", pa.int64(), "parameters of the whole network"),
    column("parameters_after", pa.int64(), "parameters of the pruned network"),
    column("multiply_adds_before", pa.int64(), "multiply-adds an image"),
    column("multiply_adds_after", pa.int64(), "multiply-adds an image of the pruned network"),
)
UNITS_SCHEMA = schema(
    *PRUNING,
    column("unit", pa.int64(), "removed unit, from 0"),
    column("rule", pa.string(), "short, constant, similar or complementary"),
    column("partner", pa.int64(), "survivor or other half of the pair"),
    column("pair_angle", pa.float64(), "between unit and partner", "degrees"),
)


def prune(
    split: Path,
    network: Path,
    activations: Path,
    pruned: Path,
    description: Path,
    metrics: Path,
    units: Path,
    keys: dict[str, Any],
    belongs: dict[str, Any],
    architecture: dict[str, Any],
    state: str,
    layer: str,
    angle: float,
    distinctiveness: dict[str, Any],
    compensation: str,
) -> Mirrored:
    """Write the smaller network, its metrics and the list of removed units."""
    parts, outputs = read_split(split), load_file(activations)
    if layer not in outputs:
        raise UserError(
            f"models.{keys['model']}.pruned_layer: no layer {layer!r}; "
            f"hidden layers are {', '.join(list(sorted(outputs))[:-1])}"
        )
    check_belongs(network, with_classes(architecture, len(parts.classes)), belongs)
    before = load_checkpoint(network)
    # ASSUME: the vectors run over the training images, in evaluation mode.
    training = outputs[layer][parts.positions("train")]
    selection = select_units(training, angle, **distinctiveness)
    after = prune_checkpoint(before, layer, selection, compensation, training)
    every = {
        **keys,
        "state": state,
        "technique": "distinctiveness",
        "compensation": compensation,
        "layer": layer,
        "angle": angle,
    }
    save_checkpoint(after, pruned, every)
    where = parts.positions("test")
    test = {name: values[where] for name, values in outputs.items()}
    old = test[before.architecture.layer_names[-1]]
    new = pruned_logits(after, layer, selection, test)
    row = {**sizes(before, after, selection), **accuracies(old, new, parts.truth[where])}
    write_rows(metrics, [row], METRICS_SCHEMA, every)
    write_rows(units, unit_rows(selection), UNITS_SCHEMA, every)
    numbers = {name: value for name, value in row.items() if value is not None}
    return Mirrored(metrics=numbers)


def pruned_logits(
    after: Checkpoint, layer: str, selection: Selection, outputs: dict[str, np.ndarray]
) -> np.ndarray:
    """Logits by a pass through the pruned layer and all behind it.

    What it reads is what it read before pruning; for the first layer, whose inputs are not kept,
    the pass begins behind it.
    """
    names = after.architecture.layer_names
    if layer == names[0]:
        kept = outputs[layer][:, list(selection.kept)]
        return after.logits_from(following_layer(after.architecture, layer), kept)
    return after.logits_from(layer, outputs[names[names.index(layer) - 1]])


def sizes(before: Checkpoint, after: Checkpoint, selection: Selection) -> dict[str, Any]:
    """Units, parameters and multiply-adds before and after."""
    return {
        "units_before": selection.units,
        "units_after": len(selection.kept),
        **{f"removed_{rule}": count for rule, count in selection.counts.items()},
        "largest_similar_angle": selection.largest_similar_angle,
        "parameters_before": count_parameters(before.architecture),
        "parameters_after": count_parameters(after.architecture),
        "multiply_adds_before": count_multiply_adds(before.architecture),
        "multiply_adds_after": count_multiply_adds(after.architecture),
    }


def accuracies(old: np.ndarray, new: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """Accuracy and loss on the test images before and after."""
    return {
        "test_images": len(truth),
        "test_accuracy_before": float((old.argmax(axis=1) == truth).mean()),
        "test_accuracy_after": float((new.argmax(axis=1) == truth).mean()),
        "test_loss_before": cross_entropy(old, truth),
        "test_loss_after": cross_entropy(new, truth),
    }


def unit_rows(selection: Selection) -> list[dict[str, Any]]:
    """One row a removed unit."""
    return [
        {
            "unit": removal.unit,
            "rule": removal.rule,
            "partner": removal.partner,
            "pair_angle": removal.angle,
        }
        for removal in selection.removals
    ]


if "snakemake" in globals():
    run_job(snakemake, prune)  # noqa: F821
