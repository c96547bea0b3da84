"""Everything later stages need of one network: answers, metrics, activations."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from safetensors.numpy import save_file

from neuron_pruning.core.devices import choose_device
from neuron_pruning.core.files import atomic_path
from neuron_pruning.core.parquet import column, schema, write_rows
from neuron_pruning.data.images import open_array
from neuron_pruning.data.split_file import Split, read_split
from neuron_pruning.evaluation.inference import compute_activations
from neuron_pruning.models.architectures import with_classes
from neuron_pruning.models.checkpoints import check_belongs
from neuron_pruning.models.networks import load_network
from neuron_pruning.statistics.metrics import class_metrics, confusion_rows, cross_entropy, softmax
from runtime.job_adapter import Mirrored, run_job

STATE = column("state", pa.string(), "trained or untrained")
PART = column("part", pa.string(), "train, validation or test")
METRICS_SCHEMA = schema(
    STATE,
    PART,
    column("class", pa.string(), "class, or all"),
    column("metric", pa.string(), "accuracy, loss (nats), precision, recall, specificity or f1"),
    column("value", pa.float64(), "the figure"),
    column("images", pa.int64(), "images of the part", "images"),
)
CONFUSION_SCHEMA = schema(
    STATE,
    PART,
    column("label", pa.string(), "true class"),
    column("predicted", pa.string(), "answer of the network"),
    column("count", pa.int64(), "how many", "images"),
)


def predictions_schema(classes: tuple[str, ...]) -> pa.Schema:
    """Schema with one probability column a class."""
    return schema(
        STATE,
        PART,
        column("position", pa.int64(), "row of the array"),
        column("image", pa.string(), "file, relative to the folder of class folders"),
        column("label", pa.string(), "true class"),
        column("predicted", pa.string(), "class of the largest probability"),
        *(column(f"p_{c}", pa.float64(), f"probability of {c}") for c in classes),
    )


def evaluate(
    array: Path,
    split: Path,
    network: Path,
    predictions: Path,
    metrics: Path,
    confusion: Path,
    activations: Path,
    keys: dict[str, Any],
    belongs: dict[str, Any],
    architecture: dict[str, Any],
    state: str,
    batch_size: int,
    threads: int = 1,
) -> Mirrored:
    """Run all images through the network once and write what it says."""
    device = choose_device(threads)
    images, parts = open_array(array), read_split(split)
    check_belongs(network, with_classes(architecture, len(parts.classes)), belongs)
    outputs = compute_activations(load_network(network), images, batch_size, device)
    with atomic_path(activations) as temporary:
        save_file(outputs, temporary)
    logits = outputs[list(outputs)[-1]]
    every = {**keys, "state": state}
    rows = prediction_rows(parts, logits)
    write_rows(predictions, rows, predictions_schema(parts.classes), every)
    measured = metric_rows(parts, logits)
    write_rows(metrics, measured, METRICS_SCHEMA, every)
    write_rows(confusion, part_confusions(parts, logits), CONFUSION_SCHEMA, every)
    overall = {f"{r['part']}_{r['metric']}": r["value"] for r in measured if r["class"] == "all"}
    return Mirrored(metrics=overall)


def prediction_rows(parts: Split, logits: np.ndarray) -> list[dict[str, Any]]:
    """One row an image."""
    probabilities = softmax(logits)
    answers = logits.argmax(axis=1)
    return [
        {
            "part": str(parts.parts[row]),
            "position": row,
            "image": image,
            "label": parts.classes[parts.truth[row]],
            "predicted": parts.classes[answers[row]],
            **{f"p_{c}": float(p) for c, p in zip(parts.classes, probabilities[row], strict=True)},
        }
        for row, image in enumerate(parts.images)
    ]


def metric_rows(parts: Split, logits: np.ndarray) -> list[dict[str, Any]]:
    """Accuracy, loss and the figures of each class, for every part.

    ASSUME: the paper's train accuracy is that of the final network over all training images.
    """
    rows = []
    for part in parts.parts_present:
        where = parts.positions(part)
        truth, answers = parts.truth[where], logits[where].argmax(axis=1)
        loss = {"class": "all", "metric": "loss", "value": cross_entropy(logits[where], truth)}
        found = [loss, *class_metrics(truth, answers, parts.classes)]
        rows += [{**row, "part": part, "images": len(where)} for row in found]
    return rows


def part_confusions(parts: Split, logits: np.ndarray) -> list[dict[str, Any]]:
    """Confusion matrices of all parts, a row a cell."""
    return [
        {**row, "part": part}
        for part in parts.parts_present
        for row in confusion_rows(
            parts.truth[parts.positions(part)],
            logits[parts.positions(part)].argmax(axis=1),
            parts.classes,
        )
    ]


if "snakemake" in globals():
    run_job(globals()["snakemake"], evaluate)
