"""Where the time of a training step and of a job's start goes.

``layers``: every layer's forward and backward pass by itself, against this machine's own peak.
``step``: the operators of one whole step. ``imports``: what a job loads before it works.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.common import ROOT, Row, summarise, write_results

if TYPE_CHECKING:
    import torch
    from torch.autograd.profiler_util import FunctionEventAvg

REPEATS = 5
THREADS = len(os.sched_getaffinity(0))
SCRIPTS = ["split_dataset", "make_table", "initialise", "train", "evaluate", "prune"]


def times_of(work: Callable[[], object]) -> list[float]:
    """Times of ``REPEATS`` calls after one to warm up; a GPU is waited for."""
    import torch

    wait = torch.cuda.synchronize if torch.cuda.is_initialized() else lambda: None
    work()
    times = []
    for _ in range(REPEATS):
        wait()
        started = time.perf_counter()
        work()
        wait()
        times.append(time.perf_counter() - started)
    return times


def layer_rows(model: str, batch: int, device: "torch.device") -> Iterator[Row]:
    """Forward and backward pass of every layer by itself."""
    import torch

    from neuron_pruning import build_network
    from neuron_pruning.models.architectures import layer_sizes
    from neuron_pruning.models.convolutions import blocks, run_block

    network = build_network(model).to(device, memory_format=torch.channels_last)
    values = torch.rand(batch, 3, *network.architecture.input_size, device=device)
    values = values.to(memory_format=torch.channels_last)
    sizes = layer_sizes(network.architecture)
    steps: list[Callable] = [lambda x, b=b: run_block(b, x) for b in blocks(network.features)]
    for name in network.layer_names:
        layer = network.linear(name)
        steps.append(lambda x, layer=layer: layer(x.flatten(1)).sigmoid())
    for number, (step, size) in enumerate(zip(steps, sizes, strict=True)):
        inputs = values.detach().requires_grad_(number > 0)

        def both(step: Callable = step, inputs: torch.Tensor = inputs) -> None:
            outputs = step(inputs)
            outputs.backward(torch.ones_like(outputs))

        operations = 2 * (3 if number else 2) * size.inputs * size.outputs * size.places * batch
        for repeat, seconds in enumerate(times_of(both)):
            yield {"model": model, "layer": size.name, "seconds": seconds, "repeat": repeat,
                   "operations": operations, "batch_size": batch}  # fmt: skip
        values = step(values).detach()


def peak_rate(device: "torch.device") -> float:
    """Operations a second of a large float32 matrix product on ``device``."""
    import torch

    matrix = torch.rand(3000, 3000, device=device)
    return 2 * 3000**3 / min(times_of(lambda: matrix @ matrix))


def layers(arguments: argparse.Namespace) -> tuple[list[Row], str]:
    """Milliseconds per image and share of the peak, one row per layer."""
    from neuron_pruning.core.devices import choose_device

    device, batch = choose_device(THREADS), arguments.batch_size
    peak = peak_rate(device)
    rows = [row for model in arguments.models for row in layer_rows(model, batch, device)]
    lines = [
        f"Peak of a 3000 x 3000 product: {peak / 1e9:.0f} GFLOP/s with {THREADS} threads.\n",
        "| model | layer | ms an image, median (range) | GFLOP/s | of the peak |",
        "|---|---|---|---|---|",
    ]
    for _, row in summarise(rows, ["model", "layer", "operations"], "seconds").iterrows():
        low, middle, high = (1e3 * row[k] / arguments.batch_size for k in ("min", "median", "max"))
        rate = row["operations"] / row["median"]
        lines.append(
            f"| {row['model']} | {row['layer']} | {middle:.2f} ({low:.2f}-{high:.2f}) "
            f"| {rate / 1e9:.0f} | {rate / peak:.0%} |"
        )
    return rows, "\n".join(lines)


def step(arguments: argparse.Namespace) -> tuple[list[Row], str]:
    """Operators of one training step by their own time, the largest ten."""
    import numpy as np
    from torch.profiler import ProfilerActivity, profile

    from neuron_pruning import build_network
    from neuron_pruning.core.devices import choose_device
    from neuron_pruning.data.images import Patterns
    from neuron_pruning.training.loop import train_network
    from neuron_pruning.training.settings import TrainingSettings

    device = choose_device(THREADS)
    batch = arguments.batch_size
    images = np.random.default_rng(0).integers(0, 256, (batch, 576, 720, 3), dtype=np.uint8)
    part = Patterns(images, np.arange(batch), np.arange(batch) % 7)
    one = Patterns(images, part.positions[:1], part.classes[:1])
    rows: list[Row] = []
    lines = ["| model | operator | ms | share | calls |", "|---|---|---|---|---|"]
    for model in arguments.models:
        network = build_network(model)
        settings = TrainingSettings(0.0005, batch, 0, epochs=2, precision=arguments.precision)
        train_network(network, part, one, settings, device)  # memory is there, kernels are made
        activities = [ProfilerActivity.CPU]
        activities += [ProfilerActivity.CUDA] * (device.type == "cuda")
        with profile(activities=activities) as profiled:
            train_network(network, part, one, replace(settings, epochs=1), device)
        events = operators(profiled.key_averages(), device)
        key = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
        whole = sum(getattr(event, key) for event in events)
        for event in sorted(events, key=lambda e: -getattr(e, key))[:10]:
            own = getattr(event, key)
            rows.append({"model": model, "operator": event.key, "ms": own / 1e3,
                         "share": own / whole, "calls": event.count})  # fmt: skip
            lines.append(
                f"| {model} | {event.key} | {own / 1e3:.0f} | {own / whole:.0%} | {event.count} |"
            )
    return rows, "\n".join(lines)


def operators(events: "Iterable[FunctionEventAvg]", device: "torch.device") -> list:
    """Operators on a CPU; kernels on a GPU, whose operators would count their time once more."""
    from torch.autograd import DeviceType

    if device.type == "cpu":
        return list(events)
    kernels = [event for event in events if event.device_type == DeviceType.CUDA]
    return [event for event in kernels if not event.is_user_annotation]


def imports(arguments: argparse.Namespace) -> tuple[list[Row], str]:
    """The slowest modules that each job's script loads, with what they load themselves."""
    rows: list[Row] = []
    lines = ["| script | all imports, s | the slowest, s |", "|---|---|---|"]
    for script in SCRIPTS:
        command = [sys.executable, "-X", "importtime", "-c", f"import {script}"]
        env = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
        output = subprocess.run(command, capture_output=True, text=True, check=True, env=env).stderr
        found = re.findall(r"import time: +\d+ \| +(\d+) \|( +)(\S+)", output)
        times = {name: int(spent) / 1e6 for spent, indent, name in found}
        slow = sorted(times, key=times.__getitem__, reverse=True)
        tops = [name for name in slow if "." not in name and name != script][:4]
        rows += [{"script": script, "module": name, "seconds": times[name]} for name in slow]
        text = ", ".join(f"{name} {times[name]:.2f}" for name in tops)
        lines.append(f"| {script} | {times[script]:.2f} | {text} |")
    return rows, "\n".join(lines)


def main() -> None:
    """Profile what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["layers", "step", "imports"])
    parser.add_argument("--models", nargs="+", default=["alexnet", "vgg"])
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--precision", default="float32", help="of the step's products")
    parser.add_argument("--name", help="of the files in benchmarks/results")
    arguments = parser.parse_args()
    started = time.time()
    rows, text = {"layers": layers, "step": step, "imports": imports}[arguments.what](arguments)
    write_results(arguments.name or f"profile-{arguments.what}", rows, text, started)


if __name__ == "__main__":
    main()
