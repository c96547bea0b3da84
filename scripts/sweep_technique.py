"""Accuracy and agreement of one network against how much one technique removes."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from adapter import Mirrored, run_job
from neuron_pruning.core.parquet import column, schema, write_rows
from neuron_pruning.data.split_file import read_split
from neuron_pruning.evaluation.sweeps import SweepSettings, counts_up_to, sweep
from neuron_pruning.models.architectures import with_classes
from neuron_pruning.pruning.layer_source import read_layer
from neuron_pruning.pruning.techniques import find_technique

POINTS_SCHEMA = schema(
    column("state", pa.string(), "trained or untrained"),
    column("layer", pa.string(), "pruned fully connected layer"),
    column("technique", pa.string(), "label of the technique"),
    column("own", pa.string(), "compensation that the technique's label names"),
    column("units", pa.int64(), "units of the layer before pruning"),
    column("test_images", pa.int64(), "images of the test part", "images"),
    column("compensation", pa.string(), "what the rest got in return"),
    column("draw", pa.int64(), "number of the draw, of techniques that draw"),
    column("angle", pa.float64(), "threshold; none where units were counted", "degrees"),
    column("removed", pa.int64(), "removed units"),
    column("train_accuracy", pa.float64(), "share right of the training images"),
    column("train_loss", pa.float64(), "mean cross-entropy, training images", "nats"),
    column("test_accuracy", pa.float64(), "share right of the test images"),
    column("test_loss", pa.float64(), "mean cross-entropy, test images", "nats"),
    column("agreement", pa.float64(), "share of test images with the unpruned answer"),
    column("divergence", pa.float64(), "from the unpruned network's answers", "nats"),
)


def sweep_technique(
    split: Path,
    network: Path,
    activations: Path,
    measured: list[Path],
    points: Path,
    keys: dict[str, Any],
    belongs: dict[str, Any],
    architecture: dict[str, Any],
    state: str,
    layer: str,
    label: str,
    technique: dict[str, Any],
    sweep_settings: dict[str, Any],
) -> Mirrored:
    """Write a row an amount and compensation."""
    parts = read_split(split)
    expected = with_classes(architecture, len(parts.classes))
    stored = read_layer(
        network, activations, parts, expected, belongs, layer, measured, keys["seed"]
    )
    units = stored.layer.units
    found = sweep(
        stored.layer,
        stored.test,
        find_technique(technique["name"]),
        technique["settings"],
        technique["compensation"],
        amounts(sweep_settings, units),
    )
    every = {
        **keys,
        "state": state,
        "layer": layer,
        "technique": label,
        "own": technique["compensation"],
        "units": units,
        "test_images": len(stored.test.truth),
    }
    write_rows(points, map(asdict, found), POINTS_SCHEMA, every)
    return Mirrored()


def amounts(settings: dict[str, Any], units: int) -> SweepSettings:
    """Amounts to sweep over a layer of so many units."""
    return SweepSettings(
        tuple(settings["compensations"]),
        settings["step"],
        counts_up_to(units, settings["max_points"], settings["counts"]),
        settings["draws"],
    )


if "snakemake" in globals():
    run_job(snakemake, sweep_technique)  # noqa: F821
