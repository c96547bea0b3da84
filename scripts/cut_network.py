"""Cut one network in several layers, convolutions too, and measure the smaller network."""

from typing import Any

from neuron_pruning.core.devices import choose_device
from neuron_pruning.core.errors import naming_network
from neuron_pruning.data.images import open_array
from neuron_pruning.evaluation.cuts import CalibrationImages, cut_layers
from neuron_pruning.evaluation.prunings import Cut, write_pruned
from neuron_pruning.models.networks import load_network
from neuron_pruning.pruning.network_source import NetworkSource, RunDescription
from neuron_pruning.pruning.scores import read_scores
from runtime.job_adapter import Files, TrackedResult, run_job


def cut_network(
    input: Files,
    output: Files,
    run: dict[str, Any],
    layers: list[str],
    technique: dict[str, Any],
    amount: float,
    batch_size: int,
    threads: int,
) -> TrackedResult:
    """Write the smaller network, its metrics and the list of removed units."""
    source = NetworkSource(input.network, input.split, RunDescription(**run))
    images, device = open_array(input.array), choose_device(threads)
    calibration = CalibrationImages(images, source.split, batch_size, device)
    cut, scores = Cut(technique, amount, source.seed), read_scores(input.measured)
    with naming_network(source.network):
        found = cut_layers(load_network(source.network), layers, cut, calibration, scores)
    return TrackedResult(write_pruned(output, source, cut, *found))


if "snakemake" in globals():
    run_job(globals()["snakemake"], cut_network)
