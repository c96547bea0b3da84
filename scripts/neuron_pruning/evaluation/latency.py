"""How long a forward pass takes, before and after pruning."""

import copy
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from neuron_pruning.core.devices import device_name
from neuron_pruning.core.errors import UserError
from neuron_pruning.core.numerics import precision_context
from neuron_pruning.models.networks import Network

BATCH_SIZES = (1, 64)


@dataclass(frozen=True)
class Latency:
    """Seconds of one forward pass of ``batch_size`` images: median and quartiles of ``repeats``."""

    batch_size: int
    median: float
    lower: float
    upper: float
    repeats: int
    device: str


@dataclass(frozen=True)
class LatencyComparison:
    """Two networks measured in turns; ``speed_up`` above 1: the second is faster."""

    before: Latency
    after: Latency

    @property
    def speed_up(self) -> float:
        """Ratio of the medians."""
        return self.before.median / self.after.median


def measure_latency(
    network: Network,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    repeats: int = 20,
    warmup: int = 3,
    device: torch.device | None = None,
    threads: int | None = None,
) -> list[Latency]:
    """Time of a forward pass of random images, float32, in inference mode, by batch size.

    Images are on the device already, and the network channels last as in evaluation; work that a
    GPU has been given is waited for.

    Args:
        network: is left as it is, where it is; a copy runs.
        batch_sizes: images of a pass.
        repeats: passes that count, for each batch size.
        warmup: passes before them that do not.
        device: None: the CPU.
        threads: of the CPU; None: as many as PyTorch has now.

    Raises:
        UserError: nothing to measure.
    """
    measured = _measure([network], batch_sizes, repeats, warmup, device, threads)
    return [latency for (latency,) in measured]


def compare_latency(
    before: Network,
    after: Network,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    repeats: int = 20,
    warmup: int = 3,
    device: torch.device | None = None,
    threads: int | None = None,
) -> list[LatencyComparison]:
    """Two networks by batch size, a pass of one and a pass of the other in turns.

    What slows the machine down for a while hits both; which goes first changes from turn to turn.
    For the arguments see :func:`measure_latency`.

    Raises:
        UserError: nothing to measure, or networks of different image sizes.
    """
    measured = _measure([before, after], batch_sizes, repeats, warmup, device, threads)
    return [LatencyComparison(*pair) for pair in measured]


def _measure(
    networks: Sequence[Network],
    batch_sizes: Sequence[int],
    repeats: int,
    warmup: int,
    device: torch.device | None,
    threads: int | None,
) -> list[list[Latency]]:
    """Figures by batch size, then by network."""
    if not batch_sizes or min(*batch_sizes, repeats, threads or 1) < 1 or warmup < 0:
        raise UserError("latency needs batch sizes, repeats and threads of 1 or more")
    sizes = {network.architecture.input_size for network in networks}
    if len(sizes) > 1:
        raise UserError(f"networks with images of {sizes} cannot be measured on the same images")
    device = device or torch.device("cpu")
    copies = [_on(network, device) for network in networks]
    with _threads(threads), torch.inference_mode(), precision_context("float32", device):
        name = device_name(device, torch.get_num_threads())
        results = []
        for batch_size in batch_sizes:
            images = _random_images(batch_size, *networks[0].architecture.input_size).to(device)
            seconds = _in_turns(copies, images, repeats, warmup)
            results.append([_summarise(row, batch_size, name) for row in seconds])
    return results


def _on(network: Network, device: torch.device) -> Network:
    """A copy in evaluation mode on a device, channels last."""
    duplicate = copy.deepcopy(network).eval()
    return duplicate.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def _random_images(count: int, height: int, width: int) -> Tensor:
    """Uniform in [-1, 1], channels last as images come from the reader."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(count, height, width, 3, generator=generator)
    return pixels.mul_(2.0).sub_(1.0).permute(0, 3, 1, 2)


def _in_turns(
    networks: Sequence[Network], images: Tensor, repeats: int, warmup: int
) -> list[list[float]]:
    """Seconds of every repeat, by network."""
    seconds: list[list[float]] = [[] for _ in networks]
    places = list(range(len(networks)))
    for turn in range(-warmup, repeats):
        for place in places:
            taken = _time(networks[place], images)
            if turn >= 0:
                seconds[place].append(taken)
        places.reverse()
    return seconds


def _time(network: Network, images: Tensor) -> float:
    """Seconds of one forward pass."""
    _wait_for(images.device)
    started = time.perf_counter()
    network(images)
    _wait_for(images.device)
    return time.perf_counter() - started


def _wait_for(device: torch.device) -> None:
    """Until a GPU has done what it was given; a CPU has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _summarise(seconds: Sequence[float], batch_size: int, device: str) -> Latency:
    lower, median, upper = np.quantile(seconds, [0.25, 0.5, 0.75]).tolist()
    return Latency(batch_size, median, lower, upper, len(seconds), device)


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """So many threads inside the block; None: as many as there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
