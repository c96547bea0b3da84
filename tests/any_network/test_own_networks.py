"""Networks that this workflow trained, under the same rules as those from elsewhere."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from neuron_pruning import (
    UserError,
    build_network,
    find_unit_layers,
    load_pruned,
    open_network,
    prune,
    save_network,
)
from neuron_pruning.any_network.command_line import main
from neuron_pruning.any_network.images import normalised, prepared_pixels
from neuron_pruning.any_network.preprocessing import Preprocessing, workflow_preprocessing
from neuron_pruning.data.images import normalise
from neuron_pruning.data.index import resize_image

NAMES = ["ant", "bee", "cat"]
NORMALISATIONS = ["none", "batch", "contrast"]


def stored(folder, normalisation="batch", architecture="vgg8", **provenance):
    torch.manual_seed(0)
    channels = [4] * 8 if architecture == "vgg8" else None
    side = 16 if architecture == "vgg8" else 64
    network = build_network(architecture, (side, side), [12, 3], channels, normalisation).eval()
    save_network(network, folder / "network.safetensors", provenance)
    return network, str(folder / "network.safetensors")


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_it_computes_what_the_workflow_computes(tmp_path, normalisation):
    network, source = stored(tmp_path, normalisation, class_names=NAMES)
    opened = open_network(source)
    images = torch.randn(4, 3, 16, 16)
    torch.testing.assert_close(opened.module(images), network(images))
    assert (opened.source, opened.labels, opened.note) == (source, tuple(NAMES), "")
    layers = find_unit_layers(opened.module, images[:1])
    assert list(layers.refused) == ["fc2"] and len(layers.layers) == 8 + 1


def test_convolutions_of_torchvision_open_too(tmp_path):
    network, source = stored(tmp_path, "none", "torchvision/resnet18")
    images = torch.randn(2, 3, 64, 64)
    opened = open_network(source).module
    torch.testing.assert_close(opened(images), network(images))
    assert {"fc1", "features.body.layer1.0.conv1"} <= {*find_unit_layers(opened, images).layers}


@pytest.mark.parametrize("shape", [(16, 16), (40, 24), (9, 30)])
def test_images_are_prepared_as_the_workflow_prepares_them(shape):
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (*shape, 3), dtype=np.uint8))
    wanted, ours = np.asarray(resize_image(image, (16, 20))), workflow_preprocessing(16, 20)
    pixels = prepared_pixels(image, ours)
    np.testing.assert_array_equal(pixels, wanted)
    expected = normalise(torch.from_numpy(wanted.copy())).permute(2, 0, 1)
    torch.testing.assert_close(normalised(pixels[None].copy(), ours)[0], expected)
    grey = Preprocessing(16, 20, (0.5,), (0.5,), interpolation="lanczos", pad=True)
    assert prepared_pixels(image, grey).shape == (16, 20, 1)
    with pytest.raises(UserError, match="stretch and pad"):
        Preprocessing(8, 8, (0.5,), (0.5,), stretch=True, pad=True)


def test_a_cut_is_saved_and_loaded_again(tmp_path):
    _, source = stored(tmp_path)
    images = [torch.randn(32, 3, 16, 16) for _ in range(2)]
    result = prune(open_network(source).module, images, amount=0.5, random_draws=1)
    result.save(tmp_path / "small", source={"source": source})
    loaded = load_pruned(tmp_path / "small", lambda: open_network(source).module)
    assert torch.equal(loaded(images[0]), result.model(images[0]))
    assert loaded.fc1.out_features == 6
    with pytest.raises(UserError) as error:
        load_pruned(tmp_path / "small", lambda: torch.nn.Linear(2, 2))
    assert f"lambda: open_network({source!r}).module" in str(error.value)


def test_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    stored(tmp_path)
    rng = np.random.default_rng(0)
    for name in NAMES:
        (tmp_path / "images" / name).mkdir(parents=True)
        for n in range(8):
            pixels = rng.integers(0, 256, (20, 16), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{n}.png")
    data = ["--data", "images", "--json"]
    assert main(["inspect", "network.safetensors", *data]) == 0
    assert len(json.loads(capsys.readouterr().out)["layers"]) == 9
    command = ["prune", "network.safetensors", *data, "--amount", "0.5", "--draws", "1"]
    assert main([*command, "--out", "small"]) == 0
    assert json.loads(capsys.readouterr().out)["source"]["preprocessing"]["pad"] is True
    assert main(["evaluate", "small", *data]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 24


def test_what_is_known_of_its_images_is_told(tmp_path):
    _, source = stored(tmp_path, crop="face")
    assert "faces that were cut out" in open_network(source).note
    given = Preprocessing(16, 16, (0.5,) * 3, (0.25,) * 3)
    assert open_network(source, preprocessing=given).preprocessing == given


def test_what_is_no_network_of_the_workflow_is_refused(tmp_path):
    _, source = stored(tmp_path, class_names=["ant", "ant", "bee"])
    with pytest.raises(UserError, match=r"network.json .*class_names: 3 different ones"):
        open_network(source)
    with pytest.raises(UserError, match="holds its own; leave them out"):
        open_network(source, source)
    with pytest.raises(UserError, match="says itself how many"):
        open_network(source, classes=3)
    (tmp_path / "network.json").unlink()
    with pytest.raises(UserError, match=r"no network.json beside it.*--weights.*torchvision/"):
        open_network(source)
    with pytest.raises(UserError, match="does not exist; correct the path, or train"):
        open_network(str(tmp_path / "other.safetensors"))
