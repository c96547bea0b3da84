"""Prune one network with one technique at one amount, and measure what is left."""

from typing import Any

from neuron_pruning.core.errors import naming_network
from neuron_pruning.evaluation.pruned_networks import logits_after
from neuron_pruning.evaluation.prunings import Cut, write_pruned
from neuron_pruning.models.checkpoints import load_checkpoint
from neuron_pruning.pruning.network_source import NetworkSource, RunDescription
from neuron_pruning.pruning.scores import read_scores
from runtime.job_adapter import Files, TrackedResult, run_job


def prune(
    input: Files,
    output: Files,
    run: dict[str, Any],
    layers: list[str],
    technique: dict[str, Any],
    amount: float,
) -> TrackedResult:
    """Write the smaller network, its metrics and the list of removed units."""
    source = NetworkSource(input.network, input.split, RunDescription(**run), input.activations)
    before, outputs = load_checkpoint(source.network), source.outputs()
    cut, scores = Cut(technique, amount, source.seed), read_scores(input.measured)
    with naming_network(source.network):
        after, selections = cut.prune_units(before, layers, outputs, source.split, scores)
    logits = outputs[source.architecture.layer_names[-1]], logits_after(after, layers, outputs)
    return TrackedResult(write_pruned(output, source, cut, after, selections, logits))


if "snakemake" in globals():
    run_job(globals()["snakemake"], prune)
