"""Size and speed of a network before and after it was cut; and the cut network as ONNX."""

from typing import Any

from neuron_pruning.core.devices import choose_device
from neuron_pruning.core.parquet import read_rows, write_rows
from neuron_pruning.data.images import first_images, open_array
from neuron_pruning.evaluation.latency import compare_latency
from neuron_pruning.evaluation.sizes import SIZES_SCHEMA, latency_rows, size_change
from neuron_pruning.models.checkpoints import check_belongs
from neuron_pruning.models.networks import load_network
from neuron_pruning.models.onnx_export import compare_onnx, export_onnx
from runtime.job_adapter import Files, TrackedResult, run_job

ONNX_IMAGES = 4  # compared between PyTorch and onnxruntime


def measure_cut(
    input: Files,
    output: Files,
    keys: dict[str, Any],
    cut: str,
    batch_sizes: list[int],
    repeats: int,
    threads: int,
) -> TrackedResult:
    """Write the ONNX file and one row per batch size."""
    for network in (input.network, input.pruned):
        check_belongs(network, None, keys)
    before, after = load_network(input.network), load_network(input.pruned)
    export_onnx(after, output.exported)
    (row,) = read_rows(input.metrics)
    shared = {
        "cut": cut,
        **{name: row[name] for name in ("layer", "test_accuracy_before", "test_accuracy_after")},
        **size_change(before.architecture, after.architecture, input.network, input.pruned),
        "onnx_difference": compare_onnx(
            after, output.exported, first_images(open_array(input.array), ONNX_IMAGES)
        ),
    }
    device = choose_device(threads)
    pairs = compare_latency(before, after, batch_sizes, repeats, device=device, threads=threads)
    rows = latency_rows(pairs)
    write_rows(output.measured, rows, SIZES_SCHEMA, {**keys, **shared})
    return TrackedResult(metrics={f"speed_up_{r['images']}": r["speed_up"] for r in rows})


if "snakemake" in globals():
    run_job(globals()["snakemake"], measure_cut)
