"""Arrays have the dtypes and axes that annotations name; axes of one name have one length."""

import inspect
from collections.abc import Mapping
from dataclasses import is_dataclass, replace
from functools import cached_property
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import torch
from jaxtyping import AbstractArray, Float64, jaxtyped
from numpy.typing import NDArray

from neuron_pruning import pairwise_angles
from neuron_pruning.models.dense import Dense, hidden_activations, pre_activations
from neuron_pruning.pruning.angles import Pairs, centre, check_activations, is_flat, pairs_within
from neuron_pruning.pruning.channels import channel_importances, channel_layer
from neuron_pruning.pruning.compensations import unchanged
from neuron_pruning.pruning.groups import band, reduced_row_echelon
from neuron_pruning.pruning.redundancy import Redundancy
from neuron_pruning.pruning.selection import Removal, Selection
from neuron_pruning.pruning.surgery import prune_in_turn, pruned_logits
from neuron_pruning.pruning.techniques import REGISTRY
from neuron_pruning.pruning.techniques.closest import squared_distances
from neuron_pruning.pruning.torch_pruning_scores import unit_importances
from neuron_pruning.pruning.units import Layer, LayerActivations, UnitLayer, record

SCORES = {name: found for name, found in REGISTRY.items() if found.returns == "scores"}
PROPERTIES = [
    name
    for kind in (Layer, UnitLayer)
    for name, held in vars(kind).items()
    if isinstance(held, property | cached_property)
]


def fits(value: Any, hint: Any) -> bool:
    """Whether the arrays in a value are what a hint names, and those in the fields of records."""
    origin, options = get_origin(hint), get_args(hint)
    if origin is UnionType:
        return any(fits(value, option) for option in options)
    if hint is NoneType or (inspect.isclass(hint) and issubclass(hint, AbstractArray)):
        return isinstance(value, hint)
    if origin is tuple:
        return isinstance(value, tuple) and all(map(fits, value, options))
    if isinstance(value, Mapping) and len(options) == 2:
        return all(fits(held, options[1]) for held in value.values())
    if is_dataclass(value) or hasattr(value, "_fields"):
        fields = get_type_hints(type(value))
        return all(fits(getattr(value, name), field) for name, field in fields.items())
    return True


def checked(function, *args, **kwargs):
    """Result of a call in which all arrays, given and returned, fit their annotations together."""
    hints = function.__annotations__
    given = inspect.signature(function).bind(*args, **kwargs).arguments
    with jaxtyped("context"):
        for name, value in given.items():
            assert fits(value, hints.get(name)), f"{function.__name__}: {name}"
        result = function(*args, **kwargs)
        assert fits(result, hints["return"]), f"{function.__name__}: result"
    return result


@pytest.fixture(params=range(3))
def layer(request):
    """A hidden layer whose axes have random lengths, no two of them alike."""
    draws = np.random.default_rng(request.param)
    patterns, units, inputs, outputs, classes = draws.permutation(np.arange(3, 12))[:5].tolist()
    own, following, last = (
        Dense(draws.normal(size=(width, read)), draws.normal(size=width))
        for width, read in ((units, inputs), (outputs, units), (classes, outputs))
    )
    read = draws.normal(size=(patterns, inputs))
    labels = draws.integers(classes, size=patterns)
    recorded = LayerActivations(hidden_activations(own, read), read, labels)
    scores = {name: draws.random(units) for name in SCORES}
    return Layer("fc2", own, following, recorded, scores, downstream=(last,))


def test_the_check_refuses_other_lengths_dtypes_and_numbers_of_axes(layer):
    def turned(values: Float64[NDArray, "patterns units"]) -> Float64[NDArray, "patterns units"]:
        return values.T

    recorded, activations = layer.recorded, layer.activations
    for call in (
        lambda: checked(turned, activations),
        lambda: checked(is_flat, activations, activations[1:]),
        lambda: checked(centre, activations.astype(np.float32)),
        lambda: checked(centre, activations[0]),
        lambda: checked(Layer.gram.func, replace(layer, recorded=replace(recorded, labels=[0]))),
    ):
        with pytest.raises(AssertionError):
            call()


@pytest.mark.parametrize("name", dict.fromkeys(PROPERTIES))
def test_properties_of_a_layer(layer, name):
    found = inspect.getattr_static(layer, name)
    checked(found.fget if isinstance(found, property) else found.func, layer)


@pytest.mark.parametrize("last_hidden", [True, False])
def test_forward_and_back_through_the_downstream_layers(layer, last_hidden):
    if last_hidden:  # what follows is the output layer
        classes = len(layer.downstream[0].bias)
        following = Dense(np.ones((classes, layer.units)), np.zeros(classes))
        layer = replace(layer, outgoing=following, downstream=())
    logits = checked(Layer.logits, layer, layer.activations)
    values = pre_activations(layer.outgoing, layer.activations)
    checked(Layer.logits_of_following, layer, values)
    checked(Layer.backpropagate, layer, logits, values)
    for name in ("jacobian", "curvature", "output_curvature"):
        checked(getattr(Layer, name).func, layer)


def test_angles_groups_and_distances(layer):
    activations, vectors = layer.activations, layer.incoming.weight.T
    checked(check_activations, activations.tolist())
    checked(is_flat, checked(centre, activations, "mean"), activations)
    checked(pairwise_angles, activations)
    for pairs in pairs_within(vectors, 90.0):
        with jaxtyped("context"):
            assert fits(pairs, Pairs)
    checked(squared_distances, vectors.T)
    checked(band, activations)
    checked(reduced_row_echelon, activations)
    with jaxtyped("context"):
        assert fits(Redundancy(activations, vectors=vectors), Redundancy)


@pytest.mark.parametrize("name", SCORES)
def test_techniques_give_every_unit_a_score(layer, name):
    assert len(checked(SCORES[name].function, layer)) == layer.units


def test_logits_of_a_pruned_layer(layer):
    selection = Selection(layer.units, (Removal(0, "ranked"),))
    checked(pruned_logits, layer, selection, unchanged(layer), layer.recorded)


def test_recorded_outputs_and_importances_of_a_network(small_network):
    whole = small_network.to_checkpoint()
    widths = {"features": small_network.linear("fc1").in_features, "fc1": 12, "fc2": 10, "fc3": 3}
    draws = np.random.default_rng(0)
    outputs = {name: draws.random((9, width), np.float32) for name, width in widths.items()}
    labels = draws.integers(3, size=9)
    found = checked(record, outputs, whole.architecture, "fc2", np.arange(7), labels)
    checked(unit_importances, small_network, "fc2", found.inputs, found.labels)

    def one(layer):
        return Selection(layer.units, (Removal(0, "ranked"),))

    checked(prune_in_turn, whole, ["fc1", "fc2"], one, "none", outputs, labels)


def test_channels_are_units(small_vgg):
    images = torch.rand(4, 3, 128, 130)
    checked(channel_importances, small_vgg, "conv7", images, [0, 1, 2, 0])
    with jaxtyped("context"):
        assert fits(checked(channel_layer, small_vgg, "conv7", [images]), None)
