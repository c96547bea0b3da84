"""Evaluate one network on all images: predictions, metrics, and activations of its layers."""

from typing import Any

import pyarrow as pa
from safetensors.numpy import save_file

from neuron_pruning.core.devices import choose_device
from neuron_pruning.core.files import atomic_path
from neuron_pruning.core.parquet import column, schema, write_rows
from neuron_pruning.data.images import open_array
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
from neuron_pruning.models.networks import load_network
from neuron_pruning.pruning.network_source import NetworkSource, RunDescription
from neuron_pruning.statistics.metrics import softmax
from runtime.job_adapter import Files, TrackedResult, run_job

STATE = column("state", pa.string(), "trained or untrained")
METRICS_SCHEMA = schema(STATE, PART, *METRIC_COLUMNS)
CONFUSION_SCHEMA = schema(STATE, PART, *CONFUSION_COLUMNS)


def evaluate(
    input: Files, output: Files, run: dict[str, Any], batch_size: int, threads: int
) -> TrackedResult:
    """Run all images through the network once and write what comes out of its layers."""
    source = NetworkSource(input.network, input.split, RunDescription(**run))
    device, images, split = choose_device(threads), open_array(input.array), source.split
    outputs = compute_activations(load_network(source.network), images, batch_size, device)
    with atomic_path(output.activations) as temporary:
        save_file(outputs, temporary)
    logits = outputs[source.architecture.layer_names[-1]]
    predicted, keys = logits.argmax(axis=1), source.run.row_keys
    shape = predictions_schema([STATE], split.classes, "probability", run=True)
    rows = prediction_rows(split, predicted, softmax(logits), "probability")
    write_rows(output.predictions, rows, shape, keys)
    figures = metric_rows(split, predicted, logits)
    write_rows(output.metrics, figures, METRICS_SCHEMA, keys)
    write_rows(output.confusion, confusion_matrices(split, predicted), CONFUSION_SCHEMA, keys)
    return TrackedResult(metrics=overall(figures))


if "snakemake" in globals():
    run_job(globals()["snakemake"], evaluate)
