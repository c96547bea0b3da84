"""A network as a chain of modules computes what it computes itself."""

from dataclasses import replace

import pytest
import torch

from neuron_pruning.models.architectures import FEATURES
from neuron_pruning.models.networks import Network
from neuron_pruning.models.sequential import evaluating, plain_module, tail


@pytest.mark.parametrize("normalisation", ["none", "batch"])
@torch.no_grad()
def test_a_chain_of_modules_gives_the_same_logits(small_network, normalisation):
    architecture = replace(small_network.architecture, normalisation=normalisation)
    network = Network(architecture).eval()
    images = torch.randn(3, 3, *network.architecture.input_size)
    module = plain_module(network)
    torch.testing.assert_close(module(images), network(images), atol=1e-6, rtol=1e-5)
    steps = ["features", "flatten", "fc1", "sigmoid1", "fc2", "sigmoid2", "fc3"]
    assert [step for step, _ in module.named_children()] == steps


def test_the_parameters_are_the_networks_own(small_vgg):
    own = {id(parameter) for parameter in small_vgg.parameters()}
    assert {id(parameter) for parameter in plain_module(small_vgg).parameters()} == own


@torch.no_grad()
def test_a_tail_computes_from_recorded_inputs(small_vgg):
    outputs = small_vgg.activations(torch.randn(3, 3, 128, 130))
    for layer, inputs in {"fc1": FEATURES, "fc2": "fc1", "fc3": "fc2"}.items():
        torch.testing.assert_close(tail(small_vgg, layer)(outputs[inputs]), outputs["fc3"])
    with pytest.raises(ValueError, match="no layer 'fc9'"):
        tail(small_vgg, "fc9")


def test_modes_come_back(small_vgg):
    small_vgg.train()
    small_vgg.classifier["fc1"].eval()
    with pytest.raises(RuntimeError), evaluating(small_vgg):
        assert not any(module.training for module in small_vgg.modules())
        raise RuntimeError
    assert small_vgg.features[0].training and not small_vgg.classifier["fc1"].training
