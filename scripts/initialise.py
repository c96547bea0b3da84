"""Initial network of a model and seed: the start of its runs, and the untrained control."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from adapter import Mirrored, run_job
from neuron_pruning.checkpoints import save_network
from neuron_pruning.devices import choose_device
from neuron_pruning.images import batches, load_batch, open_array
from neuron_pruning.initialisation import InitialisationSettings, initialise_network
from neuron_pruning.networks import build_network, count_parameters
from neuron_pruning.splits import read_split

BATCH = 64


def initialise(
    array: Path,
    split: Path,
    network: Path,
    description: Path,
    architecture: dict[str, Any],
    initialisation: dict[str, Any],
    keys: dict[str, Any],
    threads: int = 1,
) -> Mirrored:
    """Write the network before its first step."""
    device = choose_device(threads)
    images, parts = open_array(array), read_split(split)
    blank = build_network(**{**architecture, "widths": [*architecture["widths"], len(parts.classes)]})
    settings = InitialisationSettings(**initialisation)
    rows = parts.positions("train")

    def training_images() -> Iterator:
        return (load_batch(images, piece, device) for piece in batches(rows, BATCH))

    start = initialise_network(blank.architecture, settings, keys["seed"], training_images())
    save_network(start, network, keys)
    return Mirrored(metrics={"parameters": count_parameters(start)})


if "snakemake" in globals():
    run_job(snakemake, initialise)  # noqa: F821
