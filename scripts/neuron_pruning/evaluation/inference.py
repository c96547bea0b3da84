"""Outputs of every layer of a network, from the images to the logits."""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neuron_pruning.core.numerics import autocast, precision_context
from neuron_pruning.data.images import ImageReader, batches
from neuron_pruning.models.networks import Network
from neuron_pruning.statistics.metrics import check_finite
from neuron_pruning.training.memory import retry_in_less_memory

Activations = dict[str, NDArray[np.float32]]


@torch.inference_mode()
def compute_activations(
    network: Network,
    array: NDArray[np.uint8],
    batch_size: int,
    device: torch.device,
    positions: NDArray[np.int64] | None = None,
) -> Activations:
    """Outputs of every fully connected layer for every image, N x units; the last are logits.

    Under ``features`` what the first of them reads, so that every layer's inputs are there.
    ``positions`` names the rows of ``array`` that count; None: all. Batches are of ``batch_size``
    images, and of half as many each time a GPU runs out of memory.

    Raises:
        NotFinite: an output is NaN or infinite.
    """
    network.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    rows = np.arange(len(array) if positions is None else len(positions))

    def attempt(size: int, room: float | None) -> Activations:
        reader = ImageReader(array, device, positions, room)
        return _outputs(network, reader.read(batches(rows, size)), device)

    return retry_in_less_memory(attempt, batch_size, "batches")


def _outputs(
    network: Network, pieces_of_images: Iterable[Tensor], device: torch.device
) -> Activations:
    """Outputs for the images of all pieces, in float32 and on the CPU."""
    pieces = []
    for images in pieces_of_images:
        with precision_context("float32"), autocast("float32", device):
            outputs = network.activations(images)
        pieces.append({name: values.float().cpu() for name, values in outputs.items()})
    names = network.architecture.output_names
    joined = {name: torch.cat([p[name] for p in pieces]).numpy() for name in names}
    for name, values in joined.items():
        check_finite(values, f"outputs of {name}")
    return joined
