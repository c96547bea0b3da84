"""Size and speed of a network before and after it was cut; and the cut network as ONNX."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from adapter import Mirrored, run_job
from neuron_pruning.core.devices import choose_device
from neuron_pruning.core.parquet import column, read_rows, schema, write_rows
from neuron_pruning.data.images import ImageReader, open_array
from neuron_pruning.evaluation.latency import compare_latency
from neuron_pruning.evaluation.network_sizes import SIZES
from neuron_pruning.models.architectures import count_multiply_adds, count_parameters
from neuron_pruning.models.checkpoints import check_belongs
from neuron_pruning.models.networks import Network, load_network
from neuron_pruning.models.onnx_export import compare_onnx, export_onnx

ONNX_IMAGES = 4  # compared between PyTorch and onnxruntime
SIZES_SCHEMA = schema(
    column("cut", pa.string(), "name of the cut"),
    column("layer", pa.string(), "layers that lost units or channels"),
    *(
        column(f"{name}_{when}", pa.int64(), f"{text} {when} the cut")
        for name, text in SIZES.items()
        for when in ("before", "after")
    ),
    column("compression", pa.float64(), "parameters before over parameters after"),
    column("test_accuracy_before", pa.float64(), "share right before the cut"),
    column("test_accuracy_after", pa.float64(), "share right after it"),
    column("onnx_difference", pa.float64(), "largest difference of logits, PyTorch to ONNX"),
    column("images", pa.int64(), "images of a forward pass", "images"),
    *(
        column(f"{figure}_{when}", pa.float64(), f"{figure} of a forward pass {when} the cut", "s")
        for when in ("before", "after")
        for figure in ("median", "lower", "upper")
    ),
    column("speed_up", pa.float64(), "median before over median after"),
    column("repeats", pa.int64(), "passes measured"),
    column("device", pa.string(), "where they ran"),
)


def measure_cut(
    array: Path,
    network: Path,
    pruned: Path,
    metrics: Path,
    exported: Path,
    measured: Path,
    keys: dict[str, Any],
    cut: str,
    batch_sizes: list[int],
    repeats: int,
    threads: int = 1,
) -> Mirrored:
    """Write the ONNX file and a row a batch size."""
    check_belongs(network, None, keys)
    check_belongs(pruned, None, keys)
    before, after = load_network(network), load_network(pruned)
    export_onnx(after, exported)
    (row,) = read_rows(metrics)
    shared = {
        "cut": cut,
        "layer": row["layer"],
        **sizes(before, after, network, pruned),
        "test_accuracy_before": row["test_accuracy_before"],
        "test_accuracy_after": row["test_accuracy_after"],
        "onnx_difference": compare_onnx(after, exported, first_images(array)),
    }
    found = compare_latency(
        before, after, batch_sizes, repeats, device=choose_device(threads), threads=threads
    )
    rows = [
        {
            "images": pair.before.batch_size,
            **{
                f"{figure}_{when}": getattr(latency, figure)
                for when, latency in (("before", pair.before), ("after", pair.after))
                for figure in ("median", "lower", "upper")
            },
            "speed_up": pair.speed_up,
            "repeats": pair.before.repeats,
            "device": pair.before.device,
        }
        for pair in found
    ]
    write_rows(measured, rows, SIZES_SCHEMA, {**keys, **shared})
    return Mirrored(metrics={f"speed_up_{r['images']}": r["speed_up"] for r in rows})


def sizes(before: Network, after: Network, network: Path, pruned: Path) -> dict[str, Any]:
    """Parameters, multiply-adds and file size of both."""
    old, new = before.architecture, after.architecture
    counts = {"parameters": count_parameters, "multiply_adds": count_multiply_adds}
    found: dict[str, Any] = {
        f"{name}_{when}": count(architecture)
        for name, count in counts.items()
        for when, architecture in (("before", old), ("after", new))
    }
    found["file_bytes_before"] = network.stat().st_size
    found["file_bytes_after"] = pruned.stat().st_size
    found["compression"] = found["parameters_before"] / found["parameters_after"]
    return found


def first_images(array: Path) -> Any:
    """A few normalised images."""
    import torch

    images = open_array(array)
    rows = np.arange(min(ONNX_IMAGES, len(images)))
    return next(iter(ImageReader(images, torch.device("cpu")).read([rows])))


if "snakemake" in globals():
    run_job(snakemake, measure_cut)  # noqa: F821
