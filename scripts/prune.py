"""Prune one network with one technique at one amount, and measure what is left."""

from typing import Any

from neuron_pruning.core.parquet import write_rows
from neuron_pruning.evaluation.pruned_networks import (
    PRUNED_METRICS_SCHEMA,
    UNITS_SCHEMA,
    accuracy_change,
    logits_after,
    model_size_change,
    pruning_keys,
    unit_rows,
)
from neuron_pruning.models.checkpoints import save_checkpoint
from neuron_pruning.pruning.network_source import NetworkSource, RunDescription
from neuron_pruning.pruning.scores import read_scores
from neuron_pruning.pruning.surgery import prune_in_turn
from neuron_pruning.pruning.techniques import find_technique
from runtime.job_adapter import Files, TrackedResult, run_job


def prune(
    input: Files,
    output: Files,
    run: dict[str, Any],
    layers: list[str],
    label: str,
    technique: dict[str, Any],
    amount: float,
) -> TrackedResult:
    """Write the smaller network, its metrics and the list of removed units."""
    source = NetworkSource(input.network, input.split, RunDescription(**run), input.activations)
    before, outputs = source.checkpoint(), source.outputs()
    chosen, compensation = find_technique(technique["name"]), technique["compensation"]
    after, selections = prune_in_turn(
        before,
        layers,
        lambda layer: chosen.select(layer, amount, **technique["settings"]),
        compensation,
        {name: values[source.training_rows] for name, values in outputs.items()},
        source.training_labels,
        read_scores(input.measured),
        source.seed,
    )
    angle = amount if chosen.amount == "angle" else None
    keys = {**run["keys"], **pruning_keys(run["state"], label, compensation, selections, angle)}
    save_checkpoint(after, output.pruned, keys)
    logits = outputs[before.architecture.layer_names[-1]]
    row = {
        **model_size_change(before.architecture, after.architecture, selections),
        **accuracy_change(logits, logits_after(after, layers, outputs), source.split),
    }
    write_rows(output.metrics, [row], PRUNED_METRICS_SCHEMA, keys)
    write_rows(output.units, unit_rows(selections), UNITS_SCHEMA, keys)
    return TrackedResult(metrics={n: value for n, value in row.items() if value is not None})


if "snakemake" in globals():
    run_job(globals()["snakemake"], prune)
