import json
import os
import re
import subprocess
import sys
from argparse import Namespace
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from neuron_pruning import UserError
from neuron_pruning.any_network.images import check_processor, normalised, prepared_pixels
from neuron_pruning.any_network.preprocessing import (
    Preprocessing,
    hugging_face_preprocessing,
    timm_preprocessing,
    torchvision_preprocessing,
)
from neuron_pruning.any_network.sources import open_network
from neuron_pruning.any_network.weights import load_weights, without_prefixes
from neuron_pruning.core.errors import NotFinite

SMALL = Preprocessing(8, 8, (0.5,) * 3, (0.25,) * 3)
EIGHT = Preprocessing(8, 8, (0.5,) * 3, (0.25,) * 3, stretch=True, interpolation="bicubic")
FACTORIES = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, classes=4):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)
        self.norm = nn.BatchNorm2d(5)
        self.fc = nn.Linear(5, classes)
    def forward(self, images):
        return self.fc(self.norm(self.conv(images)).mean((2, 3)))

def build(): return Net()
def wrapped():
    net = nn.Module()
    net.model = Net()
    return net
def half(): return Net().half().train()
def fails(): raise RuntimeError("no luck today")
def needs(size): return Net(size)
def text(): return "a network"
def diverged():
    net = Net()
    net.fc.bias.data[1] = float("nan")
    return net
def lazy(): return nn.Sequential(nn.LazyLinear(3))
def ends(): raise SystemExit(3)
def parallel(): return nn.DataParallel(Net())
number = 3
"""


@pytest.fixture
def factories(tmp_path, monkeypatch):
    """Module of factories in the current folder, and how it is called there."""
    name = f"factories_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(FACTORIES)
    monkeypatch.chdir(tmp_path)
    return name


def build(factories):
    return open_network(f"{factories}:build", preprocessing=SMALL).module


def test_a_factory_in_the_current_folder_is_called(factories):
    path = list(sys.path)
    opened = open_network(f"{factories}:build", preprocessing=SMALL)
    assert sys.path == path
    assert opened.module(torch.zeros(2, 3, 8, 8)).shape == (2, 4)
    assert not opened.module.training
    assert (opened.preprocessing, opened.source) == (SMALL, f"{factories}:build")
    assert (opened.labels, opened.note) == ((), "")
    assert not open_network(f"{factories}:half", preprocessing=SMALL).module.training
    values = open_network(f"{factories}:half", preprocessing=SMALL).module.parameters()
    assert {value.dtype for value in values} == {torch.float32}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{}:fails", r"raised an error \(no luck today\); it is called without arguments"),
        ("{}:needs", r"raised an error \(needs\(\) missing 1 required.*called without arguments"),
        ("{}:text", "returned str; return a torch.nn.Module"),
        ("{}:number", "has no function number"),
        ("{}:biuld", r"has no function biuld; did you mean build\?"),
        ("absent_module:build", r"absent_module cannot be imported \(No module named .*PYTHONPATH"),
        ("{}.py:build", "is no network.*leave out .py"),
        ("resnet18", "is no network, and no folder of one; give package.module:factory"),
        ("a b:c", "is no network"),
        ("net.pt2", "no layers left to cut; give what it was exported from"),
        ("{}:lazy", "weight has no values yet; build the network on the CPU"),
    ],
)
def test_a_source_that_gives_no_network_is_refused(factories, source, message):
    with pytest.raises(UserError, match=message):
        open_network(source.format(factories), preprocessing=SMALL)


def test_a_module_that_fails_is_named(factories, tmp_path):
    (tmp_path / "broken_module_of_a_test.py").write_text("import not_installed_anywhere")
    with pytest.raises(UserError, match=r"cannot be imported \(No module named 'not_installed"):
        open_network("broken_module_of_a_test:build", preprocessing=SMALL)


def test_preprocessing_of_a_factory_is_asked_for(factories):
    with pytest.raises(UserError, match=r"preprocessing: .*--size, --mean and --std.*mean, std\)"):
        open_network(f"{factories}:build")
    with pytest.raises(UserError, match=r"classes: .* says itself how many"):
        open_network(f"{factories}:build", preprocessing=SMALL, classes=3)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_are_loaded(factories, tmp_path, suffix):
    network, path = build(factories), tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(network.state_dict(), path)
    else:
        save_file(network.state_dict(), path)
    opened = open_network(f"{factories}:build", path, preprocessing=SMALL)
    images = torch.rand(2, 3, 8, 8)
    assert torch.equal(opened.module(images), network(images))


@pytest.mark.parametrize(
    "nesting", ["state_dict", "model", "model_state_dict", "net", "model_ema", "state_dict_ema"]
)
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "model."])
def test_what_training_programs_wrap_weights_in_is_taken_off(factories, tmp_path, nesting, prefix):
    network, path = build(factories), tmp_path / "checkpoint.pth"
    tensors = OrderedDict((prefix + name, value) for name, value in network.state_dict().items())
    beside = {"epoch": 3, "optimizer": {"lr": 0.1}, "args": Namespace(lr=0.1)}
    torch.save({nesting: tensors, "best": np.float64(0.5), **beside}, path)
    opened = open_network(f"{factories}:build", path, preprocessing=SMALL)
    assert torch.equal(opened.module.fc.weight, network.fc.weight)


def test_averaged_weights_are_taken_where_there_are_no_others(factories, tmp_path):
    network, path = build(factories), tmp_path / "checkpoint.pth"
    other = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
    torch.save({"ema": other, "model": network.state_dict()}, path)
    opened = open_network(f"{factories}:build", path, preprocessing=SMALL)
    assert torch.equal(opened.module.fc.weight, network.fc.weight)


def test_a_network_is_taken_out_of_its_wrapper(factories, tmp_path):
    tensors = {f"module.{name}": value for name, value in build(factories).state_dict().items()}
    torch.save(tensors, tmp_path / "w.pth")
    opened = open_network(f"{factories}:parallel", tmp_path / "w.pth", preprocessing=SMALL)
    assert type(opened.module).__name__ == "Net"
    assert torch.equal(opened.module.fc.weight, tensors["module.fc.weight"])


def test_a_factory_that_ends_the_program_is_refused(factories):
    with pytest.raises(UserError, match="behind if __name__ == '__main__'"):
        open_network(f"{factories}:ends", preprocessing=SMALL)


def test_a_prefix_that_the_network_has_too_stays(factories, tmp_path):
    network = open_network(f"{factories}:wrapped", preprocessing=SMALL).module
    torch.save(network.state_dict(), tmp_path / "w.pth")
    source = f"{factories}:wrapped"
    opened = open_network(source, tmp_path / "w.pth", preprocessing=SMALL).module
    assert torch.equal(opened.model.fc.weight, network.model.fc.weight)


@given(
    names=st.sets(st.sampled_from(["a.weight", "module.x", "model.b", "fc.bias"]), min_size=1),
    prefixes=st.lists(st.sampled_from(["module.", "_orig_mod.", "model."]), max_size=3),
)
def test_taking_prefixes_off_never_loses_a_name(names, prefixes):
    stored = {"".join(prefixes) + name: torch.zeros(1) for name in names}
    found = without_prefixes(stored, names)
    assert len(found) == len(names)
    assert {tuple(v.shape) for v in found.values()} == {(1,)}
    if not any(name.startswith(("module.", "model.")) for name in names):
        assert set(found) == names


def changed(network, change):
    tensors = dict(network.state_dict())
    change(tensors)
    return tensors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.pop("fc.weight"),
            r"fc.weight \[4, 5\] of float32 missing\. Give the weights of this network",
        ),
        (lambda t: t.update(other=torch.zeros(2)), r"other \[2\] of float32 not expected"),
        (
            lambda t: t.update({"fc.weight": torch.zeros(9, 5), "fc.bias": torch.zeros(9)}),
            r"fc.weight \[9, 5\] of float32, should be \[4, 5\].* are for 9 of them",
        ),
        (
            lambda t: t.update({"conv.weight": torch.zeros(5, 1, 3, 3)}),
            r"conv.weight \[5, 1, 3, 3\] .* of another shape",
        ),
        (
            lambda t: t.update({"fc.bias": torch.zeros(4, dtype=torch.int64)}),
            r"fc.bias \[4\] of int64, should be \[4\] of float32.*Give the weights",
        ),
    ],
)
def test_weights_of_another_network_are_refused(factories, tmp_path, change, message):
    path = tmp_path / "w.safetensors"
    save_file(changed(build(factories), change), path)
    with pytest.raises(
        UserError, match=rf"w\.safetensors does not fit {factories}:build.*{message}"
    ):
        open_network(f"{factories}:build", path, preprocessing=SMALL)


def test_weights_without_a_name_in_common_are_refused(factories, tmp_path):
    save_file(torchvision.models.squeezenet1_1().state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(UserError, match=r"and \d+ more missing.*No name is the same.*same library"):
        open_network(f"{factories}:build", tmp_path / "w.safetensors", preprocessing=SMALL)


def test_old_files_need_no_counters_and_may_hold_what_is_no_longer_stored(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(2)
            self.register_buffer("index", torch.zeros(2), persistent=False)

    tensors = changed(Net(), lambda t: t.pop("norm.num_batches_tracked"))
    save_file({**tensors, "index": torch.ones(2)}, tmp_path / "w.safetensors")
    network = Net()
    load_weights(network, tmp_path / "w.safetensors", "a network")
    assert torch.equal(network.index, torch.zeros(2))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(factories, tmp_path, value):
    tensors = changed(build(factories), lambda t: t["norm.running_var"].fill_(value))
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(NotFinite, match=r"w\.safetensors: norm.running_var holds NaN or infinity"):
        open_network(f"{factories}:build", tmp_path / "w.safetensors", preprocessing=SMALL)
    with pytest.raises(NotFinite, match=r":diverged: fc.bias holds NaN"):
        open_network(f"{factories}:diverged", preprocessing=SMALL)


class Evil:
    def __reduce__(self):
        return os.system, ("touch ran",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"nothing of the kind", "cannot be read as weights"),
        (b"hello", "cannot be read as weights .*(damaged|header)"),
        (b"", "cannot be read as weights"),
        (Evil(), "cannot be read as weights .*not run.*torch.save"),
        ([torch.zeros(2)], "holds no tensors by name but one list"),
        ({"epoch": 3, "loss": 0.1}, "holds no tensors by name but epoch, loss; save model.state"),
        ({"state_dict": {}}, "holds no tensors by name; save"),
        ({"state_dict": {}, "args": Namespace(run=Evil())}, "not run, such as posix.system"),
    ],
)
def test_files_that_are_no_weights_are_refused(factories, tmp_path, content, message):
    for name in ("w.pth", "w.safetensors"):
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif name == "w.pth":
            torch.save(content, path)
        else:
            continue
        with pytest.raises(UserError, match=message):
            open_network(f"{factories}:build", path, preprocessing=SMALL)
    assert not (tmp_path / "ran").exists()
    with pytest.raises(UserError, match=r"absent\.pth does not exist; correct the path"):
        open_network(f"{factories}:build", tmp_path / "absent.pth", preprocessing=SMALL)


def test_torchvision_says_how_its_images_are_prepared():
    opened = open_network("torchvision/shufflenet_v2_x0_5")
    assert opened.note.startswith("random weights")
    assert len(opened.labels) == 1000
    assert opened.labels[0] == "tench"
    prepared = opened.preprocessing
    assert (prepared.height, prepared.width, prepared.resize) == (224, 224, (256, 256))
    assert prepared.mean == (0.485, 0.456, 0.406)
    assert opened.module(torch.zeros(1, 3, 224, 224)).shape == (1, 1000)


def test_torchvision_builds_for_other_classes(tmp_path):
    name, path = "shufflenet_v2_x0_5", tmp_path / "w.pth"
    network = torchvision.models.get_model(name, num_classes=3).eval()
    torch.save(network.state_dict(), path)
    opened = open_network(f"torchvision/{name}", path, classes=3, preprocessing=SMALL)
    assert (opened.labels, opened.note, opened.preprocessing) == ((), "", SMALL)
    images = torch.rand(2, 3, 64, 64)
    assert torch.equal(opened.module(images), network(images))
    with pytest.raises(UserError, match=r"fc.weight \[3, 1024\].*for 3 of them.*classes"):
        open_network(f"torchvision/{name}", path)


def test_every_entry_of_torchvision_has_a_preprocessing():
    for name in torchvision.models.list_models(module=torchvision.models):
        entry = torchvision.models.get_model_weights(name).DEFAULT
        assert torchvision_preprocessing(entry.transforms()).height >= 224
        assert len(entry.meta["categories"]) == 1000


def test_files_of_torchvision_hold_parts_for_training_and_older_names(tmp_path):
    googlenet = torchvision.models.googlenet(init_weights=False).eval()
    torch.save(googlenet.state_dict(), tmp_path / "w.pth")
    opened = open_network("torchvision/googlenet", tmp_path / "w.pth").module
    googlenet.transform_input = True  # as torchvision sets it with the weights
    images = torch.rand(1, 3, 64, 64)
    assert torch.equal(opened(images), googlenet(images))
    densenet = torchvision.models.densenet121().eval()
    older = {
        re.sub(r"(denselayer\d+\.)(norm|conv)([12])\.", r"\1\2.\3.", name): value
        for name, value in densenet.state_dict().items()
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in older
    torch.save(older, tmp_path / "w.pth")
    opened = open_network("torchvision/densenet121", tmp_path / "w.pth").module
    assert torch.equal(opened(images), densenet(images))


def test_a_network_that_insists_on_a_version_reads_safetensors(tmp_path):
    network = torchvision.models.mnasnet0_5().eval()
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    opened = open_network("torchvision/mnasnet0_5", tmp_path / "w.safetensors").module
    images = torch.rand(1, 3, 64, 64)
    assert torch.equal(opened(images), network(images))


def test_vision_transformers_are_built_for_their_images_and_read_older_names(tmp_path, monkeypatch):
    def small(name, image_size, **options):
        return torchvision.models.VisionTransformer(image_size, 16, 1, 1, 8, 8)

    monkeypatch.setattr(torchvision.models, "get_model", small)
    network = small("vit_h_14", 518 - 518 % 16).eval()
    older = {n.replace("mlp.0", "mlp.linear_1"): v for n, v in network.state_dict().items()}
    assert set(older) != set(network.state_dict())
    torch.save(older, tmp_path / "w.pth")
    size = Preprocessing(512, 512, (0.5,) * 3, (0.5,) * 3)
    opened = open_network("torchvision/vit_h_14", tmp_path / "w.pth", preprocessing=size)
    images = torch.rand(1, 3, 512, 512)
    assert torch.equal(opened.module(images), network(images))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("torchvision/resnet81", r"no such network; did you mean resnet18"),
        ("torchvision/fcn_resnet50", "no such network"),
        ("torchvision/qqq", "no such network; correct the name"),
    ],
)
def test_names_that_torchvision_does_not_know_are_refused(source, message):
    with pytest.raises(UserError, match=message):
        open_network(source)
    with pytest.raises(UserError, match=r"cannot be built.*choose other classes"):
        open_network("torchvision/resnet18", classes=-1)


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("torchvision/resnet18", "torchvision"),
        ("timm/resnet18", "timm"),
        ("{}", "transformers"),
    ],
)
def test_a_missing_library_is_named_with_how_to_install_it(tmp_path, monkeypatch, source, missing):
    (tmp_path / "config.json").touch()
    (tmp_path / "model.safetensors").touch()
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UserError, match=f"{missing} cannot be imported .*pip install {missing}"):
        open_network(source.format(tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height": 0}, "two whole numbers above 0"),
        ({"width": 8.0}, "two whole numbers above 0"),
        ({"resize": (8,)}, "two whole numbers above 0"),
        ({"mean": (0.5,)}, "one number for grey images or three"),
        ({"mean": (0.5,) * 2, "std": (0.5,) * 2}, "one number for grey images or three"),
        ({"std": (0.5, 0.5, 0.0)}, "std above 0"),
        ({"mean": (0.5, 0.5, float("nan"))}, "must be finite"),
        ({"interpolation": "cubic"}, "interpolation is one of nearest, lanczos"),
    ],
)
def test_preprocessing_that_makes_no_sense_is_refused(change, message):
    wanted = {"height": 8, "width": 8, "mean": (0.5,) * 3, "std": (0.5,) * 3, **change}
    with pytest.raises(UserError, match=f"preprocessing: .*{message}"):
        Preprocessing(**wanted)


def test_preprocessing_survives_json():
    wanted = Preprocessing(8, 9, (0.5,) * 3, (0.25,) * 3, resize=(10, 11), stretch=True)
    assert Preprocessing(**json.loads(json.dumps(vars(wanted)))) == wanted


TIMM = {
    "input_size": (3, 224, 224),
    "interpolation": "bicubic",
    "mean": (0.5, 0.5, 0.5),
    "std": (0.5, 0.5, 0.5),
    "crop_pct": 0.9,
    "crop_mode": "center",
}


def test_configurations_of_timm_are_read():
    found = timm_preprocessing(TIMM, "timm/x")
    assert (found.height, found.resize, found.stretch) == (224, (248, 248), False)
    assert timm_preprocessing({**TIMM, "crop_mode": "squash"}, "timm/x").stretch
    with pytest.raises(UserError, match=r"timm/x: .*the rule 'border'.*--size, --mean"):
        timm_preprocessing({**TIMM, "crop_mode": "border"}, "timm/x")


HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 2}


@pytest.mark.parametrize(
    ("processor", "expected"),
    [
        ({"size": {"height": 224, "width": 200}}, (224, 200, (224, 200), True)),
        ({"size": 224}, (224, 224, (224, 224), True)),
        (
            {"size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": 224},
            (224, 224, (256, 256), False),
        ),
        (
            {
                "size": {"height": 256, "width": 256},
                "do_center_crop": True,
                "crop_size": {"height": 224, "width": 224},
            },
            (224, 224, (256, 256), True),
        ),
        ({"size": {"shortest_edge": 224}, "crop_pct": 0.875}, (224, 224, (256, 256), False)),
        ({"size": {"shortest_edge": 384}, "crop_pct": 0.875}, (384, 384, (384, 384), True)),
        (
            {"size": {"height": 9, "width": 9}, "do_center_crop": False, "crop_size": 5},
            (9, 9, (9, 9), True),
        ),
    ],
)
def test_sizes_of_hugging_face_are_read(processor, expected):
    found = hugging_face_preprocessing({**HALF, **processor}, "folder")
    assert (found.height, found.width, found.resize, found.stretch) == expected
    assert (found.mean, found.std, found.interpolation) == ((0.5,) * 3, (0.5,) * 3, "bilinear")


@pytest.mark.parametrize(
    "extra",
    [
        {"rescale_factor": 1 / 255},
        {"rescale_factor": 1 / 127.5, "rescale_offset": True},
        {"do_rescale": False},
        {"do_normalize": False},
        {"include_top": True},
    ],
)
def test_values_of_hugging_face_are_read(extra):
    size = {"height": 8, "width": 8}
    found = hugging_face_preprocessing({**HALF, "size": size, **extra}, "folder")
    pixel = 100.0
    value = pixel * (
        1.0 if extra.get("do_rescale") is False else extra.get("rescale_factor", 1 / 255)
    )
    value -= 1.0 if extra.get("rescale_offset") else 0.0
    if extra.get("do_normalize", True):
        value = (value - 0.5) / 0.5
    value /= 0.5 if extra.get("include_top") else 1.0
    assert (pixel / 255 - found.mean[0]) / found.std[0] == pytest.approx(value)


@pytest.mark.parametrize(
    ("processor", "message"),
    [
        ({"size": {"shortest_edge": 8, "longest_edge": 9}}, "size .* is not known"),
        ({"size": {"height": 8, "width": 8}, "do_resize": False}, "does not resize"),
        ({"size": 8, "image_mean": None}, "no mean or deviation"),
    ],
)
def test_processors_of_hugging_face_that_do_other_things_are_refused(processor, message):
    with pytest.raises(UserError, match=f"folder: .*{message}.*--size, --mean"):
        hugging_face_preprocessing({**HALF, **processor}, "folder")


class Processor:
    """As transformers has them, for the images of a network of 8 x 8 pixels."""

    def __init__(self, change=lambda values: values):
        self.change = change

    def __call__(self, picture, return_tensors):
        pixels = torchvision.transforms.functional.to_tensor(picture.resize((8, 8)))
        return {"pixel_values": self.change((pixels - 0.5) / 0.25)[None]}


def test_an_image_processor_that_does_more_is_refused():
    check_processor(Processor(), EIGHT, "folder")
    for change in (lambda v: v.flip(0), lambda v: v * 2, lambda v: v[:, 1:]):
        with pytest.raises(
            UserError, match="folder: Processor does more with an image than to resize"
        ):
            check_processor(Processor(change), EIGHT, "folder")


def test_timm_builds_and_loads(tmp_path):
    timm = pytest.importorskip("timm")
    network = timm.create_model("resnet10t", num_classes=5).eval()
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    opened = open_network("timm/resnet10t.c3_in1k", tmp_path / "w.safetensors", classes=5)
    images = torch.rand(1, 3, 64, 64)
    assert torch.equal(opened.module(images), network(images))
    assert opened.preprocessing.resize == (201, 201)  # 176 pixels are 87.5 % of it
    assert opened.preprocessing.interpolation == "bicubic"
    rng = torch.Generator().manual_seed(0)
    picture = Image.fromarray(torch.randint(0, 256, (99, 150, 3), generator=rng).byte().numpy())
    theirs = timm.data.create_transform(**timm.data.resolve_model_data_config(opened.module))
    ours = normalised(
        prepared_pixels(picture, opened.preprocessing)[None].copy(), opened.preprocessing
    )
    torch.testing.assert_close(ours[0], theirs(picture))
    assert open_network("timm/resnet10t").note.startswith("random weights")
    small = Preprocessing(64, 64, (0.5,) * 3, (0.5,) * 3)
    vit = open_network("timm/vit_tiny_patch16_224", preprocessing=small).module
    assert vit(images).shape == (1, 1000)
    for name in ("resnet81", "resnet10t.no_such_tag", "hf-hub:timm/resnet18"):
        with pytest.raises(UserError, match=f"timm/{name}.*(no such network|cannot be built)"):
            open_network(f"timm/{name}")


@pytest.fixture
def vit_folder(tmp_path):
    """A small classifier as save_pretrained leaves it."""
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=24,
        image_size=32,
        patch_size=16,
        id2label={0: "cat", 1: "dog", 2: "bird"},
    )
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    return tmp_path


def test_a_folder_of_hugging_face_opens(vit_folder):
    import transformers

    opened = open_network(str(vit_folder))
    assert opened.labels == ("cat", "dog", "bird")
    assert opened.preprocessing.resized(50, 40) == (32, 32)
    images = torch.rand(2, 3, 32, 32)
    own = transformers.ViTForImageClassification.from_pretrained(vit_folder).eval()
    assert torch.equal(opened.module(images), own(images).logits)


def edit(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "config.json").unlink(), "holds no config.json"),
        (lambda f: (f / "model.safetensors").unlink(), "holds no model.safetensors; write it"),
        (
            lambda f: (f / "preprocessor_config.json").unlink(),
            "no usable preprocessor_config.json.*; give",
        ),
        (lambda f: (f / "config.json").write_text("{"), "is no image classifier"),
        (lambda f: (f / "model.safetensors").write_bytes(b"{"), "is no image classifier"),
        (lambda f: edit(f / "config.json", num_hidden_layers=2), "do not fit.*missing keys"),
        (lambda f: edit(f / "config.json", model_type="bert"), "is no image classifier"),
    ],
)
def test_a_damaged_folder_of_hugging_face_is_refused(vit_folder, damage, message):
    damage(vit_folder)
    with pytest.raises(UserError, match=message):
        open_network(str(vit_folder))


def test_weights_beside_a_folder_of_hugging_face_are_refused(tmp_path):
    with pytest.raises(UserError, match="holds its own; leave them out"):
        open_network(str(tmp_path), Path("w.pth"))


def test_opening_a_factory_loads_no_library_of_networks(factories):
    code = (
        f"from neuron_pruning.any_network.sources import open_network, Preprocessing\n"
        f"open_network('{factories}:build', preprocessing=Preprocessing(8, 8, [0.5], [0.5]))\n"
        "import sys\n"
        "print({'torchvision', 'timm', 'transformers', 'PIL'} & set(sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "scripts")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip() == "set()"
