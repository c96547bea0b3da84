import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuron_pruning import build_network
from neuron_pruning.models.architectures import (
    count_multiply_adds,
    count_parameters,
    describe,
    smallest_input,
)


@pytest.mark.parametrize(
    ("name", "flat", "parameters", "layers"),
    [("alexnet", 3072, 19.15e6, 10), ("vgg", 10240, 164.10e6, 12)],
)
def test_paper_networks_have_the_papers_sizes(name, flat, parameters, layers):
    with torch.device("meta"):
        network = build_network(name)
    assert network.linear("fc1").in_features == flat
    assert count_parameters(network.architecture) == pytest.approx(parameters, rel=5e-4)
    assert network.linear(network.layer_names[-2]).out_features == 100
    assert sum(p.ndim > 1 for p in network.parameters()) == layers


@pytest.mark.parametrize("normalisation", ["none", "batch"])
def test_counted_parameters_are_those_that_are_there(small_network, normalisation):
    a = small_network.architecture
    network = build_network(a.name, a.input_size, a.widths, a.channels, normalisation)
    there = sum(parameter.numel() for parameter in network.parameters())
    assert count_parameters(network.architecture) == there


@settings(max_examples=30)
@given(
    name=st.sampled_from(["alexnet", "vgg"]),
    height=st.integers(291, 420),
    width=st.integers(291, 420),
)
def test_computed_sizes_are_those_of_the_layers(name, height, width):
    channels = [1] * (6 if name == "alexnet" else 7)
    with torch.device("meta"):
        network = build_network(name, (height, width), [2, 3], channels)
        flat = network.features(torch.empty(1, 3, height, width)).flatten(1)
    assert flat.shape[1] == network.linear("fc1").in_features


def test_compact_reading():
    network = build_network("alexnet", widths=[1526, 100, 7])
    assert [network.linear(n).in_features for n in network.layer_names] == [3072, 1526, 100]


def test_activations_are_sigmoids_and_the_last_are_the_logits(small_network):
    height, width = small_network.architecture.input_size
    images = torch.randn(2, 3, height, width)
    outputs = small_network.activations(images)
    flat = small_network.linear("fc1").in_features
    assert [tuple(v.shape) for v in outputs.values()] == [(2, flat), (2, 12), (2, 10), (2, 3)]
    torch.testing.assert_close(outputs["features"], small_network.features(images).flatten(1))
    assert all(((v > 0) & (v < 1)).all() for v in (outputs["fc1"], outputs["fc2"]))
    torch.testing.assert_close(small_network(images), outputs["fc3"])
    torch.testing.assert_close(
        outputs["fc2"], torch.sigmoid(small_network.linear("fc2")(outputs["fc1"]))
    )


@pytest.mark.parametrize(("name", "least"), [("alexnet", 291), ("vgg", 128)])
def test_smallest_input_is_exact(name, least):
    assert smallest_input(name) == least
    build_network(name, (least, least), widths=[4, 3])
    with pytest.raises(ValueError, match=rf"too small.*{least} x {least} at least"):
        build_network(name, (least - 1, 720), widths=[4, 3])


def test_local_contrast_counts_as_work():
    plain, even = (describe("vgg8", (48, 64), normalisation=how) for how in ("batch", "contrast"))
    assert count_multiply_adds(even) - count_multiply_adds(plain) == 2 * 48 * 64 * (48 + 64)


def test_multiply_adds_of_a_countable_network():
    network = build_network("vgg", (128, 128), widths=[5, 3], channels=[1] * 7)
    pixels = [128 * 128 >> (2 * k) for k in range(7)]
    convolutions = 9 * 3 * pixels[0] + 9 * sum(pixels[1:])
    assert count_multiply_adds(network.architecture) == convolutions + 1 * 5 + 5 * 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "resnet"}, "unknown model 'resnet'.*alexnet, vgg"),
        ({"name": "vgg", "channels": [8, 8]}, "7 convolutions"),
        ({"name": "vgg", "widths": [7]}, "hidden and an output"),
    ],
)
def test_impossible_networks(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_network(**arguments)


def test_unknown_layer_lists_the_known(small_network):
    with pytest.raises(ValueError, match="no layer 'fc9'; it has fc1, fc2, fc3"):
        small_network.linear("fc9")


def test_batch_normalisation_is_optional():
    plain = build_network("vgg", (128, 128), widths=[4, 3])
    normed = build_network("vgg", (128, 128), widths=[4, 3], normalisation="batch")
    extra = count_parameters(normed.architecture) - count_parameters(plain.architecture)
    assert extra == 2 * sum(plain.architecture.channels)
