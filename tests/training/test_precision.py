"""bfloat16 leaves the recipes that `precision: auto` may round as good as they are."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from neuron_pruning.configuration.models_training import RECIPES
from neuron_pruning.data.images import Patterns
from neuron_pruning.models.architectures import describe
from neuron_pruning.models.initialisation import InitialisationSettings, initialise_network
from neuron_pruning.training.loop import train_network
from neuron_pruning.training.settings import TrainingSettings

SEEDS = range(4)
DIGITS = load_digits()
RECIPE = RECIPES["initialised"].model_dump()


@pytest.fixture(scope="module")
def images():
    """Handwritten digits of 16 x 16 pixels in grey, uint8, N x 16 x 16 x 3."""
    small = (DIGITS.images * 15.9).astype(np.uint8)
    return small.repeat(2, axis=1).repeat(2, axis=2)[..., None].repeat(3, axis=3)


def accuracy(images, precision, seed):
    """Test accuracy of a small network, trained by the default recipe."""
    order = np.random.default_rng(seed).permutation(len(images))
    train, test = (Patterns(images, n, DIGITS.target[n]) for n in (order[:200], order[200:500]))
    seen = torch.from_numpy(images[train.positions[:64]]).permute(0, 3, 1, 2) / 127.5 - 1
    architecture = describe("vgg8", (16, 16), [30, 10], [8] * 8, RECIPE["normalisation"])
    start = InitialisationSettings(**RECIPE["initialisation"])
    network = initialise_network(architecture, start, seed, seen)
    recipe = {key: RECIPE[key] for key in ("optimiser", "augmentation", "label_smoothing")}
    settings = TrainingSettings.from_config(
        {**recipe, "epochs": 5, "precision": precision},
        {"learning_rate": 0.003, "batch_size": 16, "seed": seed},
    )
    return train_network(network, train, test, settings, torch.device("cpu"))[-1].test_accuracy


def test_bfloat16_changes_accuracies_less_than_seeds_do(images):
    exact, rounded = (
        np.array([accuracy(images, precision, seed) for seed in SEEDS])
        for precision in ("float32", "bfloat16")
    )
    assert min(*exact, *rounded) > 0.5, "they have learned"
    assert (exact != rounded).any(), "they were trained differently"
    assert abs((rounded - exact).mean()) < np.ptp(exact)
