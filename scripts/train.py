"""Train one network: a model, a learning rate, a batch size, a seed."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pyarrow as pa

from adapter import Mirrored, run_job
from neuron_pruning.architectures import with_classes
from neuron_pruning.augmentation import AugmentationSettings
from neuron_pruning.checkpoints import check_belongs, load_checkpoint
from neuron_pruning.devices import choose_device, device_name
from neuron_pruning.images import Patterns, open_array
from neuron_pruning.measured import write_scores
from neuron_pruning.networks import load_network, save_network
from neuron_pruning.parts import read_split
from neuron_pruning.records import column, schema, write_rows
from neuron_pruning.sensitivity import Sensitivity
from neuron_pruning.training import (
    Epoch,
    OptimiserSettings,
    Progress,
    TrainingSettings,
    train_network,
)

HISTORY_SCHEMA = schema(
    column("epoch", pa.int64(), "passes through the training images, from 1"),
    column("train_loss", pa.float64(), "mean cross-entropy over the epoch's batches", "nats"),
    column("train_accuracy", pa.float64(), "share right over the epoch's batches"),
    column("test_loss", pa.float64(), "mean cross-entropy after the epoch", "nats"),
    column("test_accuracy", pa.float64(), "share right after the epoch"),
    column("seconds", pa.float64(), "time of the training pass", "s"),
    column("images_per_second", pa.float64(), "training speed", "1/s"),
    column("device", pa.string(), "where the training ran"),
)


def train(
    array: Path,
    split: Path,
    initial: Path,
    network: Path,
    description: Path,
    history: Path,
    sensitivity: Path,
    keys: dict[str, Any],
    belongs: dict[str, Any],
    architecture: dict[str, Any],
    training: dict[str, Any],
    threads: int = 1,
) -> Mirrored:
    """Train the initial network; write it, its history and the sensitivity of its units."""
    device = choose_device(threads)
    images, parts = open_array(array), read_split(split)
    check_belongs(initial, with_classes(architecture, len(parts.classes)), belongs)
    settings = training_settings(training, keys)
    trained = load_network(initial)
    gathered = Sensitivity(trained)
    patterns = {
        part: Patterns(images, parts.positions(part), parts.truth[parts.positions(part)])
        for part in ("train", "test")
    }
    title, total = f"{keys['model']} seed {keys['seed']}", len(parts.positions("train"))
    with progress_bar(title, total * settings.epochs) as progress:
        epochs = train_network(
            trained, patterns["train"], patterns["test"], settings, device, progress, gathered
        )
    for epoch in epochs:
        logging.info("%s", epoch)
    write_scores(sensitivity, {"karnin": gathered.scores(load_checkpoint(initial).tensors)})
    save_network(trained.cpu(), network, keys)
    every = {**keys, "device": device_name(device, threads)}
    write_rows(history, map(asdict, epochs), HISTORY_SCHEMA, every)
    series = [f.name for f in fields(Epoch) if f.name != "epoch"]
    return Mirrored(series={name: [getattr(e, name) for e in epochs] for name in series})


def training_settings(training: dict[str, Any], keys: dict[str, Any]) -> TrainingSettings:
    """Settings of one run from the config's ``training`` section and the recipe's."""
    hyper = {name: keys[name] for name in ("learning_rate", "batch_size", "seed")}
    parts = {
        "optimiser": OptimiserSettings(**training["optimiser"]),
        "augmentation": AugmentationSettings(**training["augmentation"]),
    }
    return TrainingSettings(**{**training, **hyper, **parts})


@contextmanager
def progress_bar(title: str, images: int) -> Iterator[Progress]:
    """Progress over all images of all epochs; silent where nobody watches a terminal."""
    from tqdm import tqdm

    with tqdm(desc=title, total=images, unit="img", disable=None, leave=False) as bar:
        yield bar.update


if "snakemake" in globals():
    run_job(snakemake, train)  # noqa: F821
