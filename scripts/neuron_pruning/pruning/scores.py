"""Files of scores that earlier stages gave the units of a network's layers."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray
from safetensors.numpy import save_file

from neuron_pruning.core.files import atomic_path
from neuron_pruning.models.checkpoints import load_tensors

ScoresByLayer = Mapping[str, Float64[NDArray, " _"]]  # one per unit of each layer


def write_scores(path: Path, scores: Mapping[str, ScoresByLayer]) -> None:
    """Write scores by technique, then by layer."""
    flat = {
        f"{technique}/{layer}": np.ascontiguousarray(values)
        for technique, by_layer in scores.items()
        for layer, values in by_layer.items()
    }
    with atomic_path(path) as temporary:
        save_file(flat, temporary)


def read_scores(paths: Iterable[Path]) -> dict[str, dict[str, Float64[NDArray, " _"]]]:
    """Scores of several files by technique, then by layer."""
    found: dict[str, dict[str, Float64[NDArray, " _"]]] = {}
    for path in paths:
        for name, values in load_tensors(path).items():
            technique, layer = name.split("/")
            found.setdefault(technique, {})[layer] = values
    return found


def scores_of_layer(
    scores: Mapping[str, ScoresByLayer], layer: str
) -> dict[str, Float64[NDArray, " units"]]:
    """Scores of one layer by technique."""
    return {name: by_layer[layer] for name, by_layer in scores.items() if layer in by_layer}
