"""Importances of a network's units as the library torch-pruning computes them."""

from collections import defaultdict
from typing import Any

from numpy.typing import NDArray

from neuron_pruning.models.networks import load_network
from neuron_pruning.pruning.network_source import NetworkSource, RunDescription
from neuron_pruning.pruning.scores import write_scores
from neuron_pruning.pruning.torch_pruning_scores import unit_importances
from runtime.job_adapter import Files, TrackedResult, run_job


def score_with_torch_pruning(
    input: Files, output: Files, run: dict[str, Any], layers: list[str]
) -> TrackedResult:
    """Write the scores of every pruned layer by importance."""
    source = NetworkSource(input.network, input.split, RunDescription(**run), input.activations)
    network, rows = load_network(source.network), source.split.positions("train")
    scores: dict[str, dict[str, NDArray]] = defaultdict(dict)
    for layer in layers:
        read = source.architecture.input_name(layer)
        inputs, labels = source.outputs(read)[read][rows], source.split.labels[rows]
        for name, values in unit_importances(network, layer, inputs, labels).items():
            scores[name][layer] = values
    write_scores(output.scores, scores)
    return TrackedResult()


if "snakemake" in globals():
    run_job(globals()["snakemake"], score_with_torch_pruning)
