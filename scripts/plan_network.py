"""How many units each layer of a network loses for every share of its multiply-adds."""

from typing import Any

from neuron_pruning.any_network.imported import ImportedNetwork
from neuron_pruning.any_network.network_rows import plan_rows
from neuron_pruning.any_network.network_schemas import PLAN_SCHEMA
from neuron_pruning.core.parquet import write_rows
from runtime.job_adapter import Files, TrackedResult, run_job, warn


def plan_network(
    input: Files,
    output: Files,
    keys: dict[str, Any],
    imported: dict[str, Any],
    multiply_adds: list[float],
) -> TrackedResult:
    """Write one row per share and layer."""
    network, draw = ImportedNetwork(**imported, made=vars(input)), keys["draw"]
    rows = plan_rows(
        network, draw, multiply_adds,
        lambda line: warn(f"networks.{keys['network']}, draw {draw}: {line}"),
    )  # fmt: skip
    write_rows(output.plan, rows, PLAN_SCHEMA, keys)
    return TrackedResult()


if "snakemake" in globals():
    run_job(globals()["snakemake"], plan_network)
