"""The least time that training can take on a GPU, layer by layer: computed, never measured.

A layer takes at least its operations at the peak of the matrix units, or its bytes at the speed
of the memory, whichever is more. Bytes are counted twice: where convolution, pooling and ReLU
are one pass, and where each is a kernel of its own, as PyTorch runs them.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.common import Row, write_results
from neuron_pruning.models.architectures import (
    PAPER_MODELS,
    PLANS,
    Architecture,
    LayerSize,
    count_parameters,
    describe,
    layer_sizes,
)

ADAM_BYTES = 7 * 4  # a parameter: read weight, gradient and two moments, write all but one
IMAGES, EPOCHS, RUNS = 540, 10, 12  # training images, epochs, trainings per model


@dataclass(frozen=True)
class Gpu:
    """Published peaks: dense bfloat16 operations and bytes a second."""

    name: str
    operations: float
    bytes: float


GPUS = {
    "H100": Gpu("H100 SXM", 989e12, 3.35e12),
    "H200": Gpu("H200 SXM", 989e12, 4.8e12),
}


def layer_rows(architecture: Architecture, batch: int, gpu: Gpu) -> Iterator[Row]:
    """Operations, bytes and least milliseconds of one training step, one row per layer."""
    layers = list(layer_sizes(architecture))
    plans = PLANS[architecture.name]
    height, width = architecture.input_size
    inputs = 3 * height * width
    for number, layer in enumerate(layers):
        convolved = layer.outputs * layer.places
        pooling = plans[number].pooling if number < len(plans) else None
        outputs = layers[number + 1].inputs if number == len(plans) - 1 else convolved
        if pooling is not None:
            outputs = round(convolved / pooling.stride**2)
        passes = 2 if number == 0 else 3  # forward, to the weights, to the inputs
        operations = 2 * passes * layer.inputs * convolved * batch
        fused = 2 * batch * (passes * inputs + 3 * outputs)
        apart = fused + 2 * batch * (6 * convolved if pooling else 0)
        parameters = (layer.inputs + 1) * layer.outputs * (ADAM_BYTES + 2 * passes)
        yield step_row(layer, operations, fused + parameters, apart + parameters, gpu)
        inputs = outputs


def step_row(layer: LayerSize, operations: float, fused: float, apart: float, gpu: Gpu) -> Row:
    """Milliseconds by operations and by bytes, and the larger of them."""
    by_operations = 1e3 * operations / gpu.operations
    by_bytes, by_kernels = 1e3 * fused / gpu.bytes, 1e3 * apart / gpu.bytes
    return {
        "layer": layer.name,
        "gigaoperations": operations / 1e9,
        "megabytes": fused / 1e6,
        "ms_operations": by_operations,
        "ms_bytes": by_bytes,
        "ms_floor": max(by_operations, by_bytes),
        "ms_kernels": max(by_operations, by_kernels),
    }


def main() -> None:
    """Tables for both models, and the floor of the paper's 24 trainings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gpu", choices=GPUS, default="H200")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--name", default="floor", help="of the files in benchmarks/results")
    arguments = parser.parse_args()
    started, gpu, batch = time.time(), GPUS[arguments.gpu], arguments.batch_size
    rows: list[Row] = []
    lines = []
    total = {"ms_floor": 0.0, "ms_kernels": 0.0}
    for model in PAPER_MODELS:
        architecture = describe(model)
        found = list(layer_rows(architecture, batch, gpu))
        rows += [{"model": model, "batch_size": batch, "gpu": gpu.name, **row} for row in found]
        lines += table(model, found, count_parameters(architecture))
        for name in total:
            step = sum(row[name] for row in found)
            total[name] += step * IMAGES / batch * EPOCHS * RUNS / 1e3
    lines.append(
        f"24 trainings ({RUNS} a model, {EPOCHS} epochs of {IMAGES} images) at batch {batch} on "
        f"one {gpu.name}: at least {total['ms_floor']:.1f} s with everything fused, "
        f"{total['ms_kernels']:.1f} s with one kernel per layer. Computed from published peaks "
        f"({gpu.operations / 1e12:.0f} TFLOP/s in bfloat16, {gpu.bytes / 1e12:.2f} TB/s)."
    )
    write_results(arguments.name, rows, "\n".join(lines), started)


def table(model: str, rows: list[Row], parameters: int) -> list[str]:
    """Markdown of one model."""
    lines = [
        f"## {model}, {parameters / 1e6:.1f} million parameters: milliseconds a training step\n",
        "| layer | GFLOP | MB, fused | by operations | by bytes | floor | one kernel per layer |",
        "|---|---|---|---|---|---|---|",
    ]
    names = ["gigaoperations", "megabytes", "ms_operations", "ms_bytes", "ms_floor", "ms_kernels"]
    sums = {"layer": "all", **{name: sum(row[name] for row in rows) for name in names}}
    for row in [*rows, sums]:
        figures = " | ".join(f"{row[name]:.{0 if row[name] > 100 else 3}f}" for name in names)
        lines.append(f"| {row['layer']} | {figures} |")
    return [*lines, ""]


if __name__ == "__main__":
    main()
