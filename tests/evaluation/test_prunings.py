from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from neuron_pruning import save_network
from neuron_pruning.core.parquet import read_rows
from neuron_pruning.data.split_file import Split
from neuron_pruning.evaluation import cuts
from neuron_pruning.evaluation.pruned_networks import logits_after
from neuron_pruning.evaluation.prunings import Cut, write_pruned
from neuron_pruning.models.checkpoints import load_checkpoint, read_description
from neuron_pruning.pruning.network_source import NetworkSource, RunDescription

KEYS = {"experiment": "mine", "split": "random", "crop": "none", "recipe": "paper", "model": "vgg"}
KEYS |= {"learning_rate": 0.1, "batch_size": 4, "seed": 3}
L1 = {"label": "mine", "name": "l1", "settings": {}, "compensation": "none"}
DISTINCTIVENESS = {**L1, "name": "distinctiveness", "compensation": "add"}


@pytest.fixture
def source(small_vgg, split_file, tmp_path):
    """A stored network: 8 training and 4 test images."""
    save_network(small_vgg, tmp_path / "network.safetensors", KEYS)
    architecture = asdict(small_vgg.architecture)
    run = RunDescription(
        KEYS, KEYS, {**architecture, "widths": architecture["widths"][:-1]}, "trained"
    )
    return NetworkSource(tmp_path / "network.safetensors", split_file, run)


def test_what_is_written_of_a_pruned_network(source, tmp_path):
    names = ("pruned.safetensors", "metrics.parquet", "units.parquet")
    pruned, metrics, units = (tmp_path / name for name in names)
    network, draws = load_checkpoint(source.network), np.random.default_rng(0)
    outputs = {"features": draws.random((12, 4), dtype=np.float32)}
    for layer, reads in (("fc1", "features"), ("fc2", "fc1")):
        outputs[layer] = network.hidden_activations(layer, outputs[reads])
    outputs["fc3"] = network.logits_from("fc3", outputs["fc2"])
    cut = Cut(L1, 0.5, source.seed)  # half of each layer
    after, selections = cut.prune_units(network, ["fc2", "fc1"], outputs, source.split, {})
    logits = outputs["fc3"], logits_after(after, ["fc1", "fc2"], outputs)
    files = SimpleNamespace(pruned=pruned, metrics=metrics, units=units)
    figures = write_pruned(files, source, cut, after, selections, logits)
    assert load_checkpoint(pruned).architecture.widths == (6, 5, 3)
    (row,) = read_rows(metrics)
    assert (row["technique"], row["layer"], row["count"]) == ("mine", "fc1+fc2", 11)
    assert (row["units_before"], row["units_after"], row["test_images"]) == (22, 11, 4)
    assert row["removed_ranked"] == 11 and row["angle"] is None
    assert figures == {name: row[name] for name in figures} and "angle" not in figures
    found = [(r["pruned_layer"], r["unit"]) for r in read_rows(units)]
    assert found == [(name, unit) for name, s in selections.items() for unit in s.removed]
    _, provenance = read_description(pruned)
    assert provenance["state"] == "trained" and provenance["experiment"] == "mine"


def test_only_a_threshold_is_an_angle():
    assert Cut(DISTINCTIVENESS, 15.0, 0).angle == 15.0
    assert Cut(L1, 15.0, 0).angle is None


def test_channels_are_recorded_where_the_network_runs(monkeypatch, images):
    placed = []

    class Reader:
        """Says where images would be."""

        def __init__(self, array, device, positions):
            placed.append(device)

        def read(self, pieces):
            return iter(())

    monkeypatch.setattr(cuts, "ImageReader", Reader)
    parts = np.repeat(["train", "test"], [8, 4])
    names = np.array([f"{n}.png" for n in range(12)])
    split = Split(("a", "b", "c"), tuple(names), np.arange(12) % 3, parts, names)
    cuts.CalibrationImages(images, split, 4, torch.device("cuda", 1)).read()
    assert placed == [torch.device("cuda", 1)]
