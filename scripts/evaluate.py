"""Evaluate one network on all images: predictions, metrics, and activations of its layers."""

from pathlib import Path
from typing import Any

import pyarrow as pa
from safetensors.numpy import save_file

from neuron_pruning.core.devices import choose_device
from neuron_pruning.core.files import atomic_path
from neuron_pruning.core.parquet import column, schema, write_rows
from neuron_pruning.data.images import open_array
from neuron_pruning.data.split_file import read_split
from neuron_pruning.evaluation.inference import compute_activations
from neuron_pruning.evaluation.predictions import (
    CONFUSION_COLUMNS,
    METRIC_COLUMNS,
    PART,
    confusion_matrices,
    metric_rows,
    overall,
    prediction_rows,
    predictions_schema,
)
from neuron_pruning.models.architectures import with_classes
from neuron_pruning.models.checkpoints import check_belongs
from neuron_pruning.models.networks import load_network
from neuron_pruning.statistics.metrics import softmax
from runtime.job_adapter import Mirrored, run_job

STATE = column("state", pa.string(), "trained or untrained")
METRICS_SCHEMA = schema(STATE, PART, *METRIC_COLUMNS)
CONFUSION_SCHEMA = schema(STATE, PART, *CONFUSION_COLUMNS)


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
    """Run all images through the network once and write what comes out of its layers."""
    device = choose_device(threads)
    images, parts = open_array(array), read_split(split)
    check_belongs(network, with_classes(architecture, len(parts.classes)), belongs)
    outputs = compute_activations(load_network(network), images, batch_size, device)
    with atomic_path(activations) as temporary:
        save_file(outputs, temporary)
    logits = outputs[list(outputs)[-1]]
    predicted, keys = logits.argmax(axis=1), {**keys, "state": state}
    shape = predictions_schema([STATE], parts.classes, "probability", run=True)
    rows = prediction_rows(parts, predicted, softmax(logits), "probability")
    write_rows(predictions, rows, shape, keys)
    figures = metric_rows(parts, predicted, logits)
    write_rows(metrics, figures, METRICS_SCHEMA, keys)
    write_rows(confusion, confusion_matrices(parts, predicted), CONFUSION_SCHEMA, keys)
    return Mirrored(metrics=overall(figures))


if "snakemake" in globals():
    run_job(globals()["snakemake"], evaluate)
