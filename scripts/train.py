"""Train one network: a model, a learning rate, a batch size, a seed."""

from neuron_pruning.core.devices import choose_device, device_name
from neuron_pruning.core.parquet import write_rows
from neuron_pruning.core.resume import Resume
from neuron_pruning.data.images import open_array
from neuron_pruning.models.checkpoints import load_checkpoint
from neuron_pruning.models.networks import save_network
from neuron_pruning.pruning.network_source import NetworkSource, RunDescription
from neuron_pruning.pruning.scores import write_scores
from neuron_pruning.training.runs import HISTORY_SCHEMA, SPEED_SCHEMA, train_run
from neuron_pruning.training.settings import TrainingSettings
from runtime.job_adapter import Config, Files, TrackedResult, run_job


def train(
    input: Files, output: Files, run: Config, training: Config, threads: int, resume: Resume | None
) -> TrackedResult:
    """Train the initial network; write it, its history and speed, and its units' sensitivity."""
    device, keys = choose_device(threads), run["keys"]
    source = NetworkSource(input.initial, input.split, RunDescription(**run))
    images, settings = open_array(input.array), TrainingSettings.from_config(training, keys)
    title = f"{keys['model']} seed {keys['seed']}"
    trained = train_run(source.network, images, source.split, settings, device, title, resume)
    scores = trained.sensitivity.scores(load_checkpoint(source.network).tensors)
    write_scores(output.sensitivity, {"karnin": scores})
    save_network(trained.network.cpu(), output.network, keys)
    for path, table in (output.history, HISTORY_SCHEMA), (output.speed, SPEED_SCHEMA):
        write_rows(path, trained.rows(table, device_name(device, threads)), table, keys)
    return TrackedResult(series=trained.series)


if "snakemake" in globals():
    run_job(globals()["snakemake"], train)
