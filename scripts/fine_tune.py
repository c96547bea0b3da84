"""Train a pruned network further, with the recipe of its run."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from neuron_pruning.core.devices import choose_device
from neuron_pruning.core.parquet import read_rows, write_rows
from neuron_pruning.data.images import open_array
from neuron_pruning.data.split_file import Split, read_split
from neuron_pruning.evaluation.inference import compute_activations
from neuron_pruning.models.architectures import FEATURES
from neuron_pruning.models.checkpoints import (
    Checkpoint,
    check_belongs,
    load_checkpoint,
    save_checkpoint,
)
from neuron_pruning.models.networks import Network
from neuron_pruning.pruning.scores import read_outputs
from neuron_pruning.training.fine_tuning import fine_tune_behind, fine_tune_network
from neuron_pruning.training.loop import TrainingSettings, within_memory
from prune import METRICS_SCHEMA, PRUNING_KEYS, compared, pruned_answers
from runtime.job_adapter import TrackedResult, run_job
from train import training_settings


def fine_tune(
    split: Path,
    pruned: Path,
    activations: Path,
    pruned_metrics: Path,
    array: list[Path],
    network: Path,
    description: Path,
    metrics: Path,
    keys: dict[str, Any],
    layers: list[str],
    fine_tuning: dict[str, Any],
    training: dict[str, Any],
    batch_size: int,
    threads: int = 1,
) -> TrackedResult:
    """Write the trained smaller network and its metrics."""
    check_belongs(pruned, None, keys)
    parts, before = read_split(split), load_checkpoint(pruned)
    outputs = read_outputs(activations, [FEATURES, *before.architecture.layer_names])
    settings = replace(training_settings(training, keys), epochs=fine_tuning["epochs"])
    if fine_tuning["trainable"] == "all":
        after, answers = whole_network(before, array[0], parts, settings, batch_size, threads)
    else:
        after = behind(before, layers, outputs, parts, settings)
        answers = pruned_answers(after, layers, outputs)
    (row,) = read_rows(pruned_metrics)
    row.update(compared(outputs, answers, parts, before.architecture))
    row["fine_tuning"] = settings.epochs
    about = {name: row[name] for name in PRUNING_KEYS[:-1]}
    save_checkpoint(after, network, {**keys, **about, "fine_tuning": settings.epochs})
    write_rows(metrics, [row], METRICS_SCHEMA)
    return TrackedResult(metrics={"test_accuracy_after": row["test_accuracy_after"]})


def behind(
    before: Checkpoint,
    layers: list[str],
    outputs: dict[str, np.ndarray],
    parts: Split,
    settings: TrainingSettings,
) -> Checkpoint:
    """Trained behind the first pruned layer."""
    names = [FEATURES, *before.architecture.layer_names]
    first = min(layers, key=names.index)
    rows = parts.positions("train")
    activations = before.hidden_activations(first, outputs[names[names.index(first) - 1]][rows])
    return fine_tune_behind(before, first, activations, parts.truth[rows], settings)


def whole_network(
    before: Checkpoint,
    array: Path,
    parts: Split,
    settings: TrainingSettings,
    batch_size: int,
    threads: int,
) -> tuple[Checkpoint, np.ndarray]:
    """Trained from the images, and its logits of all of them."""
    device, images = choose_device(threads), open_array(array)

    def attempt(settings: TrainingSettings) -> Network:
        network = Network.from_checkpoint(copy.deepcopy(before))
        fine_tune_network(network, images, parts, settings, device)
        return network

    network = within_memory(attempt, settings)
    logits = compute_activations(network, images, batch_size, device)
    return network.cpu().to_checkpoint(), logits[before.architecture.layer_names[-1]]


if "snakemake" in globals():
    run_job(globals()["snakemake"], fine_tune)
