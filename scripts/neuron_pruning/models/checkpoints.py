"""Networks on disk: tensors in safetensors, everything else in JSON beside them; no pickle.

Here they are arrays, so that work on stored networks needs no torch.
"""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from neuron_pruning.core.errors import UserError, refuse_unreadable
from neuron_pruning.core.files import atomic_path, read_json, write_json
from neuron_pruning.models.architectures import Architecture, layer_sizes
from neuron_pruning.models.dense import Dense, hidden_activations, logits_from

# Batch normalisation counts batches, Swin and MaxViT number the places of a window.
WHOLE_NUMBERS = ("num_batches_tracked", "relative_position_index")
LARGEST_NUMBER = 10_000_000  # of units, kernels or pixels that a description may name


@dataclass(frozen=True)
class Checkpoint:
    """A network as arrays by name; ``classifier.fc1.weight`` is units x inputs, and so on."""

    architecture: Architecture
    tensors: Mapping[str, NDArray[Any]]

    def linear(self, layer: str) -> Dense:
        """Weight, units x inputs, and bias of a fully connected layer.

        Raises:
            UserError: there is no such layer; the message lists those there are.
        """
        self.architecture.place_of(layer)
        name = f"classifier.{layer}"
        return Dense(self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"])

    def hidden_activations(self, layer: str, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """Outputs, N x units, of a hidden layer that reads ``values``, N x inputs."""
        return hidden_activations(self.linear(layer), values)

    def logits_from(self, layer: str, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """Logits, N x classes, of ``values``, the N x inputs that ``layer`` reads."""
        names = self.architecture.layer_names[self.architecture.place_of(layer) :]
        return logits_from([self.linear(name) for name in names], values)


def description_path(path: Path) -> Path:
    """JSON that belongs to a checkpoint: ``network.safetensors`` -> ``network.json``."""
    return Path(path).with_suffix(".json")


def save_checkpoint(checkpoint: Checkpoint, path: Path, provenance: dict[str, Any]) -> None:
    """Write weights to ``path`` and architecture and provenance to the JSON beside it.

    Raises:
        UserError: the disk is full, or a network that is no use (see ``check_values``).
    """
    with as_written_network(path):
        check_values(checkpoint.tensors)
    tensors = {name: np.asarray(array, order="C") for name, array in checkpoint.tensors.items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary)
    description = {"architecture": asdict(checkpoint.architecture), "provenance": provenance}
    write_json(description_path(path), description)


def load_checkpoint(path: Path, since: str | None = None) -> Checkpoint:
    """Arrays and architecture of a stored network.

    ``since`` names a fully connected layer: nothing in front of it is read.

    Raises:
        UserError: a file is missing or damaged, there is no such layer, fully connected weights
            and description do not match, or a network that is no use (see ``check_values``).
    """
    architecture, _ = read_description(path)
    names = architecture.layer_names[architecture.place_of(since) if since else 0 :]
    wanted = {f"classifier.{name}.{kind}" for name in names for kind in ("weight", "bias")}
    tensors = load_tensors(path, wanted if since else None)
    with as_network_file(path):
        for layer in layer_sizes(architecture):
            shapes = ("weight", (layer.outputs, layer.inputs)), ("bias", (layer.outputs,))
            for kind, shape in shapes:
                name = f"classifier.{layer.name}.{kind}"
                if name in wanted and (name not in tensors or tensors[name].shape != shape):
                    raise ValueError(f"{name} is not of shape {shape}")
        check_values(tensors)
    return Checkpoint(architecture, tensors)


def load_tensors(path: Path, names: Iterable[str] | None = None) -> dict[str, NDArray[Any]]:
    """Arrays of a safetensors file, those of ``names`` or all.

    Raises:
        UserError: the file is missing or damaged, or lacks one of them.
    """
    with as_network_file(path), safe_open(path, framework="numpy") as file:
        return {name: file.get_tensor(name) for name in (names or file.keys())}


def check_values(tensors: Mapping[str, NDArray[Any]]) -> None:
    """Tensors of a network are finite float32; ``WHOLE_NUMBERS`` are int64.

    Raises:
        ValueError: naming the first that is not.
    """
    for name, array in tensors.items():
        wanted = np.dtype(np.int64 if name.endswith(WHOLE_NUMBERS) else np.float32)
        if array.dtype != wanted:
            raise ValueError(f"{name} is {array.dtype}, should be {wanted}")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds NaN or infinity")


def as_written_network(path: Path) -> AbstractContextManager[None]:
    """Around what looks at a network before it is written: nothing broken is stored."""
    remedy = "convert it with network.float(); if it diverged, train with a lower learning rate"
    return refuse_unreadable(f"{path} was not written", remedy)


def as_network_file(path: Path | str) -> AbstractContextManager[None]:
    """Around what reads weights: they may be damaged, or not fit their description."""
    return refuse_unreadable(
        f"{path} does not hold what belongs there",
        "delete it, and the JSON beside it if there is one, and run again",
    )


def read_description(path: Path) -> tuple[Architecture, dict[str, Any]]:
    """Architecture and provenance of a checkpoint."""
    description = read_json(description_path(path))
    problem = f"{description_path(path)} describes no network"
    with refuse_unreadable(problem, "delete it and run again"):
        fields = description["architecture"]
        height, width = _numbers(fields["input_size"])
        channels, widths = _numbers(fields["channels"]), _numbers(fields["widths"])
        shape = (height, width), channels, widths, fields["normalisation"]
        return Architecture(str(fields["name"]), *shape), dict(description["provenance"])


def _numbers(values: Iterable[Any]) -> tuple[int, ...]:
    """``values`` as they are, if they are positive whole numbers of a size that networks have."""
    numbers = tuple(values)
    if not all(type(value) is int and 0 < value < LARGEST_NUMBER for value in numbers):
        raise ValueError(f"{numbers} are no numbers of units, kernels or pixels")
    return numbers


def check_belongs(path: Path, architecture: Architecture | None, keys: dict[str, Any]) -> None:
    """Compare a checkpoint with what the config asks for; None: of whatever architecture.

    Raises:
        UserError: naming every key in which they differ.
    """
    found, provenance = read_description(path)
    wanted = {**(asdict(architecture) if architecture else {}), **keys}
    actual = {**asdict(found), **{key: provenance.get(key) for key in keys}}
    odd = [f"{k}: {actual[k]} instead of {wanted[k]}" for k in wanted if actual[k] != wanted[k]]
    if odd:
        raise UserError(
            f"{path} does not belong to this config ({'; '.join(odd)}); delete the file, or give "
            "the experiment another name in the config, and run again"
        )
