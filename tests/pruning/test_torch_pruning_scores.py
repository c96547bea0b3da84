"""Importances of torch-pruning against their formulas, computed by hand."""

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional

from neuron_pruning.pruning.techniques import techniques
from neuron_pruning.pruning.torch_pruning_scores import unit_importances

INPUTS = {"fc1": "features", "fc2": "fc1"}


@pytest.fixture
def recorded(small_vgg):
    """Twenty patterns: outputs of all layers, and classes."""
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(20, 3, 128, 130, generator=generator)
    with torch.no_grad():
        outputs = {k: v.numpy() for k, v in small_vgg.activations(images).items()}
        for layer in small_vgg.classifier.values():  # units that differ
            layer.weight.mul_(4.0)
    return outputs, torch.randint(3, (20,), generator=generator).numpy()


def neighbours(network, layer):
    """The layer and the one that reads from it."""
    number = int(layer[2:])
    return network.linear(layer), network.linear(f"fc{number + 1}")


def gradients(network, layer, inputs, labels):
    """Gradients of the mean loss: of incoming and outgoing weights."""
    names = network.layer_names
    values, rest = torch.from_numpy(inputs), names[names.index(layer) :]
    network.zero_grad()
    for name in rest:
        values = network.classifier[name](values if name == layer else torch.sigmoid(values))
    functional.cross_entropy(values, torch.from_numpy(labels)).backward()
    return [linear.weight.grad.clone() for linear in neighbours(network, layer)]


def per_unit(into, out):
    """Sums over incoming and outgoing weights, over their mean: as the library has them."""
    scores = (into.flatten(1).sum(1) + out.sum(0)).detach().double().numpy()
    return scores / scores.mean()


@pytest.mark.parametrize("layer", ["fc1", "fc2"])
def test_magnitude_is_the_sum_of_squared_weights(small_vgg, recorded, layer):
    outputs, labels = recorded
    scores = unit_importances(small_vgg, layer, outputs[INPUTS[layer]], labels)
    into, out = neighbours(small_vgg, layer)
    expected = per_unit(into.weight**2, out.weight**2)
    np.testing.assert_allclose(scores["torch_pruning_magnitude"], expected, rtol=1e-4)
    lamp = scores["torch_pruning_lamp"]
    assert (np.argsort(lamp) == np.argsort(expected)).all()
    assert {name for name in techniques() if name.startswith("torch_pruning_")} == scores.keys()
    assert all(values.dtype == np.float64 for values in scores.values())


@pytest.mark.parametrize("layer", ["fc1", "fc2"])
def test_taylor_is_the_sum_of_weights_times_gradients(small_vgg, recorded, layer):
    outputs, labels = recorded
    inputs = outputs[INPUTS[layer]]
    scores = unit_importances(small_vgg, layer, inputs, labels)
    weights = [linear.weight for linear in neighbours(small_vgg, layer)]
    slopes = gradients(copy.deepcopy(small_vgg), layer, inputs, labels)
    expected = per_unit(*((w * g).abs() for w, g in zip(weights, slopes, strict=True)))
    np.testing.assert_allclose(scores["torch_pruning_taylor"], expected, rtol=1e-3)


@pytest.mark.parametrize("layer", ["fc1", "fc2"])
def test_hessian_is_the_mean_over_all_patterns(small_vgg, recorded, layer):
    outputs, labels = recorded
    inputs = outputs[INPUTS[layer]]
    weights = [linear.weight for linear in neighbours(small_vgg, layer)]
    squares = [torch.zeros_like(weight) for weight in weights]
    for n in range(len(labels)):
        slopes = gradients(copy.deepcopy(small_vgg), layer, inputs[n : n + 1], labels[n : n + 1])
        for total, slope in zip(squares, slopes, strict=True):
            total += slope**2 / len(labels)
    expected = per_unit(*(w**2 * h for w, h in zip(weights, squares, strict=True)))
    scores = unit_importances(small_vgg, layer, inputs, labels)
    np.testing.assert_allclose(scores["torch_pruning_hessian"], expected, rtol=1e-3)


def test_fpgm_is_the_distance_of_squared_weights_to_all_others(small_vgg, recorded):
    outputs, labels = recorded
    into, out = (linear.weight.detach() ** 2 for linear in neighbours(small_vgg, "fc2"))
    expected = sum(torch.cdist(w, w).sum(0).double().numpy() for w in (into, out.T.contiguous()))
    scores = unit_importances(small_vgg, "fc2", outputs["fc1"], labels)
    np.testing.assert_allclose(scores["torch_pruning_fpgm"], expected / expected.mean(), rtol=1e-4)


def test_a_stored_or_frozen_network_scores_the_same_and_stays_as_it_is(small_vgg, recorded):
    outputs, labels = recorded
    expected = unit_importances(small_vgg, "fc2", outputs["fc1"], labels)
    stored = small_vgg.to_checkpoint()
    small_vgg.train().requires_grad_(False)
    with torch.no_grad():
        frozen = unit_importances(small_vgg, "fc2", outputs["fc1"], labels)
    loaded = unit_importances(stored, "fc2", outputs["fc1"], labels)
    for name, values in expected.items():
        np.testing.assert_allclose(frozen[name], values)
        np.testing.assert_allclose(loaded[name], values)
    assert all(p.grad is None and not p.requires_grad for p in small_vgg.parameters())
    assert all(module.training for module in small_vgg.modules())


@pytest.mark.parametrize(
    ("layer", "inputs", "labels", "message"),
    [
        ("fc3", np.zeros((2, 10)), [0, 1], "output layer"),
        ("fc2", np.zeros((2, 10)), [0, 1], "reads N patterns x 12 values"),
        ("fc2", np.zeros((2, 12)), [0], "as many classes"),
    ],
)
def test_what_does_not_fit_is_refused(small_vgg, layer, inputs, labels, message):
    with pytest.raises(ValueError, match=message):
        unit_importances(small_vgg, layer, inputs, labels)
