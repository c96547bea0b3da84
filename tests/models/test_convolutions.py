"""The fast path computes what the layers one by one compute, gradients included."""

from copy import deepcopy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from neuron_pruning import build_network
from neuron_pruning.models import convolutions
from neuron_pruning.models.architectures import Window
from neuron_pruning.models.convolutions import (
    blocks,
    kernel_gradient,
    run_features,
    space_to_depth,
)


def outputs_and_gradients(function, features, images):
    """Outputs, then the gradients of their sum of squares to the images and all parameters."""
    images = images.clone().requires_grad_()
    features.zero_grad()
    outputs = function(images)
    outputs.square().sum().backward()
    return [outputs.detach(), images.grad, *(p.grad.clone() for p in features.parameters())]


@pytest.mark.parametrize("chunk", [1, 300_000, 2**40])
@pytest.mark.parametrize("name,size", [("alexnet", (303, 300)), ("vgg", (130, 131))])
def test_fused_blocks_equal_the_layers_one_by_one(monkeypatch, name, size, chunk):
    monkeypatch.setattr(convolutions, "CHUNK_BYTES", chunk)
    torch.manual_seed(0)
    channels = [4] * (6 if name == "alexnet" else 7)
    features = build_network(name, size, [5, 3], channels).features.double()
    images = torch.randn(5, 3, *size, dtype=torch.float64)
    plain = outputs_and_gradients(features, features, images)
    fused = outputs_and_gradients(lambda x: run_features(features, x), features, images)
    for expected, found in zip(plain, fused, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-10, rtol=1e-8)


@given(
    size=st.integers(1, 5),
    padding=st.integers(0, 2),
    images=st.integers(1, 5),
    height=st.integers(5, 12),
    width=st.integers(5, 12),
    channels_last=st.booleans(),
)
def test_products_give_the_gradient_to_the_kernels(
    size, padding, images, height, width, channels_last
):
    layout = torch.channels_last if channels_last else torch.contiguous_format
    values = torch.randn(images, 3, height, width, dtype=torch.float64).to(memory_format=layout)
    kernels = torch.randn(4, 3, size, size, dtype=torch.float64, requires_grad=True)
    outputs = functional.conv2d(values, kernels, padding=padding)
    gradient = torch.randn_like(outputs).to(memory_format=layout)
    (expected,) = torch.autograd.grad(outputs, kernels, gradient)
    with pytest.MonkeyPatch.context() as patch:  # two images at a time
        patch.setattr(convolutions, "PRODUCT_BYTES", 2 * values[0].nbytes * size)
        found = kernel_gradient(gradient, values, Window(size, 1, padding))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("capability,multiplied", [("AVX2", 4), ("AVX512", 0)])
def test_avx2_multiplies_and_both_ways_agree(monkeypatch, capability, multiplied):
    torch.manual_seed(0)
    features = build_network("alexnet", (303, 300), [5, 3], [16, 16, 32, 32, 32, 32]).features
    images, calls = torch.randn(2, 3, 303, 300), []

    def counted(*arguments):
        calls.append(arguments)
        return kernel_gradient(*arguments)

    plain = outputs_and_gradients(features, features, images)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(convolutions, "kernel_gradient", counted)
    fused = outputs_and_gradients(lambda x: run_features(features, x), features, images)
    assert len(calls) == multiplied
    for expected, found in zip(plain, fused, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("chunk", [1, 300_000, 2**40])
@pytest.mark.parametrize("name,size", [("alexnet", (303, 300)), ("vgg", (130, 131))])
def test_batch_normalisation_sees_the_whole_batch(monkeypatch, name, size, chunk, training):
    monkeypatch.setattr(convolutions, "CHUNK_BYTES", chunk)
    torch.manual_seed(0)
    channels = [4] * (6 if name == "alexnet" else 7)
    features = build_network(name, size, [5, 3], channels, "batch").features.double()
    for layer in features:
        if isinstance(layer, nn.BatchNorm2d):  # as after some training
            nn.init.normal_(layer.weight)
            nn.init.normal_(layer.bias)
    copy = deepcopy(features)
    features.train(training), copy.train(training)
    images = 30 + 3 * torch.randn(5, 3, *size, dtype=torch.float64)
    plain = outputs_and_gradients(copy, copy, images)
    fused = outputs_and_gradients(lambda x: run_features(features, x), features, images)
    for expected, found in zip(plain, fused, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-6)
    for expected, found in zip(copy.buffers(), features.buffers(), strict=True):
        torch.testing.assert_close(found, expected)


def test_the_alexnet_keeps_kernels_of_eleven_and_runs_three():
    network = build_network("alexnet")
    weight = network.state_dict()["features.0.weight"]
    images, kernels = space_to_depth(torch.zeros(1, 3, 576, 720), weight, 4)
    assert weight.shape == (96, 3, 11, 11)
    assert (kernels.shape, images.shape) == ((96, 48, 3, 3), (1, 48, 144, 180))


@given(
    size=st.integers(1, 12),
    stride=st.integers(1, 5),
    height=st.integers(12, 40),
    width=st.integers(12, 40),
)
def test_space_to_depth_is_the_same_convolution(size, stride, height, width):
    images = torch.randn(2, 3, height, width, dtype=torch.float64)
    kernels = torch.randn(4, 3, size, size, dtype=torch.float64, requires_grad=True)
    plain = functional.conv2d(images, kernels, stride=stride)
    dense = functional.conv2d(*space_to_depth(images, kernels, stride))
    torch.testing.assert_close(dense, plain)
    (expected,) = torch.autograd.grad(plain.square().sum(), kernels)
    (found,) = torch.autograd.grad(dense.square().sum(), kernels)
    torch.testing.assert_close(found, expected)


def test_in_float32_both_agree_to_the_issue_s_tolerance():
    torch.manual_seed(0)
    images = torch.randn(2, 3, 300, 301)
    kernels = torch.randn(8, 3, 11, 11, requires_grad=True)
    plain = functional.conv2d(images, kernels, stride=4)
    dense = functional.conv2d(*space_to_depth(images, kernels, 4))
    torch.testing.assert_close(dense, plain, atol=1e-4, rtol=1e-4)
    (expected,) = torch.autograd.grad(plain.mean(), kernels)
    (found,) = torch.autograd.grad(dense.mean(), kernels)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_bfloat16_keeps_its_type_and_comes_close(small_network):
    features = small_network.features
    images = torch.randn(3, 3, *small_network.architecture.input_size)
    exact = run_features(features, images)
    with torch.autocast("cpu", torch.bfloat16):
        rough = run_features(features, images)
    assert rough.dtype == torch.bfloat16
    torch.testing.assert_close(rough.float(), exact, atol=0.05, rtol=0.1)
    rough.float().sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in features.parameters())


@pytest.mark.parametrize("normalisation", ["none", "batch"])
def test_the_convolution_s_own_outputs_are_not_kept(monkeypatch, normalisation):
    monkeypatch.setattr(convolutions, "CHUNK_BYTES", 1)
    features = build_network("vgg", (128, 128), [5, 3], [4] * 7, normalisation).features
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.shape) or t, lambda t: t):
        run_features(features, torch.randn(2, 3, 128, 128))
    assert (2, 4, 64, 64) in kept
    assert (2, 4, 128, 128) not in kept


def test_blocks_name_what_follows_each_convolution():
    found = list(blocks(build_network("alexnet", normalisation="batch").features))
    assert [b.pooling is not None for b in found] == [True, True, False, False, False, True]
    assert all(isinstance(b.normalisation, nn.BatchNorm2d) for b in found)
