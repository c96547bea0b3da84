"""Outputs of every layer of a network, from the images to the logits."""

import numpy as np
import torch
from numpy.typing import NDArray

from neuron_pruning.core.numerics import precision_context
from neuron_pruning.data.images import ImageReader, batches
from neuron_pruning.models.architectures import FEATURES
from neuron_pruning.models.networks import Network


@torch.inference_mode()
def compute_activations(
    network: Network,
    array: NDArray[np.uint8],
    batch_size: int,
    device: torch.device,
    positions: NDArray[np.int64] | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Outputs of every fully connected layer for every image, N x units; the last are logits.

    Under ``features`` what the first of them reads, so that every layer's inputs are there.
    ``positions`` names the rows of ``array`` that count; None: all.
    """
    network.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    pieces = []
    rows = np.arange(len(array) if positions is None else len(positions))
    reader = ImageReader(array, device, positions)
    for images in reader.read(batches(rows, batch_size)):
        with precision_context("float32", device):
            outputs = network.activations(images)
        pieces.append({name: values.float().cpu() for name, values in outputs.items()})
    names = [FEATURES, *network.layer_names]
    return {name: torch.cat([p[name] for p in pieces]).numpy() for name in names}
