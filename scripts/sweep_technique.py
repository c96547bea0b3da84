"""Accuracy and agreement of one network against how much one technique removes."""

from dataclasses import asdict
from typing import Any

from neuron_pruning.core.errors import naming_network
from neuron_pruning.core.parquet import write_rows
from neuron_pruning.evaluation.sweeps import SWEEP_SCHEMA, SweepSettings, sweep
from neuron_pruning.pruning.network_source import NetworkSource, RunDescription
from neuron_pruning.pruning.techniques import find_technique
from runtime.job_adapter import Files, TrackedResult, run_job


def sweep_technique(
    input: Files,
    output: Files,
    run: dict[str, Any],
    layer: str,
    technique: dict[str, Any],
    sweep_settings: dict[str, Any],
) -> TrackedResult:
    """Write one row per amount and compensation."""
    source = NetworkSource(input.network, input.split, RunDescription(**run), input.activations)
    stored, chosen = source.layer(layer, input.measured), find_technique(technique["name"])
    options, compensation = technique["settings"], technique["compensation"]
    settings = SweepSettings.for_layer(stored.layer.units, sweep_settings)
    points = sweep(stored.layer, stored.test, chosen, options, compensation, settings)
    keys = {
        **source.run.row_keys,
        "layer": layer,
        "technique": technique["label"],
        "default_compensation": compensation,
        "units": stored.layer.units,
        "test_images": len(stored.test.labels),
    }
    with naming_network(source.network):
        write_rows(output.points, map(asdict, points), SWEEP_SCHEMA, keys)
    return TrackedResult()


if "snakemake" in globals():
    run_job(globals()["snakemake"], sweep_technique)
