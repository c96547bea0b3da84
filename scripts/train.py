"""Train one network: a model, a learning rate, a batch size, a seed."""

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from adapter import Mirrored, run_job
from neuron_pruning.core.devices import choose_device, device_name
from neuron_pruning.core.parquet import column, schema, write_rows
from neuron_pruning.core.resume import Resume
from neuron_pruning.data.images import Patterns, open_array
from neuron_pruning.data.split_file import read_split
from neuron_pruning.models.architectures import with_classes
from neuron_pruning.models.checkpoints import check_belongs, load_checkpoint
from neuron_pruning.models.networks import Network, load_network, save_network
from neuron_pruning.pruning.scores import write_scores
from neuron_pruning.training.augmentation import AugmentationSettings
from neuron_pruning.training.callbacks import (
    Callback,
    EpochLog,
    ProgressBar,
    TrainingCheckpoint,
)
from neuron_pruning.training.loop import train_network
from neuron_pruning.training.memory import retry_with_smaller_micro_batch
from neuron_pruning.training.sensitivity import Sensitivity
from neuron_pruning.training.settings import OptimiserSettings, TrainingSettings
from neuron_pruning.training.state import Epoch

HISTORY_SCHEMA = schema(
    column("epoch", pa.int64(), "passes through the training images, from 1"),
    column("train_loss", pa.float64(), "mean cross-entropy over the epoch's batches", "nats"),
    column("train_accuracy", pa.float64(), "share right over the epoch's batches"),
    column("test_loss", pa.float64(), "mean cross-entropy after the epoch", "nats"),
    column("test_accuracy", pa.float64(), "share right after the epoch"),
)
SPEED_SCHEMA = schema(
    column("epoch", pa.int64(), "passes through the training images, from 1"),
    column("seconds", pa.float64(), "time of the training pass", "s"),
    column("images_per_second", pa.float64(), "training speed", "1/s"),
    column("device", pa.string(), "where the training ran"),
    column("micro_batch", pa.int64(), "images at once in the end", "images"),
)  # in a file of its own: two runs of one training differ in nothing else


def train(
    array: Path,
    split: Path,
    initial: Path,
    network: Path,
    description: Path,
    history: Path,
    speed: Path,
    sensitivity: Path,
    keys: dict[str, Any],
    belongs: dict[str, Any],
    architecture: dict[str, Any],
    training: dict[str, Any],
    threads: int = 1,
    resume: Resume | None = None,
) -> Mirrored:
    """Train the initial network; write it, its history and speed, and its units' sensitivity."""
    device = choose_device(threads)
    if resume is not None:  # a training checkpoint belongs to the kind of device that wrote it
        resume = replace(resume, identity=f"{resume.identity} {device.type}")
    images, parts = open_array(array), read_split(split)
    check_belongs(initial, with_classes(architecture, len(parts.classes)), belongs)
    patterns = {
        part: Patterns(images, parts.positions(part), parts.truth[parts.positions(part)])
        for part in ("train", "test")
    }

    def attempt(settings: TrainingSettings) -> Trained:
        network = load_network(initial)
        karnin, title = Sensitivity(network), f"{keys['model']} seed {keys['seed']}"
        callbacks: list[Callback] = [karnin, ProgressBar(title), EpochLog()]
        if resume is not None:
            callbacks.append(TrainingCheckpoint(resume))
        epochs = train_network(network, *patterns.values(), settings, device, callbacks)
        return Trained(network, karnin, epochs, settings)

    trained = retry_with_smaller_micro_batch(attempt, training_settings(training, keys))
    scores = trained.sensitivity.scores(load_checkpoint(initial).tensors)
    write_scores(sensitivity, {"karnin": scores})
    save_network(trained.network.cpu(), network, keys)
    every = {**keys, "device": device_name(device, threads)}
    write_epochs(trained, history, speed, every)
    series = [f.name for f in fields(Epoch) if f.name != "epoch"]
    return Mirrored(series={name: [getattr(e, name) for e in trained.epochs] for name in series})


@dataclass(frozen=True)
class Trained:
    """A trained network and its figures; ``settings`` are those that fitted the GPU's memory."""

    network: Network
    sensitivity: Sensitivity
    epochs: list[Epoch]
    settings: TrainingSettings


def write_epochs(trained: Trained, history: Path, speed: Path, keys: dict[str, Any]) -> None:
    """Write what the epochs reached, and beside it how fast; ``keys`` name run and device."""
    rows = [asdict(epoch) for epoch in trained.epochs]
    timed = ("seconds", "images_per_second")
    run = {name: value for name, value in keys.items() if name != "device"}
    write_rows(
        history, [{k: v for k, v in r.items() if k not in timed} for r in rows], HISTORY_SCHEMA, run
    )
    at_once = trained.settings.micro_batch or trained.settings.batch_size
    fast = [{"epoch": row["epoch"]} | {name: row[name] for name in timed} for row in rows]
    write_rows(speed, fast, SPEED_SCHEMA, {**keys, "micro_batch": at_once})


def training_settings(training: dict[str, Any], keys: dict[str, Any]) -> TrainingSettings:
    """Settings of one run from the config's ``training`` section and the recipe's."""
    hyper = {name: keys[name] for name in ("learning_rate", "batch_size", "seed")}
    parts = {
        "optimiser": OptimiserSettings(**training["optimiser"]),
        "augmentation": AugmentationSettings(**training["augmentation"]),
    }
    return TrainingSettings(**{**training, **hyper, **parts})


if "snakemake" in globals():
    run_job(snakemake, train)  # noqa: F821
