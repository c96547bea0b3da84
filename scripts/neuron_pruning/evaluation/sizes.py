"""Size and speed of a network before and after a cut, as rows of a Parquet file."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from neuron_pruning.core.parquet import column, schema
from neuron_pruning.evaluation.latency import LatencyComparison
from neuron_pruning.models.architectures import (
    Architecture,
    count_multiply_adds,
    count_parameters,
)

SIZES = {
    "parameters": "parameters",
    "multiply_adds": "multiply-adds per image",
    "file_bytes": "bytes of the stored weights",
}
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
    counts = {"parameters": count_parameters, "multiply_adds": count_multiply_adds}
    sizes: dict[str, Any] = {
        f"{name}_{when}": count(architecture)
        for name, count in counts.items()
        for when, architecture in (("before", before), ("after", after))
    }
    return {
        **sizes,
        "file_bytes_before": network.stat().st_size,
        "file_bytes_after": pruned.stat().st_size,
        "compression": sizes["parameters_before"] / sizes["parameters_after"],
    }


def latency_rows(pairs: Iterable[LatencyComparison]) -> list[dict[str, Any]]:
    """One row per batch size."""
    return [
        {
            "images": pair.before.batch_size,
            **{
                f"{figure}_{when}": getattr(latency, figure)
                for when, latency in (("before", pair.before), ("after", pair.after))
                for figure in QUARTILES
            },
            "speed_up": pair.speed_up,
            "repeats": pair.before.repeats,
            "device": pair.before.device,
        }
        for pair in pairs
    ]
