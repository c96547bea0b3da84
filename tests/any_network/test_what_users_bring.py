"""Networks and loaders as they are found in the wild: the same result, or one clear message."""

import json
import threading
from collections import UserDict
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from neuron_pruning import UserError, find_unit_layers, fine_tune, load_pruned, prune
from tests.any_network.networks import Functional, images, pooled

IMAGES, LABELS = images(48).float(), torch.arange(48) % 3


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.ReLU(), *pooled(),
        nn.Linear(6, 8), nn.Dropout(), nn.ReLU(), nn.Linear(8, 3),
    )  # fmt: skip


def loader(size=16):
    return [*zip(IMAGES.split(size), LABELS.split(size), strict=True)]


def pruned(model=None, calibration=None, **options):
    return prune(
        model or network(),
        loader() if calibration is None else calibration,
        **{"amount": 0.5, "random_draws": 1, **options},
    )


def removed(*arguments, **options):
    result = pruned(*arguments, **options)
    return {name.removeprefix("inside."): u for name, u in result.cut.removed.items()}


@pytest.fixture(scope="module")
def expected():
    return removed()


@dataclass
class Output:
    hidden: torch.Tensor
    logits: torch.Tensor


def returning(what):
    """A network that returns its logits in something else."""
    return Functional(lambda net, x: what(net.inside(x), x), inside=network())


def compiled():
    return torch.compile(network(), backend="eager")


def with_former_pass():
    def forward(net, values):
        net.last = net.inside[:3](values)
        net.cache = {"by device": [net.last * 2.0]}
        return net.inside[3:](net.last)

    model = Functional(forward, inside=network()).train()
    model(IMAGES[:4])
    model.inside.load_state_dict(network().state_dict())
    return model


def frozen():
    return network().requires_grad_(False)


@pytest.mark.parametrize(
    "build",
    [
        lambda: nn.DataParallel(network()), lambda: torch.optim.swa_utils.AveragedModel(network()),
        compiled, lambda: torch.fx.symbolic_trace(network()), frozen, with_former_pass,
        lambda: returning(lambda logits, x: {"loss": None, "logits": logits}),
        lambda: returning(lambda logits, x: {"hidden": x, "logits": logits}),
        lambda: returning(lambda logits, x: (logits, x)),
        lambda: returning(lambda logits, x: Output(x, logits)),
    ],
    ids=[
        "DataParallel", "averaged", "compiled", "fx", "frozen", "former pass", "mapping",
        "mapping, logits last", "tuple", "dataclass",
    ],
)  # fmt: skip
def test_however_a_network_is_wrapped_the_same_units_go(build, expected):
    assert removed(build()) == expected


def test_wrappers_are_left_behind_and_need_not_be_there_to_load(tmp_path):
    wrapped = nn.DataParallel(network())
    assert list(find_unit_layers(wrapped, IMAGES[:1]).layers) == ["0", "3", "7"]
    result = pruned(wrapped)
    assert type(result.model) is nn.Sequential
    result.save(tmp_path)
    for factory in (network, lambda: nn.DataParallel(network())):
        loaded = load_pruned(tmp_path, factory)
        assert torch.equal(loaded(IMAGES), result.model(IMAGES))


@pytest.mark.parametrize(
    "batches",
    [
        loader(1), [*loader(47)], [(IMAGES[:0], LABELS[:0]), *loader()],
        [(x, y.tolist()) for x, y in loader()], [(x, y.numpy()) for x, y in loader()],
        [{"pixel_values": x, "labels": y} for x, y in loader()],
        [UserDict(image=x, label=y) for x, y in loader()],
        [(x.double(), y) for x, y in loader()],
        DataLoader(TensorDataset(IMAGES, LABELS), 16), [x for x, _ in loader()],
    ],
    ids=[
        "single images", "a last batch of one", "an empty batch", "lists", "arrays", "mapping",
        "mapping of a kind", "double", "DataLoader", "no labels",
    ],
)  # fmt: skip
def test_however_images_come_the_same_units_go(batches, expected):
    assert removed(calibration=batches) == expected


class Stream(IterableDataset):
    def __iter__(self):
        return iter([(x, y) for xs, ys in loader() for x, y in zip(xs, ys, strict=True)])


def test_a_stream_that_begins_again_is_a_loader(expected):
    assert removed(calibration=DataLoader(Stream(), 16)) == expected


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("technique", ["l1", "taylor"])
def test_the_callers_gradient_mode_makes_no_difference(mode, technique):
    free = removed(technique=technique)
    with mode():
        assert removed(technique=technique) == free


@pytest.mark.parametrize("kind", [torch.half, torch.bfloat16])
def test_networks_of_16_bits_stay_so_and_take_any_images(kind):
    result = pruned(network().to(kind))
    assert {p.dtype for p in result.model.parameters()} == {kind}
    assert [len(units) for units in result.cut.removed.values()] == [4, 3, 4]
    own = pruned(network().to(kind), [(x.to(kind), y) for x, y in loader()])
    assert own.cut.removed == result.cut.removed


def test_one_output_is_the_logit_of_the_second_of_two_classes():
    binary = network()
    binary[-1] = nn.Linear(8, 1)
    two = network()
    two[-1] = nn.Linear(8, 2)
    with torch.no_grad():
        for parameter, own in zip(two[-1].parameters(), binary[-1].parameters(), strict=True):
            parameter[0], parameter[1] = 0.0, own[0]
    batches = [(x, y % 2) for x, y in loader()]
    one, other = (pruned(model, batches, technique="taylor") for model in (binary, two))
    assert one.answer.accuracy_before == other.answer.accuracy_before
    assert one.cut.removed == other.cut.removed
    fine_tune(one, batches, 1, distil=False)


def modified(change):
    model = network()
    change(model)
    return model


def normalised_by(function):
    return modified(lambda model: function(model[3], "weight"))


def masked():
    from torch.nn.utils import prune as masks

    return modified(lambda model: masks.l1_unstructured(model[3], "weight", 0.3))


def quantised():
    return torch.ao.quantization.quantize_dynamic(network().eval(), {nn.Linear})


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: torch.jit.script(network()), "TorchScript program.*module that it was made from"),
        (lambda: network().state_dict(), "must be a torch.nn.Module, not OrderedDict"),
        (lambda: normalised_by(nn.utils.weight_norm), "weights of 3 are computed from others"),
        (lambda: normalised_by(nn.utils.spectral_norm), "weights of 3 are computed from others"),
        (masked, "weights of 3 are computed from others.*prune.remove"),
        (quantised, "in a quantised network: prune first, and quantise the result"),
        (
            lambda: modified(lambda m: setattr(m, "lock", threading.Lock())),
            "copied.*lock",
        ),
        (lambda: modified(lambda m: m[-1].half()), "in float32: RuntimeError in '10'"),
        (lambda: nn.Sequential(*network()[:3], nn.Conv2d(8, 3, 1)), "not one row of logits per im"),
        (lambda: returning(lambda logits, x: "cat"), "returns str, and no tensor of logits in it"),
    ],
)
def test_networks_that_cannot_be_pruned_are_refused_by_one_sentence(build, message):
    with pytest.raises(UserError, match=f"(?s){message}"):
        pruned(build())


class OnlyOnce:
    def __init__(self):
        self.batches = iter(loader())

    def __iter__(self):
        return self.batches


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        (TensorDataset(IMAGES, LABELS), "TensorDataset gives them one by one: give DataLoader"),
        (IMAGES, "Tensor gives them one by one"),
        (OnlyOnce(), "none when it is gone through again: give a DataLoader"),
        ([(IMAGES, LABELS, "names")], "it yields a tuple of Tensor, Tensor, str"),
        ([(IMAGES.numpy(), LABELS)], "it yields a tuple of ndarray, Tensor"),
        ([{"x": IMAGES}], r"a dict of x \(Tensor\), where a tensor must be named one of pixel_v"),
        ([{"image": "a.png", "label": 1}], r"a dict of image \(str\), label \(int\), where a te"),
        ([(IMAGES, nn.functional.one_hot(LABELS))], r"give labels.argmax\(dim=1\)"),
        ([(IMAGES, ["cat"] * 48)], "labels of type list for 48 images"),
        ([(IMAGES[0], 1)], "single images, put the data set into a DataLoader"),
        ([(IMAGES, LABELS + 1)], "the label 3, but the network tells 3 classes apart, 0 to 2"),
        ([(IMAGES, LABELS - 1)], "the label -1, but"),
        ([(IMAGES[:, :1], LABELS)], r"shape \(1, 1, 8, 8\) in float32: RuntimeError in '0'"),
        ([(IMAGES.byte(), LABELS)], r"in uint8: RuntimeError in '0'"),
    ],
)
def test_images_and_labels_that_do_not_fit_are_refused_by_one_sentence(batches, message):
    with pytest.raises(UserError, match=message):
        pruned(calibration=batches, technique="taylor")


def test_a_frozen_network_is_trained_once_it_is_thawed():
    result = pruned(frozen())
    with pytest.raises(UserError, match=r"all parameters are frozen: call requires_grad_\(True\)"):
        fine_tune(result, loader(), 1)
    before = result.model[-1].weight.clone()
    result.model.requires_grad_(True)
    fine_tune(result, loader(), 1)
    assert not torch.equal(result.model[-1].weight, before)


def test_a_layer_of_another_kind_is_refused_and_the_rest_goes_on():
    class Adapted(nn.Linear):
        def __init__(self):
            super().__init__(6, 8)
            self.down, self.up = nn.Parameter(torch.rand(2, 6)), nn.Parameter(torch.rand(8, 2))

        def forward(self, values):
            return nn.functional.linear(values, self.weight + self.up @ self.down, self.bias)

    found = find_unit_layers(modified(lambda m: m.__setitem__(7, Adapted())), IMAGES[:1])
    assert list(found.layers) == ["0"]
    assert "does not run without some of its units" in found.refused["7"].reason


def test_amounts_of_numpy_are_written_to_the_plan(tmp_path):
    result = pruned(amount=None, layers=MappingProxyType({"0": np.int64(2), "3": np.float32(0.5)}))
    result.save(tmp_path)
    assert json.loads((tmp_path / "plan.json").read_text())["goal"]["layers"] == {"0": 2, "3": 0.5}


@pytest.mark.parametrize("wrong", [{"amount": "0.5"}, {"amount": None, "layers": ["0"]}])
def test_amounts_are_numbers(wrong):
    with pytest.raises(UserError, match=r"amount is a number|layers is a mapping of names"):
        pruned(**wrong)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file cannot be made .*: name another"):
        pruned().save(tmp_path / "file")
    pruned().save(tmp_path)
    with pytest.raises(UserError, match="give the function that builds the network"):
        load_pruned(tmp_path, network())
