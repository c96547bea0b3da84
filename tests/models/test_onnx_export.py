"""ONNX files compute what the network does, for any batch."""

from dataclasses import replace

import onnx
import pytest
import torch

from neuron_pruning import Removal, Selection, prune_layer
from neuron_pruning.models import onnx_export as export
from neuron_pruning.models.networks import Network
from neuron_pruning.models.onnx_export import OPSET, compare_onnx, export_onnx, onnx_logits


def some_images(network, count):
    generator = torch.Generator().manual_seed(2)
    return torch.randn(count, 3, *network.architecture.input_size, generator=generator)


@pytest.mark.parametrize("normalisation", ["none", "batch", "contrast"])
def test_an_exported_network_computes_the_same(small_network, normalisation, tmp_path, capfd):
    network = Network(replace(small_network.architecture, normalisation=normalisation))
    network.train().to(memory_format=torch.channels_last)
    path = tmp_path / "folder" / "network.onnx"
    export_onnx(network, path)
    for count in (1, 5):
        assert compare_onnx(network, path, some_images(network, count)) < 1e-5
    assert network.training and network.features.training
    assert [file.name for file in path.parent.iterdir()] == ["network.onnx"]
    assert capfd.readouterr() == ("", "")
    model = onnx.load(path)
    onnx.checker.check_model(model)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", OPSET)]
    batch, *rest = model.graph.input[0].type.tensor_type.shape.dim
    assert batch.dim_param == "batch"
    assert [d.dim_value for d in rest] == [3, *network.architecture.input_size]


def test_a_pruned_network_differs_from_the_unpruned_one(small_vgg, tmp_path):
    path = tmp_path / "network.onnx"
    selection = Selection(12, tuple(Removal(unit, "ranked") for unit in range(8)))
    pruned = prune_layer(small_vgg, "fc1", selection, "none")
    export_onnx(pruned, path)
    images = some_images(pruned, 3)
    assert compare_onnx(pruned, path, images) < 1e-5
    difference = (pruned(images) - small_vgg(images)).abs().max().item()
    assert compare_onnx(small_vgg, path, images) == pytest.approx(difference, abs=1e-5)


def test_large_weights_lie_beside_the_file(small_vgg, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "MAX_BYTES", 1000)
    path = tmp_path / "network.onnx"
    export_onnx(small_vgg, path)
    assert {file.name for file in tmp_path.iterdir()} == {"network.onnx", "network.onnx.data"}
    assert compare_onnx(small_vgg, path, some_images(small_vgg, 2)) < 1e-5


def test_a_failed_export_leaves_the_old_file(small_vgg, tmp_path, monkeypatch):
    path = tmp_path / "network.onnx"
    path.write_text("old")
    monkeypatch.setattr(export.onnx_ir, "save", lambda *args, **rest: 1 / 0)
    monkeypatch.setattr(export, "_translate", lambda module, example: None)
    with pytest.raises(ZeroDivisionError):
        export_onnx(small_vgg, path)
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_what_is_no_network_is_named(small_vgg, tmp_path):
    path = tmp_path / "network.onnx"
    images = some_images(small_vgg, 1)
    with pytest.raises(ValueError, match=r"network.onnx does not exist"):
        onnx_logits(path, images)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=r"network.onnx cannot be run .*; export the network"):
        onnx_logits(path, images)
    export_onnx(small_vgg, path)
    with pytest.raises(ValueError, match=r"network.onnx cannot be run"):
        onnx_logits(path, images[..., 1:])
