"""Cuts of several layers of a network at once, convolutions first, then fully connected layers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from neuron_pruning.core.seeds import derive_seed
from neuron_pruning.data.images import ImageReader, batches
from neuron_pruning.data.split_file import Split
from neuron_pruning.evaluation.inference import compute_activations
from neuron_pruning.evaluation.pruned_networks import Logits, Outputs, logits_after
from neuron_pruning.evaluation.prunings import Cut
from neuron_pruning.models.checkpoints import Checkpoint
from neuron_pruning.models.networks import Network
from neuron_pruning.pruning.channels import channel_importances, channel_layer, prune_channels
from neuron_pruning.pruning.scores import ScoresByLayer
from neuron_pruning.pruning.selection import Selection
from neuron_pruning.pruning.torch_pruning_scores import unit_importances

IMPORTANCE_IMAGES = 64  # ASSUME: training images for torch-pruning's gradients of convolutions


@dataclass(frozen=True)
class CalibrationImages:
    """Images of a split, as networks on a device read them."""

    images: NDArray[np.uint8]
    split: Split
    batch_size: int
    device: torch.device

    def outputs(self, network: Network) -> Outputs:
        """Outputs of all layers for all images; the network stays on the device."""
        return compute_activations(network, self.images, self.batch_size, self.device)

    def read(self, positions: NDArray[np.int64] | None = None) -> Iterator[torch.Tensor]:
        """Normalised images of some rows in batches; of all training images by default."""
        rows = self.split.positions("train") if positions is None else positions
        reader = ImageReader(self.images, self.device, rows)
        return reader.read(batches(np.arange(len(rows)), self.batch_size))

    def sample(self, most: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Training images chosen uniformly at random, since files lie by class, and labels."""
        positions = self.split.positions("train")
        draws = np.random.default_rng(derive_seed(seed, "importance images"))
        chosen = np.sort(draws.permutation(positions)[:most])
        return torch.cat(list(self.read(chosen))), torch.from_numpy(self.split.labels[chosen])


def cut_layers(
    network: Network,
    layers: Sequence[str],
    cut: Cut,
    calibration: CalibrationImages,
    precomputed_scores: Mapping[str, ScoresByLayer],
) -> tuple[Checkpoint, dict[str, Selection], tuple[Logits, Logits]]:
    """Cut convolutions and hidden fully connected layers, each as the cuts before it leave it.

    Returns:
        The smaller network, the selections by layer, and the logits of all images, N x classes,
        before and after.

    Raises:
        UserError: a compensation that does not pass through a padded border.
    """
    last = network.layer_names[-1]
    connected = [name for name in layers if name.startswith("fc")]
    old = calibration.outputs(network)
    network, selections = cut_channels(network.cpu(), layers, cut, calibration)
    new = calibration.outputs(network) if selections else old
    scores = {**precomputed_scores}
    # ASSUME: fully connected layers are scored once, after all convolutions are cut.
    if _needs_importances(cut):
        rows = calibration.split.positions("train")
        labels, name_of = calibration.split.labels[rows], network.architecture.input_name
        for layer in connected:
            inputs = new[name_of(layer)][rows]
            for name, values in unit_importances(network.cpu(), layer, inputs, labels).items():
                scores[name] = {**scores.get(name, {}), layer: values}
    whole = network.cpu().to_checkpoint()
    smaller, of_units = cut.prune_units(whole, connected, new, calibration.split, scores)
    logits = logits_after(smaller, connected, new) if connected else new[last]
    return smaller, {**selections, **of_units}, (old[last], logits)


def cut_channels(
    network: Network, layers: Sequence[str], cut: Cut, calibration: CalibrationImages
) -> tuple[Network, dict[str, Selection]]:
    """Those of the layers that are convolutions, one after the other."""
    selections = {}
    for name in (name for name in layers if name.startswith("conv")):
        scores = {}
        if _needs_importances(cut):
            images, labels = calibration.sample(IMPORTANCE_IMAGES, cut.seed)
            scores = channel_importances(network, name, images, labels)
        network.to(calibration.device)  # as the images are; the smaller network is on the CPU
        layer = channel_layer(network, name, calibration.read(), scores, cut.seed)
        selections[name] = cut.select(layer)
        network = prune_channels(network, name, selections[name], cut.compensation)
    return network, selections


def _needs_importances(cut: Cut) -> bool:
    """Whether the technique is one of torch-pruning's."""
    return str(cut.technique["name"]).startswith("torch_pruning_")
