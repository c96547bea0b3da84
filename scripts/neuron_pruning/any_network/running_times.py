"""How fast pruned networks are for real: run by PyTorch, compiled by it, and by onnxruntime."""

import importlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from neuron_pruning.any_network.costs import CostModel
from neuron_pruning.any_network.imported import ImportedNetwork
from neuron_pruning.any_network.network_rows import budgets, counts_of
from neuron_pruning.any_network.options import Method
from neuron_pruning.any_network.saving import TOLERANCE, relative_difference
from neuron_pruning.any_network.tracing import first_tensor
from neuron_pruning.core.devices import device_name
from neuron_pruning.core.errors import UserError, reason_of
from neuron_pruning.evaluation.latency import seconds_in_turns

WARMUP = 3  # passes that do not count: memory is taken, code is compiled
SIZES_ONLY = Method("l1", compensation="none", batch_norm="keep", order="parallel")


def running_time_rows(
    imported: ImportedNetwork,
    plan: Sequence[Mapping[str, Any]],
    runtimes: Sequence[str],
    batch_sizes: Sequence[int],
    repeats: int,
    threads: int,
) -> Iterator[dict[str, Any]]:
    """One row per runtime, batch size and network; the unpruned one has a budget of 1.

    The networks of a runtime take turns on the CPU, so that what slows the machine down for a while
    hits all of them: speed-ups are quotients within a turn. Which units were chosen does not matter
    to time, nor do weights: each budget has one network.

    Args:
        imported: the network and its images.
        plan: rows of ``PLAN_SCHEMA``.
        runtimes: keys of ``RUNTIMES``.
        batch_sizes: images of a pass.
        repeats: passes of each network that count.
        threads: of the CPU.

    Raises:
        UserError: a runtime that does not take the network, or computes something else.
    """
    pruner = imported.pruner(0)
    costs = CostModel(pruner.model, pruner.found)
    counts = {1.0: {}, **{share: counts_of(plan, share) for share in budgets(plan)}}
    cut = [pruner.cut(removed, SIZES_ONLY).model.eval() for removed in counts.values()]
    sizes = [costs.size(removed) for removed in counts.values()]
    images, _ = next(imported.evaluation.labelled())
    batches = [images[torch.arange(batch_size) % len(images)] for batch_size in batch_sizes]
    for runtime in runtimes:
        for batch_size, seconds in zip(
            batch_sizes, _seconds(runtime, cut, batches, repeats), strict=True
        ):
            for budget, size, own in zip(counts, sizes, seconds, strict=True):
                yield {
                    "budget": budget,
                    "runtime": runtime,
                    "images": batch_size,
                    "parameters": size.parameters / sizes[0].parameters,
                    "multiply_adds": size.multiply_adds / sizes[0].multiply_adds,
                    **dict(zip(("median", "lower", "upper"), _quartiles(own), strict=True)),
                    **_speed_up(seconds[0] / own),
                    "repeats": repeats,
                    "device": device_name(torch.device("cpu"), threads),
                }


def _seconds(
    runtime: str, networks: Sequence[nn.Module], batches: Sequence[Tensor], repeats: int
) -> list[list[np.ndarray]]:
    """Seconds of every pass, by batch and network."""
    torch.compiler.reset()  # of the networks before
    versions = len(networks) * len(batches)  # of one forward method
    many = torch._dynamo.config.patch(recompile_limit=versions + 1)
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode(), many:
        try:
            ready = [RUNTIMES[runtime](net, batches[0], Path(folder)) for net in networks]
            for images in batches:
                for network, run in zip(networks, ready, strict=True):
                    _check_same(runtime, first_tensor(network(images)), first_tensor(run(images)))
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"the runtime {runtime} does not take this network ({reason_of(error)}): leave it "
                "out of network_pruning.latency.runtimes"
            ) from error
        return [
            [np.array(own) for own in seconds_in_turns(ready, images, repeats, WARMUP)]
            for images in batches
        ]


def _eager(network: nn.Module, images: Tensor, folder: Path) -> nn.Module:
    return network


def _compiled(network: nn.Module, images: Tensor, folder: Path) -> nn.Module:
    return cast(nn.Module, torch.compile(network, dynamic=False))


def _onnx(network: nn.Module, images: Tensor, folder: Path) -> nn.Module:
    onnx = importlib.import_module("neuron_pruning.models.onnx_export")  # an extra's packages
    path = Path(tempfile.mkdtemp(dir=folder)) / "network.onnx"
    with torch.inference_mode(False):
        onnx.write_onnx(network, images[:1].repeat(2, *[1] * (images.ndim - 1)), path)
    return cast(nn.Module, onnx.OnnxModule(path))


# ASSUME: on the CPU, whatever else the machine has; compiled needs a C++ compiler.
RUNTIMES: Mapping[str, Callable[[nn.Module, Tensor, Path], nn.Module]] = {
    "eager": _eager,
    "compiled": _compiled,
    "onnx": _onnx,
}


def _check_same(runtime: str, expected: Tensor, found: Tensor) -> None:
    apart = relative_difference(expected, found)
    if not apart <= TOLERANCE:
        raise UserError(
            f"the runtime {runtime} computes something else than the network: {apart:.2g} apart; "
            "leave it out of network_pruning.latency.runtimes"
        )


def _speed_up(quotients: np.ndarray) -> dict[str, float]:
    middle, low, high = _quartiles(quotients)
    return {"speed_up": middle, "speed_up_low": low, "speed_up_high": high}


def _quartiles(values: np.ndarray) -> list[float]:
    """Median, lower and upper quartile."""
    found: list[float] = np.quantile(values, [0.5, 0.25, 0.75]).tolist()
    return found
