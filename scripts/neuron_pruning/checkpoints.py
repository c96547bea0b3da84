"""Networks on disk: tensors in safetensors, everything else in JSON beside them; no pickle."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from neuron_pruning.architectures import Architecture
from neuron_pruning.errors import UserError
from neuron_pruning.files import atomic_path, read_json, write_json
from neuron_pruning.networks import Network, build_architecture


def description_path(path: Path) -> Path:
    """JSON that belongs to a checkpoint: ``network.safetensors`` -> ``network.json``."""
    return Path(path).with_suffix(".json")


def save_network(network: Network, path: Path, provenance: dict[str, Any]) -> None:
    """Write weights to ``path`` and architecture and provenance to the JSON beside it."""
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary)
    description = {"architecture": asdict(network.architecture), "provenance": provenance}
    write_json(description_path(path), description)


def read_description(path: Path) -> tuple[Architecture, dict[str, Any]]:
    """Architecture and provenance of a checkpoint."""
    description = read_json(description_path(path))
    try:
        fields = description["architecture"]
        architecture = Architecture(
            fields["name"],
            (fields["input_size"][0], fields["input_size"][1]),
            tuple(fields["channels"]),
            tuple(fields["widths"]),
            fields["normalisation"],
        )
        return architecture, description["provenance"]
    except (KeyError, TypeError, IndexError) as error:
        raise UserError(
            f"{description_path(path)} describes no network ({error!r}); delete it and run again"
        ) from error


def load_network(path: Path | str) -> Network:
    """Network in evaluation mode on the CPU.

    Raises:
        UserError: a file is missing or damaged, or weights and description do not match.
    """
    architecture, _ = read_description(Path(path))
    with torch.device("meta"):
        network = build_architecture(architecture)
    try:
        tensors = load_file(path)
        network.load_state_dict(tensors, assign=True)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise UserError(
            f"{path} does not hold the weights that {description_path(Path(path)).name} "
            f"describes ({str(error).splitlines()[0]}); delete both and run again"
        ) from error
    return network.eval()


def check_belongs(path: Path, architecture: Architecture, keys: dict[str, Any]) -> None:
    """Compare a checkpoint with what the config asks for.

    Raises:
        UserError: naming every key in which they differ.
    """
    found, provenance = read_description(path)
    wanted = {**asdict(architecture), **keys}
    actual = {**asdict(found), **{key: provenance.get(key) for key in keys}}
    odd = [f"{k}: {actual[k]} instead of {wanted[k]}" for k in wanted if actual[k] != wanted[k]]
    if odd:
        raise UserError(
            f"{path} does not belong to this config ({'; '.join(odd)}); delete the file, or give "
            "the experiment another name in the config, and run again"
        )
