"""Cut one network in several layers, convolutions too, and measure the smaller network."""

from typing import Any

from neuron_pruning.core.devices import choose_device
from neuron_pruning.core.parquet import write_rows
from neuron_pruning.data.images import open_array
from neuron_pruning.evaluation.cuts import CalibrationImages, Cut, cut_channels, cut_units
from neuron_pruning.evaluation.inference import compute_activations
from neuron_pruning.evaluation.pruned_networks import (
    PRUNED_METRICS_SCHEMA,
    UNITS_SCHEMA,
    accuracy_change,
    logits_after,
    model_size_change,
    pruning_keys,
    unit_rows,
)
from neuron_pruning.models.checkpoints import save_checkpoint
from neuron_pruning.models.networks import load_network
from neuron_pruning.pruning.network_source import NetworkSource, RunDescription
from neuron_pruning.pruning.scores import read_scores
from neuron_pruning.pruning.techniques import find_technique
from runtime.job_adapter import Files, TrackedResult, run_job


def cut_network(
    input: Files,
    output: Files,
    run: dict[str, Any],
    layers: list[str],
    label: str,
    technique: dict[str, Any],
    amount: float,
    batch_size: int,
    threads: int,
) -> TrackedResult:
    """Write the smaller network, its metrics and the list of removed units."""
    source = NetworkSource(input.network, input.split, RunDescription(**run))
    images, device = open_array(input.array), choose_device(threads)
    before, cut = load_network(source.network), Cut(technique, amount, source.seed)
    old = compute_activations(before, images, batch_size, device)
    convolutions = [name for name in layers if name.startswith("conv")]
    connected = [name for name in layers if name.startswith("fc")]
    calibration = CalibrationImages(images, source.split, batch_size)
    narrow, selections = cut_channels(before.cpu(), convolutions, cut, calibration)
    new = compute_activations(narrow, images, batch_size, device) if selections else old
    scores = read_scores(input.measured)
    after, of_units = cut_units(narrow.cpu(), connected, cut, new, source.split, scores)
    selections |= of_units
    angle = amount if find_technique(technique["name"]).amount == "angle" else None
    described = pruning_keys(run["state"], label, cut.compensation, selections, angle)
    keys = {**run["keys"], **described}
    save_checkpoint(after, output.pruned, keys)
    last = source.architecture.layer_names[-1]
    logits = logits_after(after, connected, new) if connected else new[last]
    row = {
        **model_size_change(source.architecture, after.architecture, selections),
        **accuracy_change(old[last], logits, source.split),
    }
    write_rows(output.metrics, [row], PRUNED_METRICS_SCHEMA, keys)
    write_rows(output.units, unit_rows(selections), UNITS_SCHEMA, keys)
    return TrackedResult(metrics={n: value for n, value in row.items() if value is not None})


if "snakemake" in globals():
    run_job(globals()["snakemake"], cut_network)
