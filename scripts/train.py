"""Train one network: a model, a learning rate, a batch size, a seed."""

from dataclasses import replace
from typing import Any

from neuron_pruning.core.devices import choose_device, device_name
from neuron_pruning.core.parquet import write_rows
from neuron_pruning.core.resume import Resume
from neuron_pruning.data.images import Patterns, open_array
from neuron_pruning.models.checkpoints import load_checkpoint
from neuron_pruning.models.networks import load_network, save_network
from neuron_pruning.pruning.network_source import NetworkSource, RunDescription
from neuron_pruning.pruning.scores import write_scores
from neuron_pruning.training.callbacks import Callback, EpochLog, ProgressBar, TrainingCheckpoint
from neuron_pruning.training.history import (
    HISTORY_SCHEMA,
    SPEED_SCHEMA,
    Trained,
    history_rows,
    speed_rows,
)
from neuron_pruning.training.loop import train_network
from neuron_pruning.training.memory import retry_with_smaller_micro_batch
from neuron_pruning.training.sensitivity import Sensitivity
from neuron_pruning.training.settings import TrainingSettings
from runtime.job_adapter import Files, TrackedResult, run_job


def train(
    input: Files,
    output: Files,
    run: dict[str, Any],
    training: dict[str, Any],
    threads: int,
    resume: Resume | None,
) -> TrackedResult:
    """Train the initial network; write it, its history and speed, and its units' sensitivity."""
    device, keys = choose_device(threads), run["keys"]
    if resume is not None:  # a training checkpoint belongs to the kind of device that wrote it
        resume = replace(resume, identity=f"{resume.identity} {device.type}")
    source = NetworkSource(input.initial, input.split, RunDescription(**run))
    images, split = open_array(input.array), source.split
    train_set, test_set = (
        Patterns(images, split.positions(part), split.labels[split.positions(part)])
        for part in ("train", "test")
    )

    def attempt(settings: TrainingSettings) -> Trained:
        network = load_network(source.network)
        sensitivity = Sensitivity(network)
        progress = ProgressBar(f"{keys['model']} seed {keys['seed']}")
        callbacks: list[Callback] = [sensitivity, progress, EpochLog()]
        if resume is not None:
            callbacks.append(TrainingCheckpoint(resume))
        epochs = train_network(network, train_set, test_set, settings, device, callbacks)
        return Trained(network, sensitivity, epochs, settings)

    settings = TrainingSettings.from_config(training, keys)
    trained = retry_with_smaller_micro_batch(attempt, settings)
    scores = trained.sensitivity.scores(load_checkpoint(source.network).tensors)
    write_scores(output.sensitivity, {"karnin": scores})
    save_network(trained.network.cpu(), output.network, keys)
    write_rows(output.history, history_rows(trained.epochs), HISTORY_SCHEMA, keys)
    speed = speed_rows(trained, device_name(device, threads))
    write_rows(output.speed, speed, SPEED_SCHEMA, keys)
    return TrackedResult(series=trained.series)


if "snakemake" in globals():
    run_job(globals()["snakemake"], train)
