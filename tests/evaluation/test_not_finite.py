"""A network whose outputs are NaN or infinite is refused wherever it is evaluated, by its file.

Its weights may all be finite: the sum of two large ones is not.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

import compare_compensations
import evaluate
import sweep_technique
from neuron_pruning import UserError, load_network, save_network
from neuron_pruning.core.errors import NotFinite
from neuron_pruning.evaluation.prunings import Cut, write_pruned
from neuron_pruning.models.checkpoints import load_checkpoint
from neuron_pruning.pruning.network_source import NetworkSource, RunDescription
from neuron_pruning.statistics import metrics

KEYS = {"experiment": "mine", "split": "random", "crop": "none", "recipe": "paper", "model": "vgg"}
KEYS |= {"learning_rate": 0.1, "batch_size": 4, "seed": 3}
SMALL = {"name": "vgg", "input_size": (128, 130), "channels": (2, 2, 2, 2, 2, 2, 4)}
L1 = {"label": "mine", "name": "l1", "settings": {}, "compensation": "none"}
TOLD = r"network.safetensors: .* are NaN or infinite.*lower learning rate.*run again"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "figure",
    [
        metrics.softmax,
        metrics.log_softmax,
        metrics.predicted_classes,
        lambda logits: metrics.share_right(logits, np.zeros(4, int)),
        lambda logits: metrics.cross_entropy(logits, np.zeros(4, int)),
        lambda logits: metrics.divergence(np.ones((4, 3)), logits),
        lambda logits: metrics.only_one_right(np.ones((4, 3)), logits, np.zeros(4, int)),
        lambda logits: metrics.before_and_after(logits, np.ones((4, 3)), np.zeros(4, int)),
    ],
)
def test_no_figure_comes_of_such_logits(figure, value):
    logits = np.ones((4, 3), np.float32)
    figure(logits)
    logits[2, 1] = value
    with pytest.raises(NotFinite, match="logits of 1 of 4 images are NaN or infinite"):
        figure(logits)


def overflow(network, layer):
    """Make the outputs of a layer infinite with finite weights."""
    with torch.no_grad():
        network.linear(layer).weight.fill_(3e38)
        network.linear(layer).bias.fill_(3e38)


@pytest.fixture
def run():
    """Arguments of a run's description."""
    shape = {**SMALL, "widths": (12, 10), "normalisation": "none"}
    return {"keys": KEYS, "belongs": KEYS, "architecture": shape, "state": "trained"}


def test_evaluation_writes_nothing_of_it(small_vgg, split_file, tmp_path, images, run):
    overflow(small_vgg, "fc3")
    save_network(small_vgg, tmp_path / "network.safetensors", KEYS)
    np.save(tmp_path / "images.npy", images)
    files = {"array": tmp_path / "images.npy", "split": split_file}
    names = ("activations", "predictions", "metrics", "confusion")
    written = SimpleNamespace(**{name: tmp_path / name for name in names})
    given = SimpleNamespace(network=tmp_path / "network.safetensors", **files)
    with pytest.raises(UserError, match=TOLD):
        evaluate.evaluate(given, written, run, 4, 1)
    assert not any((tmp_path / name).exists() for name in names)


@pytest.fixture
def recorded(small_vgg, split_file, tmp_path, run):
    """Files of a network whose last layer overflows, and recorded outputs that do not yet."""
    network, draws = small_vgg.to_checkpoint(), np.random.default_rng(0)
    outputs = {"features": draws.random((12, 4), dtype=np.float32)}
    for layer, reads in (("fc1", "features"), ("fc2", "fc1")):
        outputs[layer] = network.hidden_activations(layer, outputs[reads])
    outputs["fc3"] = network.logits_from("fc3", outputs["fc2"])
    save_file(outputs, tmp_path / "activations.safetensors")
    overflow(small_vgg, "fc3")
    save_network(small_vgg, tmp_path / "network.safetensors", KEYS)
    return SimpleNamespace(
        network=tmp_path / "network.safetensors",
        split=split_file,
        activations=tmp_path / "activations.safetensors",
        measured=[],
    )


def test_a_pruned_network_is_not_written(recorded, run, tmp_path):
    source = NetworkSource(recorded.network, recorded.split, RunDescription(**run))
    broken = np.full((12, 3), np.inf)
    files = SimpleNamespace(**{n: tmp_path / f"new.{n}" for n in ("pruned", "metrics", "units")})
    network = load_checkpoint(recorded.network)
    with pytest.raises(UserError, match=r"new.pruned: .*are NaN or infinite"):
        write_pruned(files, source, Cut(L1, 2, 0), network, {}, (np.ones((12, 3)), broken))
    assert not list(tmp_path.glob("new.*"))


def test_neither_sweeps_nor_compensations_give_figures(recorded, run, tmp_path):
    output = SimpleNamespace(points=tmp_path / "points.parquet")
    outputs = load_file(recorded.activations)
    outputs["fc2"][3] = np.nan  # as they were recorded before evaluation looked at that
    save_file(outputs, recorded.activations)
    sweep = {"step": None, "draws": 1, "counts": [2], "max_points": 3, "compensations": ["own"]}
    with pytest.raises(UserError, match=TOLD):
        sweep_technique.sweep_technique(recorded, output, run, "fc2", L1, sweep)
    chosen = {"name": "distinctiveness", "settings": {}}
    compared = {"angles": [15], "epochs": [0], "draws": 1, "compensations": ["none"]}
    training = {"optimiser": {}, "augmentation": {}}
    with pytest.raises(UserError, match=TOLD):
        compare_compensations.compare_compensations(
            recorded, output, run, "fc2", chosen, compared, training
        )
    assert not output.points.exists()


def test_such_a_network_may_be_loaded_and_looked_at(recorded):
    assert load_network(recorded.network).linear("fc3").weight.max() > 1e38
