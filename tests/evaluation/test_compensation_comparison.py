"""Compensations of one layer side by side: each as it is alone, all with the same draws."""

import numpy as np
import pytest

from neuron_pruning.evaluation import compensation_comparison
from neuron_pruning.evaluation.compensation_comparison import CompensationComparison
from neuron_pruning.pruning.network_source import StoredLayer
from neuron_pruning.pruning.surgery import prune_checkpoint
from neuron_pruning.pruning.techniques import find_technique
from neuron_pruning.pruning.units import LayerActivations, describe_layer
from neuron_pruning.statistics.metrics import share_right
from neuron_pruning.training.fine_tuning import fine_tune_downstream
from neuron_pruning.training.settings import TrainingSettings

TRAINING = TrainingSettings(learning_rate=0.05, batch_size=8, seed=0, epochs=9)
NAMES = ["none", "add", "lstsq", "add_incoming"]
DRAWS = 3


@pytest.fixture
def stored(small_vgg):
    """Layer fc1 of twelve units, over 24 training and 16 test patterns of three classes."""
    whole, rng = small_vgg.to_checkpoint(), np.random.default_rng(0)
    patterns = []
    for count in (24, 16):
        inputs = rng.random((count, whole.linear("fc1").weight.shape[1]))
        activations = whole.hidden_activations("fc1", inputs)
        patterns.append(LayerActivations(activations, inputs, rng.integers(0, 3, count)))
    return StoredLayer(whole, describe_layer(whole, "fc1", patterns[0], seed=5), patterns[1])


def select(stored):
    return find_technique("distinctiveness").prepared(stored.layer)


def rows(stored, angles=(89.0,), names=NAMES):
    comparison = CompensationComparison(stored, names, TRAINING, DRAWS)
    return list(comparison.rows(select(stored), list(angles), [0, 4]))


def logits_alone(stored, selection, name, epochs):
    layer = stored.layer
    pruned = prune_checkpoint(stored.checkpoint, layer, selection, name)
    activations = pruned.hidden_activations("fc1", layer.inputs)
    how = TrainingSettings(learning_rate=0.05, batch_size=8, seed=0, epochs=epochs)
    tuned = fine_tune_downstream(pruned, "fc1", activations, layer.labels, how)
    return tuned.logits_from("fc1", stored.test.inputs)


@pytest.mark.parametrize("stack", [1, compensation_comparison.LARGEST_STACK])
def test_every_compensation_has_the_figures_that_it_has_alone(stored, monkeypatch, stack):
    monkeypatch.setattr(compensation_comparison, "LARGEST_STACK", stack)
    found = rows(stored)
    assert [(row["fine_tuning"], row["compensation"]) for row in found] == [
        (epochs, name) for epochs in (0, 4) for name in NAMES
    ]
    selection, labels = select(stored)(89.0), stored.test.labels
    assert len(selection.removals) > 2
    for row in found:
        after = logits_alone(stored, selection, row["compensation"], row["fine_tuning"])
        assert row["test_accuracy_after"] == share_right(after, labels)
        drawn = [
            find_technique("random").select(stored.layer, row["removed"], draw=draw)
            for draw in range(DRAWS)
        ]
        own = "lstsq" if row["compensation"] == "lstsq" else "none"  # the others need targets
        shares = [
            share_right(logits_alone(stored, one, own, row["fine_tuning"]), labels) for one in drawn
        ]
        assert row["random_accuracy"] == pytest.approx(np.mean(shares))


def test_where_nothing_is_removed_all_compensations_are_the_network_itself(stored):
    found = rows(stored, angles=(1e-6,))
    assert {row["removed"] for row in found} == {0}
    for row in found:
        if not row["fine_tuning"]:
            assert row["test_accuracy_after"] == row["test_accuracy_before"]
        assert row["random_accuracy"] == row["test_accuracy_after"]


def test_the_widest_angle_comes_first(stored):
    assert [row["angle"] for row in rows(stored, (5.0, 89.0), ["none"])] == [89.0, 89.0, 5.0, 5.0]
