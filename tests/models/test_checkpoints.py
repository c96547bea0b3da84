"""Networks as arrays compute what the networks themselves compute."""

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_tensors

from neuron_pruning import (
    Removal,
    Selection,
    UserError,
    build_network,
    load_network,
    prune_layer,
    save_network,
)
from neuron_pruning.models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint


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


BROKEN = {
    "NaN": lambda weight: weight * np.nan,
    "infinity": lambda weight: weight + np.inf,
    "int64": lambda weight: weight.astype(np.int64),
    "float64": lambda weight: weight.astype(np.float64),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_weights_are_neither_written_nor_read(small_network, tmp_path, kind):
    path, good = tmp_path / "network.safetensors", small_network.to_checkpoint()
    tensors = dict(good.tensors)
    tensors["classifier.fc2.weight"] = BROKEN[kind](tensors["classifier.fc2.weight"])
    with pytest.raises(UserError, match=rf"was not written \(classifier.fc2.weight .*{kind}"):
        save_checkpoint(Checkpoint(good.architecture, tensors), path, {})
    assert not list(tmp_path.iterdir())
    save_checkpoint(good, path, {})
    save_file(tensors, path)
    for read in (load_checkpoint, load_network):
        with pytest.raises(UserError, match=rf"network.safetensors .*fc2.weight .*{kind}.*delete"):
            read(path)


@pytest.mark.parametrize(
    "kind", [torch.bfloat16, torch.float8_e4m3fn, torch.float4_e2m1fn_x2, torch.float16]
)
def test_other_kinds_of_numbers_are_refused(small_network, tmp_path, kind):
    path = tmp_path / "network.safetensors"
    save_network(small_network, path, {})
    tensors = dict(small_network.state_dict())
    weight = tensors["classifier.fc2.weight"]
    if kind == torch.float4_e2m1fn_x2:  # two numbers a byte
        tensors["classifier.fc2.weight"] = weight[:, ::2].to(torch.uint8).contiguous().view(kind)
    else:
        tensors["classifier.fc2.weight"] = weight.to(kind)
    save_tensors(tensors, path)
    for read in (load_checkpoint, load_network):
        with pytest.raises(UserError, match=r"network.safetensors does not hold .*delete"):
            read(path)


def test_a_network_of_bfloat16_is_not_written(small_network, tmp_path):
    with pytest.raises(UserError, match=r"n.safetensors was not written .*float\(\)"):
        save_network(small_network.bfloat16(), tmp_path / "n.safetensors", {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["[]", "3", '{"architecture": 3}', '{"architecture": {}}'])
def test_a_description_of_something_else(small_network, tmp_path, content):
    save_network(small_network, tmp_path / "n.safetensors", {})
    (tmp_path / "n.json").write_text(content)
    with pytest.raises(UserError, match=r"n.json describes no network \(.*delete it"):
        load_network(tmp_path / "n.safetensors")


def test_a_pruned_network_shares_nothing_with_the_original(small_network):
    pruned = prune_layer(small_network, "fc2", Selection(10, (Removal(9, "similar", 0, 1.0),)))
    before = small_network.features[0].weight.clone()
    with torch.no_grad():
        for parameter in pruned.parameters():
            parameter.zero_()
    assert torch.equal(small_network.features[0].weight, before)
