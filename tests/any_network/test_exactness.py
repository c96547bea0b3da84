"""Units that say nothing new are removed without a trace, in float64, for every consumer."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from neuron_pruning.any_network import compensation as compensation_module
from neuron_pruning.any_network import moments
from neuron_pruning.any_network.options import Method
from neuron_pruning.any_network.pruner import Session
from neuron_pruning.any_network.surgery import cut as cut_in_place
from neuron_pruning.any_network.surgery import kept_entries, mask
from neuron_pruning.pruning.selection import Removal, Selection
from tests.any_network.networks import Functional, found_in, images, pooled, pruner_of

UNITS = 8  # of the first layer; the last of them are planted
MERGING = "distinctiveness"  # a technique that every compensation goes with


def layer_before(redundancy):
    """A convolution whose last channels are redundant behind no activation."""
    torch.manual_seed(0)
    layer = nn.Conv2d(3, UNITS, 3).double()
    with torch.no_grad():
        weight, bias = layer.weight, layer.bias
        if redundancy == "clone":
            weight[5:], bias[5:] = weight[:3], bias[:3]
        elif redundancy == "scaled":
            weight[5:], bias[5:] = 2.5 * weight[:3], 2.5 * bias[:3]
        elif redundancy == "complement":
            weight[5:], bias[5:] = -weight[:3], 1.0 - bias[:3]
        elif redundancy == "combination":
            weight[5:], bias[5:] = weight[:3] - 0.5 * weight[1:4], bias[:3] - 0.5 * bias[1:4]
        elif redundancy == "constant":
            weight[5:] = 0.0
    return layer


REDUNDANCIES = ("clone", "scaled", "complement", "combination", "constant")


def several(net, x):
    return net.head(net.one(x).relu().mean((2, 3)) + net.two(x).mean((2, 3)))


CONSUMERS = {
    "linear": lambda: [*pooled(), nn.Linear(UNITS, 3)],
    "one by one": lambda: [nn.Conv2d(UNITS, 5, 1), nn.ReLU(), *pooled(), nn.Linear(5, 3)],
    "kernel": lambda: [nn.Conv2d(UNITS, 5, 3), nn.ReLU(), *pooled(), nn.Linear(5, 3)],
    "strided": lambda: [nn.Conv2d(UNITS, 5, 3, stride=2), nn.ReLU(), *pooled(), nn.Linear(5, 3)],
    "dilated": lambda: [nn.Conv2d(UNITS, 5, 2, dilation=2), nn.ReLU(), *pooled(), nn.Linear(5, 3)],
    "reflecting": lambda: [
        nn.Conv2d(UNITS, 5, 3, padding=1, padding_mode="reflect"), nn.ReLU(), *pooled(),
        nn.Linear(5, 3),
    ],
    "flattened": lambda: [nn.AvgPool2d(2), nn.Flatten(), nn.Linear(UNITS * 9, 3)],
    "several": lambda: [
        Functional(
            several, one=nn.Conv2d(UNITS, 5, 3), two=nn.Conv2d(UNITS, 5, 1), head=nn.Linear(5, 3)
        )
    ],
    "normalised": lambda: [
        nn.Conv2d(UNITS, 5, 3, bias=False), nn.BatchNorm2d(5), nn.ReLU(), *pooled(),
        nn.Linear(5, 3),
    ],
}  # fmt: skip


def network(redundancy, consumer):
    torch.manual_seed(1)
    body = CONSUMERS["kernel" if consumer == "padded" else consumer]()
    if consumer == "padded":
        body[0].padding = (1, 1)
    model = nn.Sequential(layer_before(redundancy), *body).double().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
    return model


def apart(model, smaller):
    values = images(6, seed=9)
    with torch.inference_mode():
        return float((model(values) - smaller(values)).abs().max())


def without(model, removals, compensation):
    """The network without some units of its first layer."""
    pruner, working = pruner_of(model), copy.deepcopy(model)
    session = Session(pruner, working, Method(compensation=compensation, technique=MERGING))
    session.measure(["0"])
    selection = Selection(UNITS, tuple(removals))
    errors = session.consumers.apply(pruner.found["0"], selection, compensation)
    cut_in_place(working, kept_entries([(pruner.found["0"], selection.removed)]))
    return working, errors


PLANTED = [Removal(unit, "ranked") for unit in (5, 6, 7)]


@pytest.mark.parametrize("compensation", ["lstsq", "lstsq_patches"])
@pytest.mark.parametrize("redundancy", REDUNDANCIES)
@pytest.mark.parametrize("consumer", CONSUMERS)
def test_least_squares_leaves_no_trace_of_planted_units(redundancy, consumer, compensation):
    model = network(redundancy, consumer)
    smaller, errors = without(model, PLANTED, compensation)
    assert apart(model, smaller) < 1e-10
    assert all(error.with_compensation < 1e-12 for error in errors.values())
    assert all(error.without_compensation > 1e-6 for error in errors.values())


@pytest.mark.parametrize("compensation", ["lstsq", "lstsq_patches"])
@pytest.mark.parametrize("redundancy", ["clone", "scaled", "combination"])
def test_a_padded_kernel_is_exact_where_no_constant_is_needed(redundancy, compensation):
    smaller, _ = without(network(redundancy, "padded"), PLANTED, compensation)
    assert apart(network(redundancy, "padded"), smaller) < 1e-10


def test_a_padded_kernel_is_better_with_patches_where_a_constant_is_needed():
    model = network("complement", "padded")
    errors = {}
    for name in ("none", "lstsq", "lstsq_patches"):
        errors[name] = apart(model, without(model, PLANTED, name)[0])
    assert 1e-6 < errors["lstsq_patches"] < errors["lstsq"] < errors["none"]


@pytest.mark.parametrize("limit", [72, 71])
def test_auto_looks_at_patches_where_a_kernel_sees_little(monkeypatch, limit):
    model = network("complement", "padded")  # its kernels see 8 channels at 3 x 3
    monkeypatch.setattr(compensation_module, "PATCH_VALUES", limit)
    expected = without(model, PLANTED, "lstsq_patches" if limit == 72 else "lstsq")[0]
    assert apart(expected, without(model, PLANTED, "auto")[0]) == 0.0


PAIRS = [Removal(5 + unit, "similar", unit) for unit in range(3)]
REVERSED = [Removal(5 + unit, "reverse", unit) for unit in range(3)]
CONSTANTS = [Removal(unit, "constant") for unit in (5, 6, 7)]


@pytest.mark.parametrize(
    ("redundancy", "compensation", "removals"),
    [
        ("clone", "add", PAIRS), ("clone", "affine", PAIRS), ("clone", "fold", PAIRS),
        ("scaled", "affine", PAIRS), ("complement", "affine", PAIRS),
        ("complement", "add", REVERSED), ("constant", "bias", CONSTANTS),
        ("constant", "add", CONSTANTS),
    ],
)  # fmt: skip
@pytest.mark.parametrize("consumer", CONSUMERS)
def test_merging_is_exact_on_what_it_is_made_for(redundancy, compensation, removals, consumer):
    model = network(redundancy, consumer)
    assert apart(model, without(model, removals, compensation)[0]) < 1e-10


def test_nothing_holds_a_constant_where_the_consumer_has_no_bias():
    model = network("constant", "kernel")
    model[1].bias = None
    smaller, errors = without(model, CONSTANTS, "bias")
    assert smaller[1].bias is None
    error = errors["1"]
    assert error.with_compensation == pytest.approx(error.without_compensation)


def test_folding_takes_the_mean_of_a_normalisation_place_by_place():
    model = nn.Sequential(
        layer_before("clone"), nn.Flatten(), nn.BatchNorm1d(UNITS * 36), nn.ReLU(),
        nn.Linear(UNITS * 36, 3),
    ).double().eval()  # fmt: skip
    with torch.no_grad():
        for values in (model[2].weight, model[2].bias, model[2].running_mean):
            values.copy_(torch.randn(36).repeat(UNITS))
    assert apart(model, without(model, PAIRS, "fold")[0]) < 1e-10


def test_a_depthwise_convolution_between_goes_with_the_units():
    torch.manual_seed(0)
    depthwise = nn.Conv2d(UNITS, UNITS, 3, groups=UNITS).double()
    with torch.no_grad():
        depthwise.weight[5:], depthwise.bias[5:] = depthwise.weight[:3], depthwise.bias[:3]
    model = nn.Sequential(
        layer_before("clone"), nn.BatchNorm2d(UNITS), nn.ReLU(), depthwise, nn.Conv2d(UNITS, 4, 1),
        *pooled(), nn.Linear(4, 3),
    ).double().eval()  # fmt: skip
    for compensation in ("lstsq", "fold", "add"):
        assert apart(model, without(model, PAIRS, compensation)[0]) < 1e-10


def wide(units):
    """Linear, ReLU, Linear; the last half of the units are scaled clones of the first."""
    torch.manual_seed(0)
    body = [nn.Flatten(), nn.Linear(192, units), nn.ReLU(), nn.Linear(units, 3)]
    model, half = nn.Sequential(*body).double().eval(), units // 2
    with torch.no_grad():
        for values in (model[1].weight, model[1].bias):
            values[half:] = 1.5 * values[:half]
    return model


def no_eigenvalues(matrix):
    raise AssertionError("of ten thousand units they take minutes")


def test_planted_units_of_a_wide_layer_leave_no_trace_without_eigenvalues(monkeypatch):
    monkeypatch.setattr(np.linalg, "eigh", no_eigenvalues)
    model = wide(600)
    found = pruner_of(model, [images(700)]).cut({"1": 300}, Method("l1"))
    assert set(found.removed["1"]) == set(range(300))
    assert apart(model, found.model) < 1e-10


def test_a_wide_layer_that_fewer_images_than_units_tell_apart_is_exact_on_these():
    model, few = wide(600), images(100)
    smaller = pruner_of(model, [few]).cut({"1": 200}, Method("random")).model
    with torch.inference_mode():
        assert float((model(few) - smaller(few)).abs().max()) < 1e-10


@pytest.mark.parametrize("technique", ["l1", "random"])
def test_techniques_that_need_weights_alone_make_no_rows(monkeypatch, technique):
    monkeypatch.setattr(moments, "representative_rows", None)
    pruner_of(wide(20)).cut({"1": 10}, Method(technique))


@given(
    st.integers(2, 6), st.integers(2, 6), st.sampled_from([1, 2, 3]), st.integers(1, 2),
    st.integers(0, 1), st.booleans(), st.booleans(), st.booleans(), st.integers(0, 10**6),
)  # fmt: skip
@settings(max_examples=25)
def test_what_is_cut_is_what_was_silenced(
    first, second, kernel, stride, padding, normalised, depthwise, flattened, seed
):
    torch.manual_seed(seed)
    body = [nn.Conv2d(3, first, 3), nn.BatchNorm2d(first) if normalised else nn.Identity()]
    if depthwise:
        body.append(nn.Conv2d(first, first, 3, padding=1, groups=first))
    body += [nn.ReLU(), nn.Conv2d(first, second, kernel, stride=stride, padding=padding)]
    body += [nn.Hardswish(), *([nn.Flatten()] if flattened else pooled())]
    width = nn.Sequential(*body)(torch.randn(2, 3, 8, 8)).shape[1]
    model = nn.Sequential(*body, nn.Linear(width, 3)).double().eval()
    found = found_in(model)
    assert len(found.layers) == 2
    chosen = np.random.default_rng(seed)
    kept = kept_entries(
        (layer, chosen.permutation(layer.units)[: chosen.integers(0, layer.units)])
        for layer in found.layers.values()
    )
    masked = copy.deepcopy(model)
    mask(masked, kept)
    smaller = copy.deepcopy(model)
    cut_in_place(smaller, kept)
    assert apart(masked, smaller) < 1e-12
