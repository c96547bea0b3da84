"""Cut one network in several layers, convolutions too, and measure what is left."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neuron_pruning.core.devices import choose_device
from neuron_pruning.core.parquet import write_rows
from neuron_pruning.core.seeds import derive_seed
from neuron_pruning.data.images import ImageReader, batches, open_array
from neuron_pruning.data.split_file import Split, read_split
from neuron_pruning.evaluation.inference import compute_activations
from neuron_pruning.models.architectures import with_classes
from neuron_pruning.models.checkpoints import check_belongs, save_checkpoint
from neuron_pruning.models.networks import Network, load_network
from neuron_pruning.pruning.channels import channel_importances, channel_layer, prune_channels
from neuron_pruning.pruning.scores import read_scores
from neuron_pruning.pruning.selection import Selection, resolve_count
from neuron_pruning.pruning.surgery import prune_in_turn
from neuron_pruning.pruning.techniques import find_technique
from neuron_pruning.pruning.torch_pruning_scores import unit_importances
from neuron_pruning.pruning.units import UnitLayer
from prune import METRICS_SCHEMA, UNITS_SCHEMA, about, compared, pruned_answers, sizes, unit_rows
from runtime.job_adapter import Mirrored, run_job

IMPORTANCE_IMAGES = 64  # ASSUME: training images behind torch-pruning's gradients of convolutions


@dataclass(frozen=True)
class Data:
    """Images, their split, and how they are read."""

    images: np.ndarray
    parts: Split
    batch_size: int
    device: torch.device

    def read(self, positions: np.ndarray) -> Iterator[torch.Tensor]:
        """Normalised images of these rows in batches."""
        reader = ImageReader(self.images, torch.device("cpu"), positions)
        return reader.read(batches(np.arange(len(positions)), self.batch_size))

    def sample(self, most: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """So many training images by lot, for the files lie class by class; and their classes."""
        positions = self.parts.positions("train")
        draws = np.random.default_rng(derive_seed(seed, "importance images"))
        chosen = np.sort(draws.permutation(positions)[:most])
        return torch.cat(list(self.read(chosen))), torch.from_numpy(self.parts.truth[chosen])


@dataclass(frozen=True)
class Cut:
    """What goes: technique, amount, and the compensation of fully connected layers."""

    technique: dict[str, Any]
    amount: float
    seed: int

    def select(self, layer: UnitLayer) -> Selection:
        """Units or channels of one layer that go."""
        chosen = find_technique(self.technique["name"])
        amount = self.amount
        if chosen.amount == "units":
            amount = resolve_count(self.amount, layer.units)
        return chosen.select(layer, amount, **self.technique["settings"])

    @property
    def peer(self) -> bool:
        """Whether the technique is one of torch-pruning's."""
        return str(self.technique["name"]).startswith("torch_pruning_")


def cut_network(
    array: Path,
    split: Path,
    network: Path,
    measured: list[Path],
    pruned: Path,
    description: Path,
    metrics: Path,
    units: Path,
    keys: dict[str, Any],
    belongs: dict[str, Any],
    architecture: dict[str, Any],
    state: str,
    layers: list[str],
    label: str,
    technique: dict[str, Any],
    amount: float,
    batch_size: int,
    threads: int = 1,
) -> Mirrored:
    """Write the smaller network, its metrics and the list of what went."""
    data = Data(open_array(array), read_split(split), batch_size, choose_device(threads))
    expected = with_classes(architecture, len(data.parts.classes))
    check_belongs(network, expected, belongs)
    before, plan = load_network(network), Cut(technique, amount, keys["seed"])
    old = compute_activations(before, data.images, batch_size, data.device)
    narrow, selections = cut_channels(before.cpu(), layers, plan, data)
    new = compute_activations(narrow, data.images, batch_size, data.device) if selections else old
    dense = [name for name in layers if name.startswith("fc")]
    after, found = cut_units(narrow.cpu(), dense, plan, new, data.parts, measured)
    selections |= found
    by_angle = find_technique(technique["name"]).amount == "angle"
    every = {**keys, **about(state, label, technique, selections, amount if by_angle else None)}
    save_checkpoint(after, pruned, every)
    last = after.architecture.layer_names[-1]
    answers = pruned_answers(after, dense, new) if dense else new[last]
    row = {
        **sizes(expected, after.architecture, selections),
        **compared(old, answers, data.parts, expected),
    }
    write_rows(metrics, [row], METRICS_SCHEMA, every)
    write_rows(units, unit_rows(selections), UNITS_SCHEMA, every)
    return Mirrored(metrics={name: value for name, value in row.items() if value is not None})


def cut_channels(
    network: Network, layers: list[str], plan: Cut, data: Data
) -> tuple[Network, dict[str, Selection]]:
    """Convolutions one after the other, each as those in front leave it.

    Raises:
        UserError: a compensation that does not pass through a padded border.
    """
    selections = {}
    compensation = plan.technique["compensation"]
    for name in (layer for layer in layers if layer.startswith("conv")):
        scores = {}
        if plan.peer:
            images, truth = data.sample(IMPORTANCE_IMAGES, plan.seed)
            scores = channel_importances(network, name, images, truth)
        training = data.read(data.parts.positions("train"))
        view = channel_layer(network, name, training, scores, plan.seed)
        selections[name] = plan.select(view)
        network = prune_channels(network, name, selections[name], compensation)
    return network, selections


def cut_units(
    network: Network,
    layers: list[str],
    plan: Cut,
    outputs: dict[str, np.ndarray],
    parts: Split,
    measured: list[Path],
) -> tuple[Any, dict[str, Selection]]:
    """Fully connected layers one after the other."""
    rows = parts.positions("train")
    scores: dict[str, dict[str, np.ndarray]] = defaultdict(dict, read_scores(measured))
    for layer in layers if plan.peer else []:
        inputs = outputs[network.architecture.input_name(layer)][rows]
        for name, values in unit_importances(network, layer, inputs, parts.truth[rows]).items():
            scores[name][layer] = values
    return prune_in_turn(
        network.to_checkpoint(),
        layers,
        plan.select,
        plan.technique["compensation"],
        {name: values[rows] for name, values in outputs.items()},
        parts.truth[rows],
        scores,
        plan.seed,
    )


if "snakemake" in globals():
    run_job(globals()["snakemake"], cut_network)
