"""How long forward passes of a network take, whole and at every size of its plan."""

from typing import Any

from neuron_pruning.any_network.imported import ImportedNetwork
from neuron_pruning.any_network.network_schemas import RUNNING_TIMES_SCHEMA
from neuron_pruning.any_network.running_times import running_time_rows
from neuron_pruning.core.devices import use_cpu
from neuron_pruning.core.parquet import read_rows, write_rows
from runtime.job_adapter import Files, TrackedResult, run_job


def time_network(
    input: Files,
    output: Files,
    keys: dict[str, Any],
    imported: dict[str, Any],
    latency: dict[str, Any],
    threads: int,
) -> TrackedResult:
    """Write one row per runtime, batch size and share of the multiply-adds."""
    use_cpu(threads)
    network = ImportedNetwork(**imported, made=vars(input))
    rows = list(running_time_rows(network, read_rows(input.plan), **latency, threads=threads))
    write_rows(output.times, rows, RUNNING_TIMES_SCHEMA, keys)
    last = {f"speed_up_{r['runtime']}_{r['images']}": r["speed_up"] for r in rows}
    return TrackedResult(metrics=last)


if "snakemake" in globals():
    run_job(globals()["snakemake"], time_network)
