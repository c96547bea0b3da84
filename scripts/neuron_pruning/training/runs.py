"""One run: the training of a stored initial network, and the figures of its epochs."""

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from neuron_pruning.core.parquet import column, schema
from neuron_pruning.core.resume import Resume
from neuron_pruning.data.split_file import Split
from neuron_pruning.models.networks import Network, load_network
from neuron_pruning.training.callbacks import Callback, EpochLog, ProgressBar, TrainingCheckpoint
from neuron_pruning.training.loop import train_and_test, train_network
from neuron_pruning.training.memory import retry_with_smaller_micro_batch
from neuron_pruning.training.sensitivity import Sensitivity
from neuron_pruning.training.settings import TrainingSettings
from neuron_pruning.training.state import Epoch

EPOCH = column("epoch", pa.int64(), "passes through the training images, from 1")
HISTORY_SCHEMA = schema(
    EPOCH,
    column("train_loss", pa.float64(), "mean cross-entropy over the epoch's batches", "nats"),
    column("train_accuracy", pa.float64(), "accuracy over the epoch's batches"),
    column("test_loss", pa.float64(), "mean cross-entropy after the epoch", "nats"),
    column("test_accuracy", pa.float64(), "accuracy after the epoch"),
)
SPEED_SCHEMA = schema(
    EPOCH,
    column("seconds", pa.float64(), "time of the training pass", "s"),
    column("images_per_second", pa.float64(), "training speed", "1/s"),
    column("device", pa.string(), "where the training ran"),
    column("micro_batch", pa.int64(), "images per forward pass in the end", "images"),
    column("precision", pa.string(), "arithmetic of products: float32, tf32 or bfloat16"),
)  # in a file of its own: two runs of one training differ in nothing else


@dataclass(frozen=True)
class Trained:
    """A trained network, what its units have gathered, one row per epoch, and the settings.

    The settings are those that fitted the GPU's memory.
    """

    network: Network
    sensitivity: Sensitivity
    epochs: list[Epoch]
    settings: TrainingSettings

    @property
    def series(self) -> dict[str, list[float]]:
        """Figures by epoch, from the first."""
        names = [field.name for field in fields(Epoch) if field.name != "epoch"]
        return {name: [getattr(epoch, name) for epoch in self.epochs] for name in names}

    def rows(self, table: pa.Schema, device: str) -> list[dict[str, Any]]:
        """One row per epoch with the columns of ``table``, which may name the device."""
        size = self.settings.micro_batch or self.settings.batch_size
        shared = {"device": device, "micro_batch": size, "precision": self.settings.precision}
        rows = [{**asdict(epoch), **shared} for epoch in self.epochs]
        return [{name: row[name] for name in table.names if name in row} for row in rows]


def train_run(
    initial: Path,
    images: NDArray[np.uint8],
    split: Split,
    settings: TrainingSettings,
    device: torch.device,
    title: str,
    resume: Resume | None = None,
) -> Trained:
    """Train a stored network, in smaller micro-batches where the GPU has too little memory.

    ``images`` are all of the data set, N x height x width x 3; ``title`` is that of the progress
    bar, and ``resume`` where training checkpoints are kept, if they are.
    """
    if resume is not None:  # a training checkpoint belongs to the kind of device that wrote it
        kind = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        resume = replace(resume, identity=f"{resume.identity} {kind}")
    parts = train_and_test(images, split)

    def attempt(settings: TrainingSettings, room: float | None) -> Trained:
        network = load_network(initial)
        sensitivity = Sensitivity(network)
        callbacks: list[Callback] = [sensitivity, ProgressBar(title), EpochLog()]
        if resume is not None:
            callbacks.append(TrainingCheckpoint(resume))
        epochs = train_network(network, *parts, settings, device, callbacks, room)
        return Trained(network, sensitivity, epochs, settings)

    return retry_with_smaller_micro_batch(attempt, settings)
