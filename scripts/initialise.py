"""Initial network of a model and seed: the start of its runs, and the untrained control."""

import numpy as np

from neuron_pruning.core.devices import use_cpu
from neuron_pruning.core.seeds import derive_seed
from neuron_pruning.data.images import ImageReader, open_array
from neuron_pruning.data.split_file import read_split
from neuron_pruning.models.architectures import count_parameters, with_classes
from neuron_pruning.models.initialisation import InitialisationSettings, initialise_network
from neuron_pruning.models.networks import save_network
from runtime.job_adapter import Config, Files, TrackedResult, run_job


def initialise(
    input: Files,
    output: Files,
    architecture: Config,
    initialisation: Config,
    keys: Config,
    threads: int,
) -> TrackedResult:
    """Write the network before its first step."""
    cpu = use_cpu(threads)  # the same initial network whatever trains it
    images, split = open_array(input.array), read_split(input.split)
    settings = InitialisationSettings(**initialisation)
    calibration = np.random.default_rng(derive_seed(keys["seed"], "calibration"))
    rows = calibration.permutation(split.positions("train"))[: settings.calibration_images]
    (batch,) = ImageReader(images, cpu).read([rows])
    whole = with_classes(architecture, len(split.classes))
    network = initialise_network(whole, settings, keys["seed"], batch)
    save_network(network, output.network, keys)
    return TrackedResult(metrics={"parameters": count_parameters(network.architecture)})


if "snakemake" in globals():
    run_job(globals()["snakemake"], initialise)
