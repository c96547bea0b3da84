import copy

import numpy as np
import pytest
import torch

from neuron_pruning import Removal, Selection, load_network, prune_layer, save_network, select_units


def layer_inputs(network, count=40):
    height, width = network.architecture.input_size
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def logits(network, images):
    return network(images).double().numpy()


@torch.no_grad()
def hidden(network, images, layer="fc2"):
    return network.activations(images)[layer].double().numpy()


@torch.no_grad()
def clone_unit(network, layer, source, target, sign=1.0):
    """Make unit ``target`` a copy (or, with sign -1, the complement) of ``source``."""
    linear = network.linear(layer)
    linear.weight[target] = sign * linear.weight[source]
    linear.bias[target] = sign * linear.bias[source]


def test_a_clone_is_merged_exactly(small_network):
    clone_unit(small_network, "fc2", 2, 7)
    images = layer_inputs(small_network, 6)
    selection = Selection(10, (Removal(7, "similar", 2, 0.0),))
    pruned = prune_layer(small_network, "fc2", selection)
    np.testing.assert_allclose(logits(pruned, images), logits(small_network, images), atol=1e-6)
    dropped = prune_layer(small_network, "fc2", selection, "none")
    assert np.abs(logits(dropped, images) - logits(small_network, images)).max() > 1e-3


def test_weights_travel_along_a_chain_of_merge_targets(small_network):
    for target in (4, 8):
        clone_unit(small_network, "fc2", 1, target)
    images = layer_inputs(small_network, 6)
    chain = Selection(10, (Removal(8, "similar", 4, 0.0), Removal(4, "similar", 1, 0.0)))
    pruned = prune_layer(small_network, "fc2", chain)
    np.testing.assert_allclose(logits(pruned, images), logits(small_network, images), atol=1e-6)


@pytest.mark.parametrize("equal", [True, False])
def test_complementary_pair_is_lossless_only_with_equal_outgoing_weights(small_network, equal):
    with torch.no_grad():  # else units hardly vary, and all activations are constant
        small_network.linear("fc2").weight.mul_(50)
    clone_unit(small_network, "fc2", 0, 3, sign=-1.0)
    if equal:
        with torch.no_grad():
            outgoing = small_network.linear("fc3").weight
            outgoing[:, 3] = outgoing[:, 0]
    images = layer_inputs(small_network, 6)
    pair = (
        Removal(0, "complementary", 3, 180.0, True),
        Removal(3, "complementary", 0, 180.0, True),
    )
    activations = hidden(small_network, images)
    pruned = prune_layer(small_network, "fc2", Selection(10, pair), "add", activations)
    difference = np.abs(logits(pruned, images) - logits(small_network, images)).max()
    flat = activations[:, 0].std() < 1e-6  # a unit that never varies is its mean
    assert (difference < 1e-6) == (equal or flat)


def test_lossless_complement_keeps_the_logits(small_network):
    clone_unit(small_network, "fc2", 0, 3, sign=-1.0)
    images = layer_inputs(small_network, 6)
    selection = Selection(10, (Removal(3, "complementary", 0, 180.0),))
    pruned = prune_layer(small_network, "fc2", selection, "add", hidden(small_network, images))
    np.testing.assert_allclose(logits(pruned, images), logits(small_network, images), atol=1e-6)


def test_a_constant_unit_becomes_a_bias(small_network):
    with torch.no_grad():
        small_network.linear("fc2").weight[5] = 0
    images = layer_inputs(small_network, 6)
    selection = Selection(10, (Removal(5, "constant"),))
    pruned = prune_layer(small_network, "fc2", selection, "add", hidden(small_network, images))
    np.testing.assert_allclose(logits(pruned, images), logits(small_network, images), atol=1e-6)
    with pytest.raises(ValueError, match="give its activations"):
        prune_layer(small_network, "fc2", selection)


@pytest.mark.parametrize("layer", ["fc1", "fc2"])
def test_the_cut_network_equals_the_masked_one(small_network, layer):
    images = layer_inputs(small_network)
    activations = hidden(small_network, images, layer)
    selection = select_units(activations, 30)
    assert selection.removals
    pruned = prune_layer(small_network, layer, selection, "none")
    masked = copy.deepcopy(small_network)
    gone = [r.unit for r in selection.removals]
    following = {"fc1": "fc2", "fc2": "fc3"}[layer]
    with torch.no_grad():
        masked.linear(following).weight[:, gone] = 0
    np.testing.assert_allclose(logits(pruned, images), logits(masked, images), atol=1e-5)
    assert pruned.linear(layer).out_features == len(selection.kept)
    assert pruned.linear(following).in_features == len(selection.kept)


def test_cached_activations_predict_the_pruned_network(small_network):
    images = layer_inputs(small_network)
    activations = hidden(small_network, images)
    pruned = prune_layer(small_network, "fc2", select_units(activations, 30), "add", activations)
    kept = list(select_units(activations, 30).kept)
    out = pruned.linear("fc3")
    weight, bias = out.weight.detach().numpy(), out.bias.detach().numpy()
    cached = activations[:, kept] @ weight.T + bias
    np.testing.assert_allclose(cached, logits(pruned, images), atol=1e-5)


def test_other_tensors_stay_and_the_original_is_untouched(small_network, tmp_path):
    before = {k: v.clone() for k, v in small_network.state_dict().items()}
    pruned = prune_layer(small_network, "fc2", Selection(10, (Removal(9, "similar", 0, 1.0),)))
    for name, tensor in small_network.state_dict().items():
        assert torch.equal(tensor, before[name])
        if "fc2" not in name and "fc3" not in name:
            assert torch.equal(tensor, pruned.state_dict()[name])
    save_network(pruned, tmp_path / "network.safetensors", {})
    loaded = load_network(tmp_path / "network.safetensors")
    images = layer_inputs(small_network, 3)
    np.testing.assert_allclose(logits(loaded, images), logits(pruned, images), atol=1e-6)
    assert loaded.architecture.widths == (12, 9, 3)


@pytest.mark.parametrize(
    ("layer", "units", "message"),
    [("fc7", 10, "no layer 'fc7'"), ("fc3", 3, "output layer"), ("fc2", 11, "10 units, not 11")],
)
def test_impossible_surgery(small_network, layer, units, message):
    with pytest.raises(ValueError, match=message):
        prune_layer(small_network, layer, Selection(units, ()))
