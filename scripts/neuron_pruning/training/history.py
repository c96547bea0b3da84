"""What a training leaves besides its network: figures of its epochs, and how fast they were."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

import pyarrow as pa

from neuron_pruning.core.parquet import column, schema
from neuron_pruning.models.networks import Network
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
)  # in a file of its own: two runs of one training differ in nothing else


@dataclass(frozen=True)
class Trained:
    """A trained network and its figures.

    Attributes:
        network: after the last epoch.
        sensitivity: what its units have gathered.
        epochs: one row per epoch.
        settings: those that fitted the GPU's memory.
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


def history_rows(epochs: Iterable[Epoch]) -> list[dict[str, Any]]:
    """What the epochs reached."""
    names = {field.name for field in HISTORY_SCHEMA}
    return [{n: v for n, v in asdict(epoch).items() if n in names} for epoch in epochs]


def speed_rows(trained: Trained, device: str) -> list[dict[str, Any]]:
    """How fast the epochs were, on a device of that name."""
    size = trained.settings.micro_batch or trained.settings.batch_size
    return [
        {
            "epoch": epoch.epoch,
            "seconds": epoch.seconds,
            "images_per_second": epoch.images_per_second,
            "device": device,
            "micro_batch": size,
        }
        for epoch in trained.epochs
    ]
