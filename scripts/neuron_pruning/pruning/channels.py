"""Pruning of whole channels of a convolution, ``conv1`` ... ``convK``.

A channel is a unit: its activation vector runs over patterns and positions of what the next layer
reads, after normalisation, pooling and ReLU. Torch-pruning's dependency graph
finds which weights are coupled, and so cut together.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from neuron_pruning.core.errors import UserError
from neuron_pruning.core.numerics import autocast, precision_context
from neuron_pruning.core.seeds import derive_seed
from neuron_pruning.models.architectures import Architecture
from neuron_pruning.models.convolutions import blocks, run_block
from neuron_pruning.models.dense import Dense
from neuron_pruning.models.networks import Network
from neuron_pruning.models.sequential import differentiable, evaluating, plain_module
from neuron_pruning.pruning.angles import check_activations
from neuron_pruning.pruning.compensations import find_compensation, refusal_of_channels
from neuron_pruning.pruning.row_sample import SAMPLE_ROWS, RowSample
from neuron_pruning.pruning.selection import Selection
from neuron_pruning.pruning.torch_pruning_scores import (
    ScoresByTechnique,
    coupled,
    image_gradients,
    importances,
)
from neuron_pruning.pruning.units import UnitActivations, UnitLayer


def channel_names(architecture: Architecture) -> list[str]:
    """Names of the convolutions, input side first."""
    return [f"conv{number}" for number in range(1, len(architecture.channels) + 1)]


def place_of(architecture: Architecture, name: str) -> int:
    """Index of a convolution; a UserError that lists those there are, if there is no such one."""
    known = channel_names(architecture)
    if name not in known:
        raise UserError(f"{architecture.name} has no convolution {name!r}; it has {known}")
    return known.index(name)


def channel_layer(
    network: Network,
    name: str,
    batches: Iterable[Float[Tensor, "_ 3 height width"]],
    precomputed_scores: Mapping[str, Float64[NDArray, " units"]] | None = None,
    seed: int = 0,
    rows: int = SAMPLE_ROWS,
) -> UnitLayer:
    """Channels of a convolution, such as ``conv2``, as the units of a layer.

    The layer's patterns are pairs (pattern, position), its inputs (input channel, position of a
    kernel), its outputs (output channel, position of a kernel) or, before ``fc1``, (unit,
    position). Such patterns have no labels, so techniques that need the loss are refused. A
    position of a kernel has no bias of its own: outgoing biases are 0.

    Args:
        network: runs in evaluation mode, where its parameters are.
        name: of the convolution.
        batches: normalised images of the training patterns.
        precomputed_scores: by technique; see :func:`channel_importances`.
        seed: of the sample, and of techniques that draw.
        rows: so many are kept at most, drawn at random without repeats; the sample does not depend
            on the size of the batches.

    Raises:
        UserError: no such convolution, fewer than two channels, or values that are no numbers.
    """
    place = place_of(network.architecture, name)
    generator = np.random.default_rng(derive_seed(seed, f"rows of {name}"))
    sample = _sample(_positions(network, place, batches), rows, generator)
    recorded = UnitActivations(check_activations(sample))
    convolution = _convolutions(network)[place]
    assert convolution.bias is not None
    kernels = _array(convolution.weight).reshape(len(convolution.weight), -1)
    weights = np.moveaxis(_array(_outgoing(network, place)), 1, -1).reshape(-1, len(kernels))
    incoming = Dense(kernels, _array(convolution.bias))
    outgoing = Dense(weights, np.zeros(len(weights)))
    return UnitLayer(name, incoming, outgoing, recorded, precomputed_scores or {}, seed)


def _array(values: Float[Tensor, "*shape"]) -> Float64[NDArray, "*shape"]:
    return values.detach().cpu().double().numpy()


@torch.inference_mode()
def _positions(
    network: Network, place: int, batches: Iterable[Float[Tensor, "_ 3 height width"]]
) -> Iterator[Float32[NDArray, "_ units"]]:
    """What a convolution gives to the next layer at every position, a batch at a time."""
    device = next(network.parameters()).device
    with evaluating(network):
        for images in batches:
            values = images.to(device)
            with precision_context("float32"), autocast("float32", device):
                for block in islice(blocks(network.features), place + 1):
                    values = run_block(block, values)
            rows = values.float().permute(0, 2, 3, 1).reshape(-1, values.shape[1])
            yield rows.cpu().numpy()


def _sample(
    pieces: Iterable[Float32[NDArray, "_ units"]], count: int, generator: np.random.Generator
) -> Float32[NDArray, "rows units"]:
    """All rows of the pieces or, where there are more, ``count`` of them, in their order."""
    sample = RowSample(count, generator)
    for piece in pieces:
        sample.add(piece)
    if sample.rows is None:
        raise UserError("activations of channels need images: give one batch at least")
    return sample.rows


def _convolutions(network: Network) -> list[nn.Conv2d]:
    return [block.convolution for block in blocks(network.features)]


def _outgoing(network: Network, place: int) -> Float[Tensor, "outputs units *positions"]:
    """Weights of the next layer, sharing its memory."""
    own, *following = _convolutions(network)[place:]
    if following:
        return following[0].weight
    return network.linear("fc1").weight.unflatten(1, (len(own.weight), -1))


@differentiable()  # the graph is traced through autograd
def prune_channels(
    network: Network, name: str, selection: Selection, compensation: str = "none"
) -> Network:
    """Smaller copy of ``network``, on the CPU in evaluation mode, without the selected channels.

    The compensation is ``none``, or ``add``: the next layer's kernels over a similar channel are
    added to those over its merge target. ASSUME: under ``add`` a channel that is constant,
    complementary or one of a group is removed without compensation, as its constant would need a
    bias.

    Raises:
        UserError: no such convolution, a selection of another size, a compensation that channels
            cannot have, or one that the selection has no merge targets for.
    """
    place = place_of(network.architecture, name)
    channels = list(network.architecture.channels)
    if selection.units != channels[place]:
        raise UserError(f"{name} has {channels[place]} channels, not {selection.units}")
    find_compensation(compensation)
    reason = refusal_of_channels(compensation)
    if reason is not None:
        raise UserError(f"channels of {name} cannot be pruned with {reason}; take none or add")
    smaller = copy.deepcopy(network).cpu().requires_grad_(True)  # frozen ones would be passed over
    if compensation == "add":
        _merge(_outgoing(smaller, place), selection)
    if selection.removals:
        convolution, blank = _convolutions(smaller)[place], _blank(smaller)
        coupled(plain_module(smaller), convolution, blank, selection.removed).prune()
    channels[place] = len(selection.kept)
    smaller.architecture = replace(network.architecture, channels=tuple(channels))
    return Network.from_checkpoint(smaller.to_checkpoint())


@torch.no_grad()
def _merge(outgoing: Float[Tensor, "outputs units *positions"], selection: Selection) -> None:
    """Add outgoing weights of removed channels to their merge targets', one after the other."""
    for removal in selection.removals:
        if removal.rule == "similar" and removal.merge_target is not None:
            outgoing[:, removal.merge_target] += outgoing[:, removal.unit]
        elif removal.rule in ("similar", "ranked"):
            raise UserError(
                f"channel {removal.unit} is removed without merge target, so nothing can be "
                "merged: take the compensation none"
            )


def _blank(network: Network) -> Float[Tensor, "1 3 height width"]:
    """One image of the network's size, to trace with."""
    return torch.zeros(1, 3, *network.architecture.input_size)


@differentiable()
def channel_importances(
    network: Network,
    name: str,
    images: Float[Tensor, "patterns 3 height width"] | None = None,
    labels: ArrayLike | None = None,
) -> ScoresByTechnique:
    """As :func:`neuron_pruning.pruning.torch_pruning_scores.unit_importances`, of channels.

    Args:
        network: is left as it is, its gradients included.
        name: of a convolution, for instance ``conv2``.
        images: a few normalised training images; each costs a pass forward and back. None: only
            what needs no data, ``magnitude``, ``fpgm`` and ``lamp``.
        labels: their classes.

    Raises:
        UserError: no such convolution, or images without classes.
    """
    place = place_of(network.architecture, name)
    whole = copy.deepcopy(network).cpu().eval().requires_grad_(True)
    module, gradients = plain_module(whole), None
    if images is not None:
        classes = torch.from_numpy(np.array([] if labels is None else labels, dtype=np.int64))
        if classes.shape != images.shape[:1] or not len(images):
            raise UserError("importances from gradients need images and a class for each of them")
        gradients = image_gradients(module, images.cpu(), classes)
    return importances(module, _convolutions(whole)[place], _blank(whole), gradients)
