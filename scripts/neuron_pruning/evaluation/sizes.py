"""Size and speed of a network before and after a cut, as rows of a Parquet file."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from neuron_pruning.core.parquet import column, schema
from neuron_pruning.evaluation.latency import Latency
from neuron_pruning.models.architectures import Architecture, count_multiply_adds, count_parameters

SIZES = {
    "parameters": "parameters",
    "multiply_adds": "multiply-adds per image",
    "file_bytes": "bytes of the stored weights",
}
ONNX_IMAGES = 4  # compared between PyTorch and onnxruntime
QUARTILES = ("median", "lower", "upper")
SIZES_SCHEMA = schema(
    column("cut", pa.string(), "name of the cut"),
    column("layer", pa.string(), "layers that lost units or channels"),
    *(
        column(f"{name}_{when}", pa.int64(), f"{text} {when} the cut")
        for name, text in SIZES.items()
        for when in ("before", "after")
    ),
    column("compression", pa.float64(), "parameters before over parameters after"),
    column("test_accuracy_before", pa.float64(), "test accuracy before the cut"),
    column("test_accuracy_after", pa.float64(), "test accuracy after it"),
    column("onnx_difference", pa.float64(), "largest difference of logits, PyTorch to ONNX"),
    column("images", pa.int64(), "images of a forward pass", "images"),
    *(
        column(f"{figure}_{when}", pa.float64(), f"{figure} of a forward pass {when} the cut", "s")
        for when in ("before", "after")
        for figure in QUARTILES
    ),
    column("speed_up", pa.float64(), "median before over median after"),
    column("repeats", pa.int64(), "passes measured"),
    column("device", pa.string(), "where they ran"),
)


def size_change(
    before: Architecture, after: Architecture, network: Path, pruned: Path
) -> dict[str, Any]:
    """Parameters, multiply-adds and file size of both networks, and the compression."""
    sizes: dict[str, Any] = {}
    for when, architecture, path in (("before", before, network), ("after", after, pruned)):
        sizes[f"parameters_{when}"] = count_parameters(architecture)
        sizes[f"multiply_adds_{when}"] = count_multiply_adds(architecture)
        sizes[f"file_bytes_{when}"] = path.stat().st_size
    return sizes | {"compression": sizes["parameters_before"] / sizes["parameters_after"]}


def latency_rows(measured: Iterable[Sequence[Latency]]) -> list[dict[str, Any]]:
    """One row per batch size, from the latencies before and after."""
    return [
        {
            "images": before.batch_size,
            **{f"{figure}_before": getattr(before, figure) for figure in QUARTILES},
            **{f"{figure}_after": getattr(after, figure) for figure in QUARTILES},
            "speed_up": before.median / after.median,
            "repeats": before.repeats,
            "device": before.device,
        }
        for before, after in measured
    ]
