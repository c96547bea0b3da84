"""How long a forward pass takes, before and after pruning."""

import copy
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from neuron_pruning.core.devices import device_name
from neuron_pruning.core.errors import UserError
from neuron_pruning.core.numerics import autocast, precision_context
from neuron_pruning.models.networks import Network

CLOCK_SECONDS = 0.5  # of passes before the first measured one on a GPU


@dataclass(frozen=True)
class Latency:
    """Seconds of one forward pass of ``batch_size`` images: median and quartiles of ``repeats``."""

    batch_size: int
    median: float
    lower: float
    upper: float
    repeats: int
    device: str


def measure_latency(
    networks: Sequence[Network],
    batch_sizes: Sequence[int],
    repeats: int,
    device: torch.device | None = None,
    threads: int | None = None,
    warmup: int = 3,
) -> list[list[Latency]]:
    """Time of a forward pass of random images, float32, in inference mode.

    The networks take turns: what slows the machine down for a while hits all of them, and which
    goes first changes from turn to turn. Images are on the device already, and networks channels
    last as in evaluation; work that a GPU has been given is waited for.

    Args:
        networks: are left as they are, where they are; copies run.
        batch_sizes: images of a pass.
        repeats: passes of each network that count, for each batch size.
        device: None: the CPU.
        threads: of the CPU; None: as many as PyTorch has now.
        warmup: passes before them that do not count.

    Returns:
        Figures by batch size, then by network.

    Raises:
        UserError: nothing to measure, or networks of different image sizes.
    """
    if not batch_sizes or min(*batch_sizes, repeats, threads or 1) < 1 or warmup < 0:
        raise UserError("latency needs batch sizes, repeats and threads of 1 or more")
    sizes = {network.architecture.input_size for network in networks}
    if len(sizes) > 1:
        raise UserError(f"networks with images of {sizes} cannot be measured on the same images")
    device = device or torch.device("cpu")
    copies = [copy.deepcopy(network).eval() for network in networks]
    for network in copies:
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    exact = precision_context("float32"), autocast("float32", device)
    with _threads(threads), torch.inference_mode(), exact[0], exact[1]:
        name = device_name(device, torch.get_num_threads())
        results = []
        for batch_size in batch_sizes:
            images = _random_images(batch_size, *networks[0].architecture.input_size).to(device)
            quartiles = (
                np.quantile(seconds, [0.5, 0.25, 0.75]).tolist()
                for seconds in seconds_in_turns(copies, images, repeats, warmup)
            )
            results.append(
                [Latency(batch_size, mid, low, high, repeats, name) for mid, low, high in quartiles]
            )
    return results


def _random_images(count: int, height: int, width: int) -> Tensor:
    """Uniform in [-1, 1], channels last as images come from the reader."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(count, height, width, 3, generator=generator)
    return pixels.mul_(2.0).sub_(1.0).permute(0, 3, 1, 2)


def seconds_in_turns(
    networks: Sequence[nn.Module], images: Tensor, repeats: int, warmup: int
) -> list[list[float]]:
    """Seconds of every repeat of a forward pass, by network; they take turns."""
    seconds: list[list[float]] = [[] for _ in networks]
    places = list(range(len(networks)))
    if images.is_cuda:
        _raise_clocks(networks[0], images)
    for turn in range(-warmup, repeats):
        for place in places:
            taken = _time(networks[place], images)
            if turn >= 0:
                seconds[place].append(taken)
        places.reverse()
    return seconds


def _raise_clocks(network: nn.Module, images: Tensor) -> None:
    """Keep the GPU at work until it has left the clocks at which it idles."""
    started = time.perf_counter()
    while time.perf_counter() - started < CLOCK_SECONDS:
        _time(network, images)


def _time(network: nn.Module, images: Tensor) -> float:
    """Seconds of one forward pass; a GPU is waited for."""
    wait = torch.cuda.synchronize if images.is_cuda else lambda device: None
    wait(images.device)
    started = time.perf_counter()
    network(images)
    wait(images.device)
    return time.perf_counter() - started


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """So many threads inside the block; None: as many as there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
