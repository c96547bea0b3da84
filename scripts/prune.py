"""Prune one network with one technique at one amount, and measure what is left."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from neuron_pruning.core.parquet import column, schema, write_rows
from neuron_pruning.data.split_file import Split, read_split
from neuron_pruning.models.architectures import (
    FEATURES,
    Architecture,
    count_multiply_adds,
    count_parameters,
    with_classes,
)
from neuron_pruning.models.checkpoints import (
    Checkpoint,
    check_belongs,
    load_checkpoint,
    save_checkpoint,
)
from neuron_pruning.pruning.scores import read_outputs, read_scores
from neuron_pruning.pruning.selection import RULES, Selection
from neuron_pruning.pruning.surgery import prune_in_turn
from neuron_pruning.pruning.techniques import find_technique
from neuron_pruning.pruning.units import Layer
from neuron_pruning.statistics.metrics import before_and_after
from runtime.job_adapter import Mirrored, run_job

PRUNING = (
    column("state", pa.string(), "trained or untrained"),
    column("technique", pa.string(), "label of the technique that selected the units"),
    column("compensation", pa.string(), "what the remaining units got in return"),
    column("layer", pa.string(), "pruned fully connected layers"),
    column("angle", pa.float64(), "threshold; none where units were counted", "degrees"),
    column("count", pa.int64(), "units counted out; none where there was a threshold"),
    column("fine_tuning", pa.int64(), "epochs of further training"),
)
PRUNING_KEYS = [field.name for field in PRUNING]
METRICS_SCHEMA = schema(
    *PRUNING,
    column("units_before", pa.int64(), "units of the layers before pruning"),
    column("units_after", pa.int64(), "units of the layers after pruning"),
    *(column(f"removed_{rule}", pa.int64(), f"units removed as {rule}") for rule in RULES),
    column("largest_similar_angle", pa.float64(), "between a unit and its survivor", "degrees"),
    column("test_images", pa.int64(), "images of the test part", "images"),
    column("test_accuracy_before", pa.float64(), "share right before pruning"),
    column("test_accuracy_after", pa.float64(), "share right after pruning"),
    column("test_loss_before", pa.float64(), "mean cross-entropy before pruning", "nats"),
    column("test_loss_after", pa.float64(), "mean cross-entropy after pruning", "nats"),
    column("agreement", pa.float64(), "share of test images with the unpruned answer"),
    column("divergence", pa.float64(), "from the unpruned network's answers", "nats"),
    column("lost", pa.int64(), "test images right before pruning alone", "images"),
    column("gained", pa.int64(), "test images right after pruning alone", "images"),
    column("parameters_before", pa.int64(), "parameters of the whole network"),
    column("parameters_after", pa.int64(), "parameters of the pruned network"),
    column("multiply_adds_before", pa.int64(), "multiply-adds an image"),
    column("multiply_adds_after", pa.int64(), "multiply-adds an image of the pruned network"),
)
UNITS_SCHEMA = schema(
    *PRUNING,
    column("pruned_layer", pa.string(), "layer of the unit"),
    column("unit", pa.int64(), "removed unit, from 0"),
    column("rule", pa.string(), f"one of {', '.join(RULES)}"),
    column("partner", pa.int64(), "survivor or other half of the pair"),
    column("pair_angle", pa.float64(), "between unit and partner", "degrees"),
)


def prune(
    split: Path,
    network: Path,
    activations: Path,
    measured: list[Path],
    pruned: Path,
    description: Path,
    metrics: Path,
    units: Path,
    keys: dict[str, Any],
    belongs: dict[str, Any],
    architecture: dict[str, Any],
    state: str,
    layers: list[str],
    label: str,
    technique: dict[str, Any],
    amount: float,
) -> Mirrored:
    """Write the smaller network, its metrics and the list of removed units."""
    parts = read_split(split)
    expected = with_classes(architecture, len(parts.classes))
    check_belongs(network, expected, belongs)
    outputs = read_outputs(activations, [FEATURES, *expected.layer_names])
    before = load_checkpoint(network)
    # ASSUME: the vectors run over the training images, in evaluation mode.
    rows = parts.positions("train")
    seen = {name: values[rows] for name, values in outputs.items()}
    chosen = find_technique(technique["name"])

    def select(layer: Layer) -> Selection:
        return chosen.select(layer, amount, **technique["settings"])

    after, selections = prune_in_turn(
        before,
        layers,
        select,
        technique["compensation"],
        seen,
        parts.truth[rows],
        read_scores(measured),
        keys["seed"],
    )
    by_angle = chosen.amount == "angle"
    every = {**keys, **about(state, label, technique, selections, amount if by_angle else None)}
    save_checkpoint(after, pruned, every)
    row = {
        **sizes(before.architecture, after.architecture, selections),
        **compared(outputs, pruned_answers(after, layers, outputs), parts, before.architecture),
    }
    write_rows(metrics, [row], METRICS_SCHEMA, every)
    write_rows(units, unit_rows(selections), UNITS_SCHEMA, every)
    numbers = {name: value for name, value in row.items() if value is not None}
    return Mirrored(metrics=numbers)


def about(
    state: str,
    label: str,
    technique: dict[str, Any],
    selections: dict[str, Selection],
    angle: float | None,
) -> dict[str, Any]:
    """What every row of a pruning says of it; without an angle, how many units it counted."""
    removed = sum(len(selection.removals) for selection in selections.values())
    return {
        "state": state,
        "technique": label,
        "compensation": technique["compensation"],
        "layer": "+".join(selections),
        "angle": angle,
        "count": removed if angle is None else None,
        "fine_tuning": 0,
    }


def pruned_answers(
    after: Checkpoint, layers: list[str], outputs: dict[str, np.ndarray]
) -> np.ndarray:
    """Logits of all images by a pass through the pruned layers and all behind the first.

    What that reads is what it read before pruning.
    """
    names = [FEATURES, *after.architecture.layer_names]
    first = min(layers, key=names.index)
    return after.logits_from(first, outputs[names[names.index(first) - 1]])


def sizes(
    before: Architecture, after: Architecture, selections: dict[str, Selection]
) -> dict[str, Any]:
    """Units, parameters and multiply-adds before and after."""
    found = selections.values()
    angles = [s.largest_similar_angle for s in found if s.largest_similar_angle is not None]
    return {
        "units_before": sum(s.units for s in found),
        "units_after": sum(len(s.kept) for s in found),
        **{f"removed_{rule}": sum(s.counts[rule] for s in found) for rule in RULES},
        "largest_similar_angle": max(angles, default=None),
        "parameters_before": count_parameters(before),
        "parameters_after": count_parameters(after),
        "multiply_adds_before": count_multiply_adds(before),
        "multiply_adds_after": count_multiply_adds(after),
    }


def compared(
    outputs: dict[str, np.ndarray], answers: np.ndarray, parts: Split, architecture: Architecture
) -> dict[str, Any]:
    """Figures of the test images before and after; ``answers`` are logits of all images."""
    where = parts.positions("test")
    old = outputs[architecture.layer_names[-1]][where]
    return before_and_after(old, answers[where], parts.truth[where])


def unit_rows(selections: dict[str, Selection]) -> list[dict[str, Any]]:
    """One row a removed unit."""
    return [
        {
            "pruned_layer": layer,
            "unit": removal.unit,
            "rule": removal.rule,
            "partner": removal.partner,
            "pair_angle": removal.angle,
        }
        for layer, selection in selections.items()
        for removal in selection.removals
    ]


if "snakemake" in globals():
    run_job(globals()["snakemake"], prune)
