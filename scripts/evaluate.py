"""Evaluate one network on all images: predictions, metrics, and activations of its layers."""

from safetensors.numpy import save_file

from neuron_pruning.core.devices import choose_device
from neuron_pruning.core.errors import naming_network
from neuron_pruning.core.files import atomic_path
from neuron_pruning.data.images import open_array
from neuron_pruning.evaluation.inference import compute_activations
from neuron_pruning.evaluation.predictions import overall, write_evaluation
from neuron_pruning.models.networks import load_network
from neuron_pruning.pruning.network_source import NetworkSource, RunDescription
from runtime.job_adapter import Config, Files, TrackedResult, run_job


def evaluate(
    input: Files, output: Files, run: Config, batch_size: int, threads: int
) -> TrackedResult:
    """Run all images through the network once and write what comes out of its layers."""
    source = NetworkSource(input.network, input.split, RunDescription(**run))
    device, images = choose_device(threads), open_array(input.array)
    with naming_network(source.network):
        outputs = compute_activations(load_network(source.network), images, batch_size, device)
    with atomic_path(output.activations) as temporary:
        save_file(outputs, temporary)
    logits = outputs[source.architecture.layer_names[-1]]
    return TrackedResult(
        metrics=overall(write_evaluation(output, source.run.row_keys, source.split, logits))
    )


if "snakemake" in globals():
    run_job(globals()["snakemake"], evaluate)
