"""Cuts of several layers of a network at once, convolutions first, then fully connected layers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neuron_pruning.core.seeds import derive_seed
from neuron_pruning.data.images import ImageReader, batches
from neuron_pruning.data.split_file import Split
from neuron_pruning.models.checkpoints import Checkpoint
from neuron_pruning.models.networks import Network
from neuron_pruning.pruning.channels import channel_importances, channel_layer, prune_channels
from neuron_pruning.pruning.scores import ScoresByLayer
from neuron_pruning.pruning.selection import Selection, resolve_count
from neuron_pruning.pruning.surgery import prune_in_turn
from neuron_pruning.pruning.techniques import find_technique
from neuron_pruning.pruning.torch_pruning_scores import unit_importances
from neuron_pruning.pruning.units import UnitLayer

IMPORTANCE_IMAGES = 64  # ASSUME: training images for torch-pruning's gradients of convolutions
Outputs = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class CalibrationImages:
    """Training images of a split, as a network reads them."""

    images: NDArray[np.uint8]
    split: Split
    batch_size: int

    def read(self, positions: NDArray[np.int64] | None = None) -> Iterator[torch.Tensor]:
        """Normalised images of some rows in batches; of all training images by default."""
        rows = self.split.positions("train") if positions is None else positions
        reader = ImageReader(self.images, torch.device("cpu"), rows)
        return reader.read(batches(np.arange(len(rows)), self.batch_size))

    def sample(self, most: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Training images chosen uniformly at random, since files lie by class, and labels."""
        positions = self.split.positions("train")
        draws = np.random.default_rng(derive_seed(seed, "importance images"))
        chosen = np.sort(draws.permutation(positions)[:most])
        return torch.cat(list(self.read(chosen))), torch.from_numpy(self.split.labels[chosen])


@dataclass(frozen=True)
class Cut:
    """What a cut removes: a technique, an amount, and the compensation of the removed units.

    Attributes:
        technique: name, settings and compensation of the technique.
        amount: angle in degrees, number of units, or share of each layer below 1.
        seed: of techniques that draw.
    """

    technique: Mapping[str, Any]
    amount: float
    seed: int

    @property
    def compensation(self) -> str:
        """Name of the compensation."""
        return str(self.technique["compensation"])

    @property
    def needs_importances(self) -> bool:
        """Whether the technique is one of torch-pruning's."""
        return str(self.technique["name"]).startswith("torch_pruning_")

    def select(self, layer: UnitLayer) -> Selection:
        """Units or channels of one layer that go."""
        chosen, amount = find_technique(self.technique["name"]), self.amount
        if chosen.amount == "units":
            amount = resolve_count(self.amount, layer.units)
        return chosen.select(layer, amount, **self.technique["settings"])


def cut_channels(
    network: Network, layers: Sequence[str], cut: Cut, calibration: CalibrationImages
) -> tuple[Network, dict[str, Selection]]:
    """Convolutions one after the other, each as the cuts before it leave it.

    Raises:
        UserError: a compensation that does not pass through a padded border.
    """
    selections = {}
    for name in layers:
        scores = {}
        if cut.needs_importances:
            images, labels = calibration.sample(IMPORTANCE_IMAGES, cut.seed)
            scores = channel_importances(network, name, images, labels)
        layer = channel_layer(network, name, calibration.read(), scores, cut.seed)
        selections[name] = cut.select(layer)
        network = prune_channels(network, name, selections[name], cut.compensation)
    return network, selections


def cut_units(
    network: Network,
    layers: Sequence[str],
    cut: Cut,
    outputs: Outputs,
    split: Split,
    precomputed_scores: Mapping[str, ScoresByLayer],
) -> tuple[Checkpoint, dict[str, Selection]]:
    """Fully connected layers one after the other.

    Args:
        network: after the cuts of convolutions.
        layers: names of hidden fully connected layers.
        cut: what goes.
        outputs: recorded outputs of all layers over all images, N x units each.
        split: labels and parts of the images.
        precomputed_scores: scores that other stages computed.
    """
    rows = split.positions("train")
    labels = split.labels[rows]
    scores: dict[str, dict[str, Any]] = {n: dict(by) for n, by in precomputed_scores.items()}
    for layer in layers if cut.needs_importances else ():
        inputs = outputs[network.architecture.input_name(layer)][rows]
        for name, values in unit_importances(network, layer, inputs, labels).items():
            scores.setdefault(name, {})[layer] = values
    training = {name: values[rows] for name, values in outputs.items()}
    return prune_in_turn(
        network.to_checkpoint(),
        layers,
        cut.select,
        cut.compensation,
        training,
        labels,
        scores,
        cut.seed,
    )
