"""One layer of a network and every compensation at every angle, with and without fine-tuning."""

from typing import Any

from neuron_pruning.core.errors import naming_network
from neuron_pruning.core.parquet import write_rows
from neuron_pruning.evaluation.compensation_comparison import (
    COMPENSATION_SCHEMA,
    CompensationComparison,
)
from neuron_pruning.pruning.network_source import NetworkSource, RunDescription
from neuron_pruning.pruning.techniques import find_technique
from neuron_pruning.training.settings import TrainingSettings
from runtime.job_adapter import Files, TrackedResult, run_job


def compare_compensations(
    input: Files,
    output: Files,
    run: dict[str, Any],
    layer: str,
    technique: dict[str, Any],
    comparison: dict[str, Any],
    training: dict[str, Any],
) -> TrackedResult:
    """Write one row per angle, number of epochs and compensation."""
    source = NetworkSource(input.network, input.split, RunDescription(**run), input.activations)
    stored = source.layer(layer)
    settings = TrainingSettings.from_config(training, run["keys"])
    compared = CompensationComparison(
        stored, comparison["compensations"], settings, comparison["draws"]
    )
    keys = {**source.run.row_keys, "layer": layer, "units": stored.layer.units}
    with naming_network(source.network):
        select = find_technique(technique["name"]).prepared(stored.layer, **technique["settings"])
        rows = compared.rows(select, comparison["angles"], comparison["epochs"])
        write_rows(output.points, rows, COMPENSATION_SCHEMA, keys)
    return TrackedResult()


if "snakemake" in globals():
    run_job(globals()["snakemake"], compare_compensations)
