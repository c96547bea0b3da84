"""Fine-tune a pruned network with the recipe of its run."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from adapter import Mirrored, run_job
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
from neuron_pruning.training.callbacks import EpochLog
from neuron_pruning.training.fine_tuning import fine_tune_all_layers, fine_tune_downstream
from neuron_pruning.training.memory import retry_with_smaller_micro_batch
from neuron_pruning.training.settings import TrainingSettings
from prune import METRICS_SCHEMA, PRUNING_KEYS, compared, pruned_answers
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
) -> Mirrored:
    """Write the fine-tuned smaller network and its metrics."""
    check_belongs(pruned, None, keys)
    parts, before = read_split(split), load_checkpoint(pruned)
    outputs = read_outputs(activations, [FEATURES, *before.architecture.layer_names])
    settings = replace(training_settings(training, keys), epochs=fine_tuning["epochs"])
    if fine_tuning["trains"] == "network":
        after, answers = all_layers(before, array[0], parts, settings, batch_size, threads)
    else:
        after = downstream_layers(before, layers, outputs, parts, settings)
        answers = pruned_answers(after, layers, outputs)
    (row,) = read_rows(pruned_metrics)
    row.update(compared(outputs, answers, parts, before.architecture))
    row["fine_tuning"] = settings.epochs
    about = {name: row[name] for name in PRUNING_KEYS[:-1]}
    save_checkpoint(after, network, {**keys, **about, "fine_tuning": settings.epochs})
    write_rows(metrics, [row], METRICS_SCHEMA)
    return Mirrored(metrics={"test_accuracy_after": row["test_accuracy_after"]})


def downstream_layers(
    before: Checkpoint,
    layers: list[str],
    outputs: dict[str, np.ndarray],
    parts: Split,
    settings: TrainingSettings,
) -> Checkpoint:
    """The network after fine-tuning the layers downstream of the first pruned one."""
    names = [FEATURES, *before.architecture.layer_names]
    first = min(layers, key=names.index)
    rows = parts.positions("train")
    activations = before.said(first, outputs[names[names.index(first) - 1]][rows])
    return fine_tune_downstream(before, first, activations, parts.truth[rows], settings)


def all_layers(
    before: Checkpoint,
    array: Path,
    parts: Split,
    settings: TrainingSettings,
    batch_size: int,
    threads: int,
) -> tuple[Checkpoint, np.ndarray]:
    """The network after fine-tuning all layers on the images, and its logits of all images."""
    device, images = choose_device(threads), open_array(array)

    def attempt(settings: TrainingSettings) -> Network:
        network = Network.from_checkpoint(copy.deepcopy(before))
        fine_tune_all_layers(network, images, parts, settings, device, [EpochLog()])
        return network

    network = retry_with_smaller_micro_batch(attempt, settings)
    logits = compute_activations(network, images, batch_size, device)
    return network.cpu().to_checkpoint(), logits[before.architecture.layer_names[-1]]


if "snakemake" in globals():
    run_job(snakemake, fine_tune)  # noqa: F821
