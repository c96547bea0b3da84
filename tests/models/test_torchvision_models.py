import urllib.error
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file

from neuron_pruning import (
    Removal,
    Selection,
    UserError,
    build_network,
    load_network,
    prune_layer,
    save_network,
)
from neuron_pruning.models.architectures import (
    count_multiply_adds,
    count_parameters,
    describe,
    layer_sizes,
    memory_mb,
    with_classes,
)
from neuron_pruning.models.backbone_sizes import BACKBONES
from neuron_pruning.models.backbones import (
    Backbone,
    build_backbone,
    measure_backbone,
)
from neuron_pruning.models.checkpoints import check_values, load_checkpoint
from neuron_pruning.models.convolutions import blocks
from neuron_pruning.models.initialisation import InitialisationSettings, initialise_network
from neuron_pruning.models.local_contrast import LocalContrast
from neuron_pruning.models.networks import Network
from neuron_pruning.models.pretrained import _check_kinds
from neuron_pruning.models.sequential import plain_module

SMALL = "torchvision/shufflenet_v2_x0_5"
ARCHITECTURE = describe(SMALL, (64, 48), [10, 3])


def images_of(count=4, size=(64, 48)):
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(0)) * 2 - 1


def start(architecture=ARCHITECTURE, seed=0, images=None, **settings):
    return initialise_network(architecture, InitialisationSettings(**settings), seed, images)


def test_every_classifier_of_torchvision_is_known():
    names = torchvision.models.list_models(module=torchvision.models)
    assert sorted(names) == list(BACKBONES)


# What is taken away, and by what name, differs from family to family.
@pytest.mark.parametrize(
    "name",
    ["alexnet", "convnext_tiny", "densenet121", "googlenet", "resnet18", "squeezenet1_1", "swin_t"],
)
def test_listed_sizes_are_those_of_torchvision(name):
    assert measure_backbone(name) == BACKBONES[name]


@pytest.mark.parametrize("name", ["resnet18", "googlenet", "squeezenet1_1"])
def test_a_network_is_the_backbone_and_our_layers(name):
    network = build_network(f"torchvision/{name}", (64, 64), [10, 3]).eval()
    images = images_of(2, (64, 64))
    outputs = network.activations(images)
    features = network.linear("fc1").in_features
    assert [tuple(v.shape) for v in outputs.values()] == [(2, features), (2, 10), (2, 3)]
    expected = torch.sigmoid(network.linear("fc1")(network.features(images)))
    torch.testing.assert_close(outputs["fc1"], expected)
    torch.testing.assert_close(plain_module(network)(images), outputs["fc2"])
    there = sum(parameter.numel() for parameter in network.parameters())
    assert count_parameters(network.architecture) == there


def test_the_backbone_computes_what_torchvision_scores_classes_with():
    torch.manual_seed(0)
    whole = torchvision.models.resnet18().eval()
    backbone = build_backbone("resnet18", (64, 64)).eval()
    backbone.body.load_state_dict(whole.state_dict(), strict=False)
    images = images_of(2, (64, 64))
    torch.testing.assert_close(whole.fc(backbone(images)), whole(images))


def test_a_stored_network_computes_the_same_with_its_counters(tmp_path):
    network = start()
    network.train()(images_of())
    path = tmp_path / "network.safetensors"
    save_network(network.eval(), path, {"seed": 0})
    stored = load_network(path)
    assert torch.equal(stored(images_of()), network(images_of()))
    counter = "features.body.conv1.1.num_batches_tracked"
    assert stored.state_dict()[counter] == 1
    checkpoint = load_checkpoint(path, since="fc2")
    assert checkpoint.architecture == ARCHITECTURE
    assert checkpoint.linear("fc2")[0].shape == (3, 10)


def test_a_network_may_normalise_contrast_first(tmp_path):
    architecture = describe(SMALL, (64, 48), [10, 3], normalisation="contrast")
    network, plain = start(architecture), start()
    expected = plain.features(LocalContrast((64, 48))(images_of()))
    torch.testing.assert_close(network.features(images_of()), expected)
    save_network(network, tmp_path / "network.safetensors", {})
    stored = load_network(tmp_path / "network.safetensors")
    assert stored.architecture.normalisation == "contrast"
    assert torch.equal(stored(images_of()), network(images_of()))
    with torch.autocast("cpu", torch.bfloat16):
        rough = network.features.contrast(images_of())
    assert torch.equal(rough, LocalContrast((64, 48))(images_of()))


def test_regnets_load_too(tmp_path):
    """They compute their widths with tensors, which have no numbers while a network loads."""
    network = build_network("torchvision/regnet_y_400mf", (64, 64), [4, 3]).eval()
    save_network(network, tmp_path / "network.safetensors", {})
    images = images_of(2, (64, 64))
    assert torch.equal(load_network(tmp_path / "network.safetensors")(images), network(images))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "torchvision/resnet81"}, r"unknown model.*did you mean torchvision/resnet18"),
        ({"name": "resnet18"}, r"unknown model 'resnet18'; did you mean torchvision/resnet18"),
        (
            {"name": "torchvision/qqq"},
            r"'torchvision/qqq'; known: alexnet, vgg, vgg8, torch",
        ),
        ({"name": SMALL, "channels": [8, 8]}, "has its own convolutions; leave out"),
        ({"name": SMALL, "widths": []}, "hidden and an output"),
        ({"name": SMALL, "widths": [4, 3], "input_size": (0, 9)}, "0 x 9.*too small"),
        (
            {"name": "torchvision/alexnet", "widths": [4, 3], "input_size": (20, 30)},
            r"does not take images of 20 x 30 \(height x width\).*larger input_size",
        ),
        (
            {"name": "torchvision/resnet18", "widths": [4, 3], "input_size": (32, 32)},
            "32 x 32.*more than 1 value per channel",
        ),
        (
            {"name": "torchvision/vit_b_32", "widths": [4, 3], "input_size": (96, 96)},
            r"96 x 96.*Expected 224 but got 96.*224 x 224",
        ),
    ],
)
def test_impossible_networks(arguments, message):
    with pytest.raises(UserError, match=message):
        build_network(**arguments)


def test_its_convolutions_cannot_be_cut():
    network = build_network(SMALL, (64, 48), [4, 3])
    with pytest.raises(UserError, match="cannot be cut"):
        next(blocks(network.features))


def test_its_units_are_pruned_as_those_of_the_paper(tmp_path):
    network = start(seed=3)
    with torch.no_grad():
        network.linear("fc1").weight[7] = network.linear("fc1").weight[2]
        network.linear("fc1").bias[7] = network.linear("fc1").bias[2]
    pruned = prune_layer(network, "fc1", Selection(10, (Removal(7, "similar", 2, 0.0),)))
    assert pruned.architecture.widths == (9, 3)
    save_network(pruned, tmp_path / "pruned.safetensors", {})
    stored = load_network(tmp_path / "pruned.safetensors")
    with torch.no_grad():
        torch.testing.assert_close(stored(images_of()), network(images_of()))


def test_sizes_need_no_torchvision():
    architecture = with_classes({"name": "torchvision/resnet18", "widths": [100]}, 7)
    sizes = {layer.name: (layer.inputs, layer.outputs) for layer in layer_sizes(architecture)}
    assert sizes == {"fc1": (512, 100), "fc2": (100, 7)}
    assert architecture.channels == () and architecture.normalisation == "none"
    batch = describe("torchvision/resnet18", (112, 112), [100, 7], normalisation="batch")
    assert batch.normalisation == "none"  # its own
    half = describe("torchvision/resnet18", (112, 112), [100, 7])
    whole = describe("torchvision/resnet18", (224, 224), [100, 7])
    head = 512 * 100 + 100 * 7
    assert count_multiply_adds(whole) == BACKBONES["resnet18"].multiply_adds + head
    assert count_multiply_adds(half) - head == pytest.approx(
        (count_multiply_adds(whole) - head) / 4
    )
    assert memory_mb(whole, 64, 4) > memory_mb(half, 64, 4) > memory_mb(half, 8, 4)


@pytest.mark.parametrize("scheme", ["default", "centred", "standardised"])
def test_schemes_are_for_our_layers_and_leave_torchvisions(scheme):
    plain, other = start(), start(scheme=scheme, images=images_of(8))
    for one, same in zip(plain.features.parameters(), other.features.parameters(), strict=True):
        assert torch.equal(one, same)
    different = not torch.equal(plain.linear("fc1").weight, other.linear("fc1").weight)
    assert different == (scheme != "default")


def test_centred_units_ignore_what_all_features_have_in_common():
    fc1 = start(scheme="centred").linear("fc1")
    level = fc1(torch.full((1, fc1.in_features), 3.0))
    assert start().linear("fc1")(torch.full((1, fc1.in_features), 3.0)).abs().max() > 0.1
    torch.testing.assert_close(level, torch.zeros_like(level), atol=1e-3, rtol=0)


def test_standardised_units_read_features():
    images = images_of(16)
    network = start(scheme="standardised", images=images)
    before = torch.logit(network.train().activations(images)["fc1"])
    torch.testing.assert_close(before.mean(0), torch.zeros(10), atol=1e-3, rtol=0)


def whole_network(seed=5):
    torch.manual_seed(seed)
    return torchvision.models.shufflenet_v2_x0_5().eval()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_of_a_file_see_images_in_their_own_range(tmp_path, suffix):
    whole, path = whole_network(), tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(whole.state_dict(), path)
    network = start(weights=str(path))
    images = images_of()
    theirs = torchvision.transforms.functional.normalize(
        (images + 1) / 2, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    )
    whole.fc = torch.nn.Identity()
    torch.testing.assert_close(network.features(images), whole(theirs), atol=1e-4, rtol=1e-4)
    assert torch.equal(network.linear("fc1").weight, start().linear("fc1").weight)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty cache of torchvision's, and no way to the net; gives the folder of files."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def unreachable(*arguments, **options):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(torch.hub, "urlopen", unreachable)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def cache(folder: Path, whole):
    url = torchvision.models.get_model_weights("shufflenet_v2_x0_5").DEFAULT.url
    torch.save(whole.state_dict(), folder / Path(url).name)


@pytest.mark.parametrize("entry", ["DEFAULT", "IMAGENET1K_V1"])
def test_weights_come_from_torchvisions_cache(hub, entry):
    cache(hub, whole := whole_network())
    body = start(weights=entry).features.body
    assert torch.equal(body.conv1[0].weight, whole.conv1[0].weight)
    assert torch.equal(body.conv5[1].running_var, whole.conv5[1].running_var)


def test_without_a_way_to_download(hub):
    with pytest.raises(UserError, match=r"no route to host.*download https.*checkpoints/shuf"):
        start(weights="DEFAULT")


def test_networks_that_were_trained_with_our_range_keep_it(tmp_path):
    torch.manual_seed(0)
    whole = torchvision.models.googlenet(init_weights=False)
    torch.save({"model": whole.state_dict()}, tmp_path / "googlenet.pth")
    architecture = describe("torchvision/googlenet", (64, 64), [4, 3])
    features = start(architecture, weights=str(tmp_path / "googlenet.pth")).features
    assert isinstance(features, Backbone)
    assert features.scale.eq(1).all() and features.shift.eq(0).all()
    assert torch.equal(features.body.conv1.conv.weight, whole.conv1.conv.weight)


def test_weights_that_are_not_there(tmp_path):
    with pytest.raises(UserError, match=r"no weights 'BEST'; known: IMAGENET1K_V1, DEFAULT, or"):
        start(weights="BEST")
    with pytest.raises(UserError, match=r"nothing.pth does not exist"):
        start(weights=str(tmp_path / "nothing.pth"))
    with pytest.raises(UserError, match=r"nothing.safetensors does not exist"):
        start(weights=str(tmp_path / "nothing.safetensors"))
    with pytest.raises(UserError, match=r"none for vgg; write null"):
        start(describe("vgg", (128, 128), [4, 3]), weights="DEFAULT")


@pytest.mark.parametrize(
    "content",
    [b"no weights", {"conv1.weight": 3.0}, [1, 2], Path("a pickle that runs code")],
    ids=["text", "numbers", "list", "pickle"],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_files_that_hold_no_weights(tmp_path, content, suffix):
    path = tmp_path / f"weights{suffix}"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(UserError, match=r"cannot be read as weights|holds no tensors by name"):
        start(weights=str(path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("conv5.0.weight"), "conv5.0.weight is absent, should be"),
        (lambda t: t.update(extra=torch.ones(2)), r"extra is \[2\], should be absent"),
        (lambda t: t.update({"conv1.1.bias": torch.ones(5)}), r"conv1.1.bias is \[5\], should"),
    ],
    ids=["missing", "superfluous", "other shape"],
)
def test_weights_of_another_network(tmp_path, change, message):
    tensors = dict(whole_network().state_dict())
    change(tensors)
    torch.save(tensors, tmp_path / "weights.pth")
    with pytest.raises(UserError, match=f"does not fit {SMALL}: {message}"):
        start(weights=str(tmp_path / "weights.pth"))


def test_old_files_do_not_count_batches(tmp_path):
    tensors = whole_network().state_dict()
    old = {k: v for k, v in tensors.items() if not k.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "weights.pth")
    conv5 = start(weights=str(tmp_path / "weights.pth")).features.body.conv5
    np.testing.assert_array_equal(conv5[0].weight.detach(), tensors["conv5.0.weight"])


def changed_weights(change):
    tensors = whole_network().state_dict()
    tensors["conv1.0.weight"] = change(tensors["conv1.0.weight"])
    return tensors


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_other_precision_become_float32(tmp_path, kind):
    tensors = changed_weights(lambda weight: weight.to(kind))
    torch.save(tensors, tmp_path / "w.pth")
    found = start(weights=str(tmp_path / "w.pth")).features.body.conv1[0].weight
    assert found.dtype == torch.float32 and torch.equal(found, tensors["conv1.0.weight"].float())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda weight: weight.long(), "conv1.0.weight is torch.int64"),
        (lambda weight: weight.to(torch.float8_e4m3fn), "conv1.0.weight is torch.float8_e4m3fn"),
        (lambda weight: weight.to(torch.complex64), "conv1.0.weight is torch.complex64"),
        (lambda weight: weight.to_sparse(), "conv1.0.weight is .*sparse_coo"),
        (lambda weight: weight * torch.nan, "conv1.0.weight holds NaN or infinity"),
        (lambda weight: weight.double() + 1e300, "conv1.0.weight holds NaN or infinity"),
    ],
    ids=["int64", "float8", "complex", "sparse", "NaN", "too large for float32"],
)
def test_weights_that_are_no_use(tmp_path, change, reason):
    torch.save(changed_weights(change), tmp_path / "w.pth")
    with pytest.raises(UserError, match=rf"w.pth cannot be (used|read as weights) \(.*{reason}"):
        start(weights=str(tmp_path / "w.pth"))


def test_weights_that_unpack_to_more_than_the_file_are_not_read(tmp_path):
    """torch.save compresses nothing, torch.load unpacks whatever it gets."""
    torch.save({"a": torch.zeros(2_000_000)}, tmp_path / "plain.pth")
    with (
        zipfile.ZipFile(tmp_path / "plain.pth") as plain,
        zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for name in plain.namelist():
            bomb.writestr(name, plain.read(name))
    with pytest.raises(UserError, match=r"bomb.pth cannot be read as weights \(it unpacks to 8,00"):
        start(weights=str(tmp_path / "bomb.pth"))


@pytest.mark.parametrize("name", ["swin_t", "maxvit_t", "resnet18"])
def test_networks_with_indices_and_counters_pass(name):
    network = Network(describe(f"torchvision/{name}", (224, 224), [2, 2]))
    check_values(network.to_checkpoint().tensors)
    _check_kinds(network.features.body.state_dict())
