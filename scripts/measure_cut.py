"""Size and speed of a network before and after it was cut; and the cut network as ONNX."""

from typing import Any

from neuron_pruning.core.devices import choose_device
from neuron_pruning.core.parquet import read_rows, write_rows
from neuron_pruning.data.images import first_images, open_array
from neuron_pruning.evaluation.latency import measure_latency
from neuron_pruning.evaluation.sizes import ONNX_IMAGES, SIZES_SCHEMA, latency_rows, size_change
from neuron_pruning.models.checkpoints import check_belongs
from neuron_pruning.models.networks import load_network
from neuron_pruning.models.onnx_export import compare_onnx, export_onnx
from runtime.job_adapter import Files, TrackedResult, run_job


def measure_cut(
    input: Files,
    output: Files,
    keys: dict[str, Any],
    cut: str,
    latency: dict[str, Any],
    threads: int,
) -> TrackedResult:
    """Write the ONNX file and one row per batch size."""
    for network in (input.network, input.pruned):
        check_belongs(network, None, keys)
    before, after = load_network(input.network), load_network(input.pruned)
    export_onnx(after, output.exported)
    images = first_images(open_array(input.array), ONNX_IMAGES)
    (shared,) = read_rows(input.metrics, ["layer", "test_accuracy_before", "test_accuracy_after"])
    shared |= size_change(before.architecture, after.architecture, input.network, input.pruned)
    shared |= {"cut": cut, "onnx_difference": compare_onnx(after, output.exported, images)}
    device = choose_device(threads)
    rows = latency_rows(measure_latency((before, after), **latency, device=device, threads=threads))
    write_rows(output.measured, rows, SIZES_SCHEMA, {**keys, **shared})
    return TrackedResult(metrics={f"speed_up_{r['images']}": r["speed_up"] for r in rows})


if "snakemake" in globals():
    run_job(globals()["snakemake"], measure_cut)
