import numpy as np
import pytest
import torch

from neuron_pruning.data.images import ImageReader
from neuron_pruning.models.initialisation import InitialisationSettings, initialise_network

CPU = torch.device("cpu")


def start(architecture, seed=0, **settings):
    return initialise_network(architecture, InitialisationSettings(**settings), seed)


def test_initialisation_depends_on_the_seed_alone(small_vgg):
    a = small_vgg.architecture
    torch.manual_seed(123)
    first = start(a, 1).linear("fc1").weight
    state = torch.random.get_rng_state()
    second = start(a, 1).linear("fc1").weight
    assert torch.equal(first, second)
    assert torch.equal(state, torch.random.get_rng_state())
    assert not torch.equal(first, start(a, 2).linear("fc1").weight)


def test_centred_sigmoids_start_in_the_middle(small_vgg):
    network = start(small_vgg.architecture, scheme="centred")
    fc2 = network.linear("fc2")
    at_half = fc2(torch.full((1, 12), 0.5))
    torch.testing.assert_close(at_half, torch.zeros_like(at_half), atol=1e-5, rtol=0)
    assert fc2.weight.std() > 2 * start(small_vgg.architecture).linear("fc2").weight.std()


def test_standardised_units_have_mean_zero_and_deviation_one(small_vgg, images):
    (batch,) = ImageReader(images, CPU).read([np.arange(12)])
    settings = InitialisationSettings("standardised", output_deviation=0.5)
    network = initialise_network(small_vgg.architecture, settings, 0, batch)
    outputs = network.activations(batch)
    before = torch.logit(outputs["fc2"])
    torch.testing.assert_close(before.mean(0), torch.zeros(10), atol=1e-4, rtol=0)
    torch.testing.assert_close(before.std(0, correction=0), torch.ones(10), atol=1e-3, rtol=0)
    spread = outputs["fc3"].std(0, correction=0)
    torch.testing.assert_close(spread, torch.full((3,), 0.5), atol=1e-3, rtol=0)
    first = network.features[0](batch)
    torch.testing.assert_close(first.mean((0, 2, 3)), torch.zeros(2), atol=1e-4, rtol=0)


def test_impossible_initialisations(small_vgg):
    with pytest.raises(ValueError, match="unknown initialisation 'he'; known: default"):
        start(small_vgg.architecture, scheme="he")
    with pytest.raises(ValueError, match="needs training images"):
        start(small_vgg.architecture, scheme="standardised")
