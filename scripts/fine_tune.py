"""Fine-tune a pruned network with the recipe of its run."""

from neuron_pruning.core.devices import choose_device
from neuron_pruning.core.errors import naming_network
from neuron_pruning.core.parquet import read_rows, write_rows
from neuron_pruning.data.images import open_array
from neuron_pruning.data.split_file import read_split
from neuron_pruning.evaluation import pruned_networks as pruned
from neuron_pruning.evaluation.inference import compute_activations
from neuron_pruning.models import checkpoints
from neuron_pruning.training.fine_tuning import fine_tune_all_layers, fine_tune_pruned
from neuron_pruning.training.settings import TrainingSettings
from runtime.job_adapter import Config, Files, TrackedResult, run_job


def fine_tune(
    input: Files, output: Files, keys: Config, fine_tuning: Config, training: Config, threads: int
) -> TrackedResult:
    """Write the fine-tuned smaller network and its metrics."""
    checkpoints.check_belongs(input.pruned, None, keys)
    split, old = read_split(input.split), checkpoints.load_checkpoint(input.pruned)
    last, layers = old.architecture.layer_names[-1], fine_tuning["layers"]
    first = min(layers, key=old.architecture.place_of)
    read = (
        [last] if fine_tuning["trainable"] == "all" else [last, old.architecture.input_name(first)]
    )
    outputs = checkpoints.load_tensors(input.activations, read)
    settings = TrainingSettings.from_config({**training, "epochs": fine_tuning["epochs"]}, keys)
    (row,) = read_rows(input.pruned_metrics)
    with naming_network(output.network):
        if fine_tuning["trainable"] == "all":
            images, device = open_array(input.array[0]), choose_device(threads)
            network = fine_tune_all_layers(old, images, split, settings, device)
            logits = compute_activations(network, images, fine_tuning["batch_size"], device)[last]
            new = network.to_checkpoint()
        else:
            new = fine_tune_pruned(old, layers, outputs, split, settings)
            logits = pruned.logits_after(new, layers, outputs)
        row |= pruned.accuracy_change(outputs[last], logits, split)
    row["fine_tuning"] = settings.epochs
    checkpoints.save_checkpoint(new, output.network, keys | {n: row[n] for n in pruned.ROW_KEYS})
    write_rows(output.metrics, [row], pruned.PRUNED_METRICS_SCHEMA)
    return TrackedResult(metrics={"test_accuracy_after": row["test_accuracy_after"]})


if "snakemake" in globals():
    run_job(globals()["snakemake"], fine_tune)
