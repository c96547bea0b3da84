"""What one technique leaves of a network that was trained elsewhere, at every size of the plan."""

from typing import Any

from neuron_pruning.any_network.imported import ImportedNetwork
from neuron_pruning.any_network.network_rows import methods_for, point_rows, predictions_of
from neuron_pruning.any_network.network_schemas import POINTS_SCHEMA
from neuron_pruning.core.parquet import read_rows, write_rows
from runtime.job_adapter import Files, TrackedResult, run_job


def prune_network(
    input: Files,
    output: Files,
    keys: dict[str, Any],
    imported: dict[str, Any],
    technique: dict[str, Any],
    methods: dict[str, Any],
) -> TrackedResult:
    """Write one row per share of multiply-adds, compensation and rule of batch normalisation."""
    network, draw = ImportedNetwork(**imported, made=vars(input)), keys["draw"]
    chosen = methods_for(
        network.opened.module, technique["name"], technique["settings"], **methods, seed=draw
    )
    before = predictions_of(read_rows(input.predictions))
    rows = list(point_rows(network, draw, read_rows(input.plan), before, chosen))
    write_rows(output.points, rows, POINTS_SCHEMA, {**keys, "technique": technique["label"]})
    metrics = {
        f"agreement_{row['budget']}_{row['compensation']}_{row['batch_norm']}": row["agreement"]
        for row in rows
    }
    return TrackedResult(metrics)


if "snakemake" in globals():
    run_job(globals()["snakemake"], prune_network)
