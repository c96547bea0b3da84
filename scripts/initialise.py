"""Initial network of a model and seed: the start of its runs, and the untrained control."""

from pathlib import Path
from typing import Any

import numpy as np

from neuron_pruning.core.devices import use_cpu
from neuron_pruning.core.seeds import derive_seed
from neuron_pruning.data.images import ImageReader, open_array
from neuron_pruning.data.split_file import read_split
from neuron_pruning.models.architectures import count_parameters, with_classes
from neuron_pruning.models.initialisation import InitialisationSettings, initialise_network
from neuron_pruning.models.networks import save_network
from runtime.job_adapter import TrackedResult, run_job


def initialise(
    array: Path,
    split: Path,
    network: Path,
    description: Path,
    architecture: dict[str, Any],
    initialisation: dict[str, Any],
    keys: dict[str, Any],
    threads: int = 1,
) -> TrackedResult:
    """Write the network before its first step."""
    cpu = use_cpu(threads)  # the same initial network whatever trains it
    images, parts = open_array(array), read_split(split)
    settings = InitialisationSettings(**initialisation)
    calibration = np.random.default_rng(derive_seed(keys["seed"], "calibration"))
    rows = calibration.permutation(parts.positions("train"))[: settings.calibration_images]
    (batch,) = ImageReader(images, cpu).read([rows])
    classes = len(parts.classes)
    start = initialise_network(with_classes(architecture, classes), settings, keys["seed"], batch)
    save_network(start, network, keys)
    return TrackedResult(metrics={"parameters": count_parameters(start.architecture)})


if "snakemake" in globals():
    run_job(globals()["snakemake"], initialise)
