import copy
import sys

import numpy as np
import pytest
import torch
from torch import nn

from neuron_pruning.training.optimisers import build_optimiser, build_schedule, centre_gradients
from neuron_pruning.training.settings import OptimiserSettings, TrainingSettings


def rates(network, **settings):
    optimiser = build_optimiser(network, 0.1, OptimiserSettings(**settings))
    return {id(p): g["lr"] for g in optimiser.param_groups for p in g["params"]}


def test_wide_layers_take_shorter_steps(small_vgg):
    found = rates(small_vgg, linear_fan_in=4, convolution_fan_in=9)
    fc2, convolution = small_vgg.linear("fc2"), small_vgg.features[0]
    assert found[id(fc2.weight)] == pytest.approx(0.1 * 4 / 12)
    assert found[id(fc2.bias)] == 0.1
    assert found[id(convolution.weight)] == pytest.approx(0.1 * 9 / 27)
    assert set(rates(small_vgg).values()) == {0.1}
    assert len(found) == len(list(small_vgg.parameters()))


def test_centred_gradients_have_mean_zero(small_vgg):
    small_vgg(torch.randn(2, 3, 128, 130)).sum().backward()
    bias = small_vgg.linear("fc2").bias.grad.clone()
    centre_gradients(small_vgg)
    for layer in small_vgg.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            means = layer.weight.grad.flatten(1).mean(dim=1)
            torch.testing.assert_close(means, torch.zeros_like(means), atol=1e-6, rtol=0)
    assert torch.equal(bias, small_vgg.linear("fc2").bias.grad)


def test_warm_up_and_cosine(small_vgg):
    optimiser = build_optimiser(small_vgg, 0.1, OptimiserSettings())
    chosen = OptimiserSettings(warmup_steps=1, schedule="cosine")
    settings = TrainingSettings(0.1, batch_size=5, seed=3, epochs=2, optimiser=chosen)
    schedule = build_schedule(optimiser, settings, images=9)
    seen = []
    for _ in range(5):
        seen.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    np.testing.assert_allclose(seen, [0.05, 0.1, 0.075, 0.025, 0.0], atol=1e-9)


def steps(network, optimiser):
    """Weights after three steps along the same gradients."""
    for _ in range(3):
        optimiser.zero_grad()
        for number, parameter in enumerate(network.parameters(), 1):
            parameter.grad = torch.full_like(parameter, 1 / number)
        optimiser.step()
    return [parameter.detach().clone() for parameter in network.parameters()]


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_a_step_is_pytorchs_own_and_imports_no_compiler(small_vgg, monkeypatch, name):
    settings = OptimiserSettings(name, weight_decay=0.1)
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    momentum = {"momentum": settings.momentum} if name == "sgd" else {}
    other = copy.deepcopy(small_vgg)
    expected = steps(other, kind(other.parameters(), 0.1, weight_decay=0.1, fused=True, **momentum))
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)  # an import of it fails
    found = steps(small_vgg, build_optimiser(small_vgg, 0.1, settings))
    assert all(map(torch.equal, found, expected))
