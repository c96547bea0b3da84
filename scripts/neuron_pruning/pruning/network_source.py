"""A stored network of a run with its split and recorded activations: what most jobs open."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxtyping import Float32
from numpy.typing import NDArray

from neuron_pruning.core.errors import UserError, naming_network
from neuron_pruning.data.split_file import Split, read_split
from neuron_pruning.models.architectures import Architecture, with_classes
from neuron_pruning.models.checkpoints import (
    Checkpoint,
    check_belongs,
    load_checkpoint,
    load_tensors,
)
from neuron_pruning.pruning.scores import read_scores, scores_of_layer
from neuron_pruning.pruning.units import Layer, LayerActivations, describe_layer, record

Outputs = dict[str, Float32[NDArray, "images _"]]


@dataclass(frozen=True)
class StoredLayer:
    """A network from one layer on, that layer over the training patterns, and its test patterns."""

    checkpoint: Checkpoint
    layer: Layer
    test: LayerActivations


@dataclass(frozen=True)
class RunDescription:
    """Which network of an experiment a job looks at.

    Attributes:
        keys: names of the run, as every Parquet row carries them.
        belongs: what the provenance of the network file must be.
        architecture: arguments of ``build_network`` without the output layer.
        state: ``trained`` or ``untrained``.
    """

    keys: Mapping[str, Any]
    belongs: Mapping[str, Any]
    architecture: Mapping[str, Any]
    state: str = "trained"

    @property
    def row_keys(self) -> dict[str, Any]:
        """Keys of the run and the state of its network."""
        return {**self.keys, "state": self.state}


@dataclass(frozen=True)
class NetworkSource:
    """A network file that belongs to its run, the split of the images, and recorded outputs.

    Attributes:
        network: the network file.
        split_file: which image trains and which tests.
        run: what the network must be.
        activations: recorded outputs of all its layers over all images, where a job reads them.

    Raises:
        UserError: a file is missing, damaged, or of another experiment.
    """

    network: Path
    split_file: Path
    run: RunDescription
    activations: Path | None = None
    split: Split = field(init=False)
    architecture: Architecture = field(init=False)

    def __post_init__(self) -> None:
        split = read_split(self.split_file)
        architecture = with_classes(self.run.architecture, len(split.classes))
        check_belongs(self.network, architecture, dict(self.run.belongs))
        object.__setattr__(self, "split", split)
        object.__setattr__(self, "architecture", architecture)

    @property
    def seed(self) -> int:
        """Seed of the run, and of techniques that draw."""
        return int(self.run.keys["seed"])

    def outputs(self, *names: str) -> Outputs:
        """Recorded outputs; of all layers and the features by default."""
        if self.activations is None:
            raise UserError(f"{self.network}: no recorded activations were given")
        return load_tensors(self.activations, names or self.architecture.output_names)

    def layer(self, name: str, precomputed_scores: Iterable[Path] = ()) -> StoredLayer:
        """One hidden fully connected layer and those after it; nothing before it is read.

        ``precomputed_scores`` are files of scores that other stages computed.
        """
        outputs = self.outputs(self.architecture.input_name(name), name)
        # ASSUME: the activation vectors run over the training images, in evaluation mode.
        of = outputs, self.architecture, name
        with naming_network(self.network):
            training, test = (
                record(*of, self.split.positions(part), self.split.labels)
                for part in ("train", "test")
            )
        checkpoint = load_checkpoint(self.network, since=name)
        scores = scores_of_layer(read_scores(precomputed_scores), name)
        layer = describe_layer(checkpoint, name, training, scores, self.seed)
        return StoredLayer(checkpoint, layer, test)


def recorded_activations(
    activations: Path | str, split_file: Path | str, layer: str, part: str = "train"
) -> Float32[NDArray, "images units"]:
    """Activations of a layer that the workflow recorded, of the images of one part.

    Units are selected and compensations fitted on training images alone: figures of test images
    that took part in it would be too good.

    Args:
        activations: ``activations.safetensors`` of an evaluation, which holds all images.
        split_file: the split of that run, ``splits/split~.../seed~....parquet``.
        layer: name of a layer, or ``features`` for what the first reads.
        part: ``train``, ``validation`` or ``test``.

    Raises:
        UserError: a file is missing or damaged, or has no such layer.
    """
    split = read_split(Path(split_file))
    return load_tensors(Path(activations), [layer])[layer][split.positions(part)]
