"""Networks as arrays compute what the networks themselves compute."""

import json

import numpy as np
import pytest
import torch

from neuron_pruning import (
    Removal,
    Selection,
    build_network,
    load_network,
    prune_layer,
    save_network,
)
from neuron_pruning.models.checkpoints import load_checkpoint, save_checkpoint


def some_images(network, count=5):
    height, width = network.architecture.input_size
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(2))


@torch.no_grad()
def test_a_pass_from_any_layer_is_the_network_s_own(small_network):
    images = some_images(small_network)
    outputs = {name: value.numpy() for name, value in small_network.activations(images).items()}
    checkpoint = small_network.to_checkpoint()
    for before, layer in zip(["fc1", "fc2"], ["fc2", "fc3"], strict=True):
        found = checkpoint.logits_from(layer, outputs[before])
        np.testing.assert_allclose(found, outputs["fc3"], atol=1e-6)
    assert found.dtype == np.float32


def test_saturated_units_do_not_overflow(small_network):
    with np.errstate(all="raise"):
        inputs = np.full((1, 12), 1e6, dtype=np.float32)
        assert np.isfinite(small_network.to_checkpoint().logits_from("fc2", inputs)).all()


def test_a_layer_that_is_not_there(small_network):
    with pytest.raises(ValueError, match="no layer 'fc9'; it has fc1, fc2, fc3"):
        small_network.to_checkpoint().logits_from("fc9", np.zeros((1, 12), dtype=np.float32))


def test_normalised_networks_survive_the_disk_in_both_forms(tmp_path):
    network = build_network("vgg", (128, 130), [12, 10, 3], [2] * 7, "batch")
    network.train()(some_images(network))  # running statistics and their counter
    network.eval()
    save_network(network, tmp_path / "a.safetensors", {"seed": 1})
    checkpoint = load_checkpoint(tmp_path / "a.safetensors")
    save_checkpoint(checkpoint, tmp_path / "b.safetensors", {"seed": 1})
    assert (tmp_path / "a.json").read_text() == (tmp_path / "b.json").read_text()
    again = load_network(tmp_path / "b.safetensors").state_dict()
    for name, tensor in network.state_dict().items():
        assert torch.equal(again[name], tensor) and again[name].shape == tensor.shape


@pytest.mark.parametrize("width", [9, 11])
def test_weights_of_another_width_are_refused_without_torch_too(small_network, tmp_path, width):
    path = tmp_path / "network.safetensors"
    save_network(small_network, path, {})
    text = path.with_suffix(".json").read_text()
    description = json.loads(text)
    description["architecture"]["widths"][1] = width
    path.with_suffix(".json").write_text(json.dumps(description))
    with pytest.raises(ValueError, match=rf"fc2.weight is not of shape \({width}, 12\)"):
        load_checkpoint(path)


def test_a_pruned_network_shares_nothing_with_the_original(small_network):
    pruned = prune_layer(small_network, "fc2", Selection(10, (Removal(9, "similar", 0, 1.0),)))
    before = small_network.features[0].weight.clone()
    with torch.no_grad():
        for parameter in pruned.parameters():
            parameter.zero_()
    assert torch.equal(small_network.features[0].weight, before)
