"""A layer of a stored network with its recorded activations: all that pruning on arrays needs."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuron_pruning.data.split_file import Split
from neuron_pruning.models.architectures import Architecture
from neuron_pruning.models.checkpoints import Checkpoint, check_belongs, load_checkpoint
from neuron_pruning.pruning.scores import read_outputs, read_precomputed_scores
from neuron_pruning.pruning.units import Layer, LayerActivations, describe_layer, record


@dataclass(frozen=True)
class StoredLayer:
    """A network from one layer on, that layer over the training patterns, and its test patterns."""

    checkpoint: Checkpoint
    layer: Layer
    test: LayerActivations


def read_layer(
    network: Path,
    activations: Path,
    parts: Split,
    architecture: Architecture,
    belongs: dict[str, Any],
    name: str,
    precomputed_scores: Iterable[Path] = (),
    seed: int = 0,
) -> StoredLayer:
    """Read one layer and those after it, and nothing before it.

    Args:
        network: its checkpoint.
        activations: recorded outputs of all its layers over all images.
        parts: training and test part of the images.
        architecture: what the checkpoint must be.
        belongs: what its provenance must say.
        name: of a hidden fully connected layer.
        precomputed_scores: files of scores that other stages computed.
        seed: of techniques that draw.

    Raises:
        UserError: a file is missing, damaged, or of another experiment.
    """
    check_belongs(network, architecture, belongs)
    outputs = read_outputs(activations, [architecture.input_name(name), name])
    training, test = (
        record(outputs, architecture, name, parts.positions(part), parts.truth)
        for part in ("train", "test")
    )
    checkpoint = load_checkpoint(network, since=name)
    scores = read_precomputed_scores(precomputed_scores, name)
    return StoredLayer(checkpoint, describe_layer(checkpoint, name, training, scores, seed), test)
