"""Fine-tune a pruned network with the recipe of its run."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuron_pruning.core.devices import choose_device
from neuron_pruning.core.parquet import read_rows, write_rows
from neuron_pruning.data.images import open_array
from neuron_pruning.data.split_file import Split, read_split
from neuron_pruning.evaluation.inference import compute_activations
from neuron_pruning.evaluation.pruned_networks import (
    PRUNED_METRICS_SCHEMA,
    PRUNING_COLUMNS,
    accuracy_change,
    logits_after,
)
from neuron_pruning.models.architectures import FEATURES
from neuron_pruning.models.checkpoints import (
    Checkpoint,
    check_belongs,
    load_checkpoint,
    load_tensors,
    save_checkpoint,
)
from neuron_pruning.models.networks import Network
from neuron_pruning.training.callbacks import EpochLog
from neuron_pruning.training.fine_tuning import fine_tune_all_layers, fine_tune_pruned
from neuron_pruning.training.memory import retry_with_smaller_micro_batch
from neuron_pruning.training.settings import TrainingSettings
from runtime.job_adapter import Files, TrackedResult, run_job


def fine_tune(
    input: Files,
    output: Files,
    keys: dict[str, Any],
    layers: list[str],
    fine_tuning: dict[str, Any],
    training: dict[str, Any],
    batch_size: int,
    threads: int,
) -> TrackedResult:
    """Write the fine-tuned smaller network and its metrics."""
    check_belongs(input.pruned, None, keys)
    split, before = read_split(input.split), load_checkpoint(input.pruned)
    names = before.architecture.layer_names
    outputs = load_tensors(input.activations, [FEATURES, *names])
    settings = replace(TrainingSettings.from_config(training, keys), epochs=fine_tuning["epochs"])
    if fine_tuning["trainable"] == "all":
        images = open_array(input.array[0])
        after, logits = all_layers(before, images, split, settings, batch_size, threads)
    else:
        rows = split.positions("train")
        inputs = {name: values[rows] for name, values in outputs.items()}
        after = fine_tune_pruned(before, layers, inputs, split.labels[rows], settings)
        logits = logits_after(after, layers, outputs)
    (row,) = read_rows(input.pruned_metrics)
    row |= {
        **accuracy_change(outputs[names[-1]], logits, split),
        "fine_tuning": settings.epochs,
    }
    described = {column.name: row[column.name] for column in PRUNING_COLUMNS}
    save_checkpoint(after, output.network, {**keys, **described})
    write_rows(output.metrics, [row], PRUNED_METRICS_SCHEMA)
    return TrackedResult(metrics={"test_accuracy_after": row["test_accuracy_after"]})


def all_layers(
    before: Checkpoint,
    images: NDArray[np.uint8],
    split: Split,
    settings: TrainingSettings,
    batch_size: int,
    threads: int,
) -> tuple[Checkpoint, NDArray[np.float32]]:
    """The network after fine-tuning all layers on the images, and its logits of all images."""
    device = choose_device(threads)

    def attempt(settings: TrainingSettings) -> Network:
        network = Network.from_checkpoint(copy.deepcopy(before))
        fine_tune_all_layers(network, images, split, settings, device, [EpochLog()])
        return network

    network = retry_with_smaller_micro_batch(attempt, settings)
    outputs = compute_activations(network, images, batch_size, device)
    return network.cpu().to_checkpoint(), outputs[before.architecture.layer_names[-1]]


if "snakemake" in globals():
    run_job(globals()["snakemake"], fine_tune)
