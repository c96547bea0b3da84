"""Channels of convolutions: views, surgery, importances."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from neuron_pruning import Removal, Selection, load_network, save_network
from neuron_pruning.models.architectures import describe
from neuron_pruning.models.convolutions import blocks
from neuron_pruning.models.networks import Network
from neuron_pruning.pruning.channels import (
    channel_importances,
    channel_layer,
    channel_names,
    prune_channels,
)
from neuron_pruning.pruning.compensations import COMPENSATIONS, REFUSED_COMPENSATIONS
from neuron_pruning.pruning.techniques import find_technique, techniques

MIDDLE = 3


@pytest.fixture(params=["none", "batch"])
def network(request, small_network):
    """Both models with four channels in every convolution, with and without normalisation."""
    sizes = {"alexnet": (300, 428), "vgg": (130, 256)}  # fc1 reads two positions of a channel
    architecture = small_network.architecture
    architecture = replace(architecture, input_size=sizes[architecture.name])
    return prepared(architecture, request.param)


@torch.no_grad()
def prepared(architecture, normalisation="none"):
    """Network of four channels a convolution, all of them alive and different."""
    channels = (4,) * len(architecture.channels)
    architecture = replace(architecture, normalisation=normalisation, channels=channels)
    torch.manual_seed(1)
    network = Network(architecture).eval()
    for block in blocks(network.features):
        weight = nn.init.kaiming_normal_(block.convolution.weight)
        weight.sub_(weight.mean((1, 2, 3), keepdim=True))  # else some are always zero
        block.convolution.bias.fill_(0.5)
        if block.normalisation is not None:
            for values in block.normalisation.state_dict().values():
                if values.is_floating_point():
                    values.add_(torch.rand_like(values))
            block.normalisation.bias.add_(0.5)
    return network


def some_images(network, count=2, seed=2):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, *network.architecture.input_size, generator=generator)


@torch.no_grad()
def logits(network, images):
    return network(images).double().numpy()


def convolutions(network):
    return [block.convolution for block in blocks(network.features)]


@torch.no_grad()
def mask(network, place, gone):
    """Zero what the next layer makes of some channels."""
    following = convolutions(network)[place + 1 :]
    if following:
        following[0].weight[:, gone] = 0
    else:
        network.linear("fc1").weight.unflatten(1, (4, -1))[:, gone] = 0


@torch.no_grad()
def clone_channel(network, place, source, target):
    """Make channel ``target`` a copy of ``source``."""
    block = list(blocks(network.features))[place]
    for part in (block.convolution, block.normalisation):
        if part is not None:
            for values in part.state_dict().values():
                if values.ndim:
                    values[target] = values[source]


def ranked(*units):
    return Selection(4, tuple(Removal(unit, "ranked") for unit in units))


@pytest.mark.parametrize("place", [0, MIDDLE, -1])
def test_the_cut_network_equals_the_masked_one(network, place, tmp_path):
    images = some_images(network)
    names = channel_names(network.architecture)
    place = place % len(names)
    before = {name: values.clone() for name, values in network.state_dict().items()}
    pruned = prune_channels(network, names[place], ranked(2, 0))
    masked = copy.deepcopy(network)
    mask(masked, place, [2, 0])
    assert np.abs(logits(network, images) - logits(masked, images)).max() > 1e-4
    np.testing.assert_allclose(logits(pruned, images), logits(masked, images), atol=1e-5)
    assert pruned.architecture.channels[place] == convolutions(pruned)[place].out_channels == 2
    assert all(torch.equal(values, before[name]) for name, values in network.state_dict().items())
    save_network(pruned, tmp_path / "network.safetensors", {})
    loaded = load_network(tmp_path / "network.safetensors")
    assert loaded.architecture == pruned.architecture
    np.testing.assert_allclose(logits(loaded, images), logits(pruned, images), atol=1e-6)


@pytest.mark.parametrize("place", [0, MIDDLE, -1])
def test_clones_are_merged_exactly_along_a_chain(network, place):
    names = channel_names(network.architecture)
    place = place % len(names)
    for target in (2, 3):
        clone_channel(network, place, 1, target)
    images = some_images(network)
    chain = Selection(4, (Removal(3, "similar", 2, 0.0), Removal(2, "similar", 1, 0.0)))
    pruned = prune_channels(network, names[place], chain, "add")
    np.testing.assert_allclose(logits(pruned, images), logits(network, images), atol=1e-5)
    dropped = prune_channels(network, names[place], chain)
    assert np.abs(logits(dropped, images) - logits(network, images)).max() > 1e-4


def test_several_layers_in_turn_down_to_one_channel(network):
    images, pruned, masked = some_images(network), network, copy.deepcopy(network)
    for place, name in enumerate(channel_names(network.architecture)):
        gone = [3, 1, 0][: 1 + place % 3]
        pruned = prune_channels(pruned, name, ranked(*gone))
        mask(masked, place, gone)
    assert pruned.architecture.channels[:3] == (3, 2, 1)
    np.testing.assert_allclose(logits(pruned, images), logits(masked, images), atol=1e-5)


def test_frozen_and_training_networks_are_cut_as_well(small_vgg):
    network = prepared(small_vgg.architecture)  # one position of a channel
    images, masked = some_images(network), copy.deepcopy(network)
    mask(masked, 6, [1])
    expected = logits(masked, images)
    network.train().requires_grad_(False)
    with torch.inference_mode():
        pruned = prune_channels(network, "conv7", ranked(1))
    np.testing.assert_allclose(logits(pruned, images), expected, atol=1e-5)
    assert all(module.training for module in network.modules())
    same = prune_channels(network, "conv2", Selection(4, ()))
    assert same.architecture == network.architecture


@pytest.mark.parametrize("place", [0, -1])
def test_a_view_has_what_the_next_layer_reads(network, place):
    images = some_images(network)
    names = channel_names(network.architecture)
    layer = channel_layer(network, names[place], images.split(1), rows=10**6)
    with torch.no_grad():
        values, ends = images, []
        for module in network.features:
            values = module(values)
            if isinstance(module, nn.ReLU):
                ends.append(values)
    expected = ends[place].permute(0, 2, 3, 1).reshape(-1, 4).numpy()
    np.testing.assert_allclose(layer.activations, expected, atol=1e-4, rtol=1e-5)
    own = convolutions(network)[place].weight
    assert layer.incoming.weight.shape == (layer.units, own[0].numel()) == (4, own[0].numel())
    # Column 2 of the outgoing weights is what the next layer makes of channel 2.
    column = layer.outgoing.weight[:, 2]
    masked = copy.deepcopy(network)
    mask(masked, place % len(names), [2])
    changed = channel_layer(masked, names[place], [images]).outgoing.weight
    assert column.any() and not changed[:, 2].any()
    np.testing.assert_array_equal(np.delete(changed, 2, 1), np.delete(layer.outgoing.weight, 2, 1))


def test_a_sample_of_rows_is_seeded_and_independent_of_batches(small_vgg):
    images = some_images(small_vgg, 6)
    whole = channel_layer(small_vgg, "conv3", [images], rows=10**6).activations
    sample = channel_layer(small_vgg, "conv3", images.split(1), rows=100, seed=5).activations
    again = channel_layer(small_vgg, "conv3", images.split(4), rows=100, seed=5).activations
    other = channel_layer(small_vgg, "conv3", images.split(4), rows=100, seed=6).activations
    np.testing.assert_allclose(sample, again, atol=1e-6)
    assert sample.shape == (100, 2) and not np.allclose(sample, other)
    keys = np.round(whole, 5)
    assert {tuple(row) for row in np.round(sample, 5)} <= {tuple(row) for row in keys}


LOSS = {name for name in techniques() if find_technique(name).needs in ("gates", "loss")}
IMPORTANCES = {name for name in techniques() if name.startswith("torch_pruning_")}


@pytest.mark.parametrize(
    "name", sorted(set(techniques()) - LOSS - IMPORTANCES - {"karnin", "sietsma_dow"})
)
def test_techniques_that_need_no_loss_work(view, name):
    technique = find_technique(name)
    settings = {"centring": "mean"} if "centring" in technique.settings else {}
    if technique.amount == "angle":
        assert technique.select(view, 30.0, **settings).units == 4
    else:
        assert len(technique.select(view, 2, **settings).removals) == 2


def test_the_reverse_of_a_channel_is_refused(view):
    with pytest.raises(ValueError, match="1 minus it, for sigmoids; take noiseout"):
        find_technique("sietsma_dow").select(view, 2)


@pytest.mark.parametrize("name", sorted(LOSS))
def test_techniques_that_need_the_loss_are_refused(view, name):
    needed = find_technique(name).needs
    with pytest.raises(
        ValueError, match=f"{name} needs the {needed}, which conv5 does not offer here; take"
    ):
        find_technique(name).select(view, 2)


@pytest.fixture(scope="module")
def view():
    network = prepared(describe("vgg", (128, 130), (12, 10, 3)))
    return channel_layer(network, "conv5", [some_images(network)])


def test_the_middle_of_a_sigmoid_is_refused_with_advice(small_vgg):
    network = prepared(small_vgg.architecture)
    view = channel_layer(network, "conv1", [20.0 * some_images(network)])
    with pytest.raises(ValueError, match="a ReLU has no middle; use centring mean"):
        find_technique("distinctiveness").select(view, 15.0)


def test_importances_serve_the_techniques(small_vgg):
    network = prepared(small_vgg.architecture)
    images = some_images(network)
    scores = channel_importances(network, "conv5", images, [0, 2])
    view = channel_layer(network, "conv5", [images], scores)
    for name, values in scores.items():
        removed = find_technique(name).select(view, 1).removed
        assert removed == (int(values.argmin()),), name
    with pytest.raises(ValueError, match="karnin"):
        find_technique("karnin").select(view, 1)


@pytest.mark.parametrize("place", [0, -1])
def test_importances_of_channels_are_the_librarys_formulas(network, place):
    images, labels = some_images(network), torch.tensor([0, 2])
    names = channel_names(network.architecture)
    scores = channel_importances(network, names[place], images, labels.numpy())
    assert scores.keys() == IMPORTANCES
    weights = coupled_weights(network, place)
    losses = functional.cross_entropy(network(images), labels, reduction="none")
    each = [torch.autograd.grad(loss, weights, retain_graph=True) for loss in losses]
    means = [torch.stack(g).mean(0) for g in zip(*each, strict=True)]
    squares = [torch.stack(g).square().mean(0) for g in zip(*each, strict=True)]
    check(scores, "magnitude", [w**2 for w in weights])
    # The library leaves batch normalisation out of Taylor's scores.
    products = [(w * g).abs() for w, g in zip(weights, means, strict=True)]
    check(scores, "taylor", products[:2])
    check(scores, "hessian", [w**2 * h for w, h in zip(weights, squares, strict=True)])
    without_data = channel_importances(network, names[place])
    assert without_data.keys() == {f"torch_pruning_{n}" for n in ("magnitude", "fpgm", "lamp")}
    assert all((scores[name] == values).all() for name, values in without_data.items())
    assert all(parameter.grad is None for parameter in network.parameters())


def coupled_weights(network, place):
    """A convolution's weights, those of what reads it, and the scales of its normalisation."""
    block = list(blocks(network.features))[place]
    readers = [*convolutions(network)[1:], network.linear("fc1")]
    following = readers[place]
    scales = [] if block.normalisation is None else [block.normalisation.weight]
    return [block.convolution.weight, following.weight, *scales]


def check(scores, name, values):
    into, out, *scales = (v.detach().double() for v in values)
    expected = into.flatten(1).sum(1)
    expected += (out.unflatten(1, (4, -1)) if out.ndim == 2 else out.flatten(2)).sum((0, 2))
    expected = (expected + sum(scales)).numpy()
    found = scores[f"torch_pruning_{name}"]
    np.testing.assert_allclose(found, expected / expected.mean(), rtol=2e-3, err_msg=name)


@pytest.mark.parametrize("name", sorted(set(COMPENSATIONS) - {"none", "add"}))
def test_other_compensations_are_refused_with_a_reason(small_vgg, name):
    assert name in REFUSED_COMPENSATIONS
    with pytest.raises(ValueError, match=f"cannot be pruned with {name}: .*; take none or add"):
        prune_channels(small_vgg, "conv1", Selection(2, (Removal(1, "similar", 0),)), name)


@pytest.mark.parametrize(
    ("name", "selection", "compensation", "message"),
    [
        ("fc1", Selection(2, ()), "none", "no convolution 'fc1'; it has"),
        ("conv1", Selection(3, ()), "none", "2 channels, not 3"),
        ("conv1", Selection(2, ()), "magic", "no compensation 'magic'"),
        ("conv1", Selection(2, (Removal(1, "ranked"),)), "add", "is removed without merge target"),
        ("conv1", Selection(2, (Removal(1, "similar"),)), "add", "is removed without merge target"),
    ],
)
def test_impossible_surgery(small_vgg, name, selection, compensation, message):
    with pytest.raises(ValueError, match=message):
        prune_channels(small_vgg, name, selection, compensation)


def test_missing_images_and_classes_are_named(small_vgg):
    with pytest.raises(ValueError, match="give one batch at least"):
        channel_layer(small_vgg, "conv1", [])
    with pytest.raises(ValueError, match="a class for each"):
        channel_importances(small_vgg, "conv1", some_images(small_vgg))
