"""What could go from a network that was trained elsewhere, and what it predicts as it is."""

from typing import Any

from neuron_pruning.any_network.evaluation import predict
from neuron_pruning.any_network.imported import ImportedNetwork
from neuron_pruning.any_network.network_rows import predictions_rows, unit_layer_rows
from neuron_pruning.any_network.network_schemas import LAYERS_SCHEMA, PREDICTIONS_SCHEMA
from neuron_pruning.core.parquet import write_rows
from runtime.job_adapter import Files, TrackedResult, run_job, warn


def inspect_network(
    input: Files,
    output: Files,
    keys: dict[str, Any],
    imported: dict[str, Any],
    angles: list[float],
) -> TrackedResult:
    """Write one row per unit layer, and one per evaluation image."""
    network = ImportedNetwork(**imported, made=vars(input))
    found = predict(network.opened.module, network.evaluation.labelled())
    write_rows(output.predictions, predictions_rows(found), PREDICTIONS_SCHEMA, keys)
    write_rows(output.layers, unit_layer_rows(network, angles), LAYERS_SCHEMA, keys)
    if network.opened.note:
        warn(f"networks.{keys['network']}: {network.opened.note}")
    right = found.right
    return TrackedResult(metrics={} if right is None else {"accuracy": float(right.mean())})


if "snakemake" in globals():
    run_job(globals()["snakemake"], inspect_network)
