"""What the pruning of others leaves of a network, at every size of the plan."""

from typing import Any

from neuron_pruning.any_network.imported import ImportedNetwork
from neuron_pruning.any_network.network_rows import predictions_of
from neuron_pruning.any_network.network_schemas import POINTS_SCHEMA
from neuron_pruning.any_network.options import BatchNormRule
from neuron_pruning.any_network.peer_rows import peer_rows
from neuron_pruning.any_network.peers import PEERS
from neuron_pruning.core.parquet import read_rows, write_rows
from runtime.job_adapter import Files, TrackedResult, run_job, warn


def prune_by_peer(
    input: Files,
    output: Files,
    keys: dict[str, Any],
    imported: dict[str, Any],
    peer: str,
    batch_norms: list[BatchNormRule],
) -> TrackedResult:
    """Write one row per share of multiply-adds and rule of batch normalisation."""
    network = ImportedNetwork(**imported, made=vars(input))
    before = predictions_of(read_rows(input.predictions))
    rows = peer_rows(
        network, keys["draw"], read_rows(input.plan), before, PEERS[peer], batch_norms,
        lambda line: warn(f"networks.{keys['network']}, draw {keys['draw']}: {line}"),
    )  # fmt: skip
    write_rows(output.points, rows, POINTS_SCHEMA, {**keys, "technique": peer})
    return TrackedResult()


if "snakemake" in globals():
    run_job(globals()["snakemake"], prune_by_peer)
