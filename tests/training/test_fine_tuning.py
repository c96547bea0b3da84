import numpy as np
import pytest
import torch

from neuron_pruning import Removal, Selection, UserError
from neuron_pruning.data.split_file import Split
from neuron_pruning.pruning.surgery import prune_checkpoint
from neuron_pruning.pruning.units import describe_layer
from neuron_pruning.statistics.metrics import cross_entropy
from neuron_pruning.training.fine_tuning import (
    fine_tune_alike,
    fine_tune_all_layers,
    fine_tune_downstream,
)
from neuron_pruning.training.settings import OptimiserSettings, TrainingSettings

GONE = Selection(12, tuple(Removal(unit, "ranked") for unit in (1, 5, 7)))


def settings(**changed):
    usual = {"learning_rate": 0.05, "batch_size": 8, "seed": 0, "epochs": 5}
    return TrainingSettings(**usual | changed)


@pytest.fixture
def pruned(small_vgg):
    """The network without three units of fc1, its activations then, and labels to learn."""
    whole = small_vgg.to_checkpoint()
    checkpoint = prune_checkpoint(whole, describe_layer(whole, "fc1"), GONE, "none")
    activations = np.random.default_rng(0).random((24, 9), dtype=np.float32)
    return checkpoint, activations, (activations[:, 0] > activations[:, 1]).astype(np.int64)


def loss(checkpoint, activations, labels):
    return cross_entropy(checkpoint.logits_from("fc2", activations), labels)


def test_downstream_layers_learn_and_all_others_stay_to_the_byte(pruned):
    checkpoint, activations, labels = pruned
    tuned = fine_tune_downstream(checkpoint, "fc1", activations, labels, settings())
    assert loss(tuned, activations, labels) < loss(checkpoint, activations, labels)
    for name, values in checkpoint.tensors.items():
        downstream = name.startswith(("classifier.fc2", "classifier.fc3"))
        assert np.array_equal(tuned.tensors[name], values) != downstream, name


def test_no_epoch_changes_nothing_and_a_seed_repeats(pruned):
    checkpoint, activations, labels = pruned
    still = fine_tune_downstream(checkpoint, "fc1", activations, labels, settings(epochs=0))
    assert all(np.array_equal(still.tensors[n], v) for n, v in checkpoint.tensors.items())
    once, again = (
        fine_tune_downstream(checkpoint, "fc1", activations, labels, settings()) for _ in "ab"
    )
    assert all(np.array_equal(once.tensors[n], v) for n, v in again.tensors.items())


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_a_stack_of_networks_learns_as_each_alone(small_vgg, name):
    whole, draws = small_vgg.to_checkpoint(), np.random.default_rng(1)
    layer = describe_layer(whole, "fc1")
    gone = [Selection(12, tuple(Removal(n + k, "ranked") for k in range(3))) for n in (0, 4, 8)]
    networks = [prune_checkpoint(whole, layer, one, "none") for one in gone]
    activations = [draws.random((24, 9), dtype=np.float32) for _ in networks]
    labels = np.arange(24) % 3
    optimiser = OptimiserSettings(
        name, weight_decay=0.01, linear_fan_in=5, centred_gradients=True, schedule="cosine"
    )
    how = settings(learning_rate=0.01, optimiser=optimiser, label_smoothing=0.1)
    stacked = fine_tune_alike(networks, "fc1", activations, labels, how)
    for network, values, tuned in zip(networks, activations, stacked, strict=True):
        alone = fine_tune_downstream(network, "fc1", values, labels, how)
        for key, tensor in alone.tensors.items():
            np.testing.assert_allclose(tuned.tensors[key], tensor, atol=1e-5, err_msg=key)
        assert not np.allclose(tuned.tensors["classifier.fc2.weight"], 0)


def test_the_recipe_is_followed(pruned):
    checkpoint, activations, labels = pruned
    centred = settings(epochs=1, optimiser=OptimiserSettings("sgd", centred_gradients=True))
    moved = fine_tune_downstream(checkpoint, "fc1", activations, labels, centred)
    step = moved.tensors["classifier.fc2.weight"] - checkpoint.tensors["classifier.fc2.weight"]
    np.testing.assert_allclose(step.mean(axis=1), 0, atol=1e-6)


def test_the_recipes_label_smoothing_changes_the_loss(pruned):
    checkpoint, activations, labels = pruned
    sharp, smooth = (
        fine_tune_downstream(
            checkpoint, "fc1", activations, labels, settings(epochs=1, label_smoothing=share)
        )
        for share in (0.0, 0.5)
    )
    name = "classifier.fc2.weight"
    assert not np.array_equal(sharp.tensors[name], smooth.tensors[name])


def test_the_recipes_warm_up_shortens_the_first_steps(pruned):
    checkpoint, activations, labels = pruned

    def first_step(**recipe):
        once = settings(epochs=1, batch_size=24, optimiser=OptimiserSettings("sgd", **recipe))
        tuned = fine_tune_downstream(checkpoint, "fc1", activations, labels, once)
        name = "classifier.fc2.weight"
        return tuned.tensors[name] - checkpoint.tensors[name]

    np.testing.assert_allclose(first_step(warmup_steps=3), first_step() / 4, atol=1e-6)


def test_divergence_is_an_error(pruned):
    checkpoint, activations, labels = pruned
    with pytest.raises(UserError, match="fine-tuning diverged in epoch"):
        fine_tune_downstream(
            checkpoint, "fc1", np.full_like(activations, np.nan), labels, settings()
        )


def test_all_layers_learn_from_images_and_every_epoch_is_logged(pruned, images, caplog):
    caplog.set_level("INFO")
    checkpoint, _, _ = pruned
    before = checkpoint.linear("fc1").weight.copy()
    labels, parts = np.arange(12) % 3, np.repeat(["train", "test"], [8, 4])
    names = np.array([f"{n}.png" for n in range(12)])
    parts = Split(("a", "b", "c"), tuple(names), labels, parts, names)
    usual = settings(epochs=2, learning_rate=0.01)
    network = fine_tune_all_layers(checkpoint, images, parts, usual, torch.device("cpu"))
    assert len(caplog.messages) == 2
    assert not np.array_equal(network.linear("fc1").weight.detach(), before)
    assert np.array_equal(checkpoint.linear("fc1").weight, before)
