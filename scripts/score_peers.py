"""Importances of a network's units as the library torch-pruning computes them."""

from collections import defaultdict
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from neuron_pruning.data.split_file import read_split
from neuron_pruning.models.architectures import with_classes
from neuron_pruning.models.checkpoints import check_belongs
from neuron_pruning.models.networks import load_network
from neuron_pruning.pruning.scores import read_outputs, write_scores
from neuron_pruning.pruning.torch_pruning_scores import unit_importances
from runtime.job_adapter import Mirrored, run_job


def score_peers(
    split: Path,
    network: Path,
    activations: Path,
    scores: Path,
    keys: dict[str, Any],
    belongs: dict[str, Any],
    architecture: dict[str, Any],
    state: str,
    layers: list[str],
) -> Mirrored:
    """Write the scores of every pruned layer by importance."""
    parts = read_split(split)
    expected = with_classes(architecture, len(parts.classes))
    check_belongs(network, expected, belongs)
    whole, rows = load_network(network), parts.positions("train")
    found: dict[str, dict[str, NDArray]] = defaultdict(dict)
    for layer in layers:
        reads = expected.input_name(layer)
        inputs = read_outputs(activations, [reads])[reads][rows]
        for name, values in unit_importances(whole, layer, inputs, parts.truth[rows]).items():
            found[name][layer] = values
    write_scores(scores, found)
    return Mirrored()


if "snakemake" in globals():
    run_job(globals()["snakemake"], score_peers)
