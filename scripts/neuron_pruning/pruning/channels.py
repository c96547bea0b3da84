"""Pruning of whole channels of a convolution, ``conv1`` ... ``convK``.

A channel is a unit: its activation vector runs over patterns and positions of what the next layer
reads, after normalisation, pooling and ReLU. Which weights are coupled, and so cut together, says
torch-pruning's dependency graph.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import NoReturn

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch_pruning.pruner.function import prune_conv_out_channels

from neuron_pruning.core.errors import UserError
from neuron_pruning.core.numerics import precision_context
from neuron_pruning.core.seeds import derive_seed
from neuron_pruning.models.architectures import Architecture
from neuron_pruning.models.convolutions import blocks, run_block
from neuron_pruning.models.networks import Network
from neuron_pruning.models.sequential import differentiable, evaluating, plain_module
from neuron_pruning.pruning.angles import check_activations
from neuron_pruning.pruning.compensations import find_compensation
from neuron_pruning.pruning.selection import Selection
from neuron_pruning.pruning.torch_pruning_scores import (
    Scores,
    coupled,
    hessian_scores,
    named,
    taylor_scores,
    trace,
    weight_scores,
)
from neuron_pruning.pruning.units import Dense, Layer, Matrix, Recorded, Vector

# ASSUME: rows (pattern, position) that stand for all where there are more; the first convolution
# of a 576 x 720 image has thousands of positions for each of hundreds of patterns.
SAMPLE_ROWS = 20_000

_BIAS = "it gives the next layer a bias, which does not pass through that layer's padded border"
_INCOMING = "it changes the channels' own kernels, whose normalisation would no longer fit"
REFUSED = {
    "bias": _BIAS,
    "affine": _BIAS,
    "lstsq": _BIAS,
    "scaled": "it takes 0.5 for the middle of what a unit says, and a ReLU has none",
    "ridge": "it fits outgoing weights on activations, which this surgery does not look at",
    "fold": _INCOMING,
    "add_incoming": _INCOMING,
    "fitted": "no technique fits kernels",
}


def _refuse(name: str) -> NoReturn:
    raise UserError(
        f"this technique looks at the loss, or at single patterns, and works on fully connected "
        f"layers only, not on the channels of {name}; take one that looks at activations or "
        "weights, for instance distinctiveness, l1 or random"
    )


@dataclass(frozen=True)
class Kernels(Dense):
    """Kernels as a matrix: for scores of weights, not to be applied.

    A position of a kernel has no bias of its own: where there are rows for each, biases are 0.
    """

    name: str = ""

    def __call__(self, values: Matrix) -> Matrix:
        """Refused.

        Raises:
            UserError: always.
        """
        _refuse(self.name)


@dataclass(frozen=True)
class ChannelLayer(Layer):
    """Channels of a convolution as the units of a layer.

    ``activations`` are rows (pattern, position) x C; ``into.weight`` is C x (inputs * k * k),
    ``out.weight`` (outputs * k * k) x C, or (units * positions) x C before ``fc1``. Patterns,
    classes and answers cannot be told from such rows: what needs them is refused.
    """

    @property
    def inputs(self) -> Matrix:
        """Refused, as a convolution reads patches."""
        _refuse(self.name)

    @property
    def truth(self) -> NDArray[np.int64]:
        """Refused, as a row is a position of a pattern."""
        _refuse(self.name)

    def answers(self, values: Matrix) -> Matrix:
        """Refused, and with it the logits, the loss and all gradients."""
        _refuse(self.name)

    def logits(self, activations: Matrix) -> Matrix:
        """Refused."""
        _refuse(self.name)

    def pull_back(self, gradient: Matrix, values: Matrix | None = None) -> Matrix:
        """Refused."""
        _refuse(self.name)


def channel_names(architecture: Architecture) -> list[str]:
    """Names of the convolutions, input side first."""
    return [f"conv{number}" for number in range(1, len(architecture.channels) + 1)]


def place_of(architecture: Architecture, name: str) -> int:
    """Index of a convolution.

    Raises:
        UserError: there is none of that name; the message lists those there are.
    """
    known = channel_names(architecture)
    if name not in known:
        raise UserError(f"{architecture.name} has no convolution {name!r}; it has {known}")
    return known.index(name)


def channel_layer(
    network: Network,
    name: str,
    batches: Iterable[Tensor],
    measured: Mapping[str, Vector] | None = None,
    seed: int = 0,
    rows: int = SAMPLE_ROWS,
) -> ChannelLayer:
    """Channels of a convolution as techniques of the registry look at them.

    Args:
        network: runs in evaluation mode, where its parameters are.
        name: of a convolution, for instance ``conv2``.
        batches: normalised images of the training patterns, B x 3 x height x width each; what
            :meth:`neuron_pruning.data.images.ImageReader.read` gives.
        measured: scores gathered elsewhere, C each; see :func:`channel_importances`.
        seed: of the sample, and of techniques that draw.
        rows: the activations keep all rows where there are no more, else so many, drawn at random
            without repeats; the sample does not depend on the size of the batches.

    Raises:
        UserError: no such convolution, fewer than two channels, or values that are no numbers.
    """
    place = place_of(network.architecture, name)
    generator = np.random.default_rng(derive_seed(seed, f"rows of {name}"))
    sample = _sample(_positions(network, place, batches), rows, generator)
    nobody = np.zeros((len(sample), 0))
    recorded = Recorded(nobody, check_activations(sample), np.zeros(0, dtype=np.int64))
    convolution = _convolution(network, place)
    assert convolution.bias is not None
    into = _array(convolution.weight).reshape(len(convolution.weight), -1)
    out = np.moveaxis(_array(_outgoing(network, place)), 1, -1).reshape(-1, len(into))
    return ChannelLayer(
        name,
        Kernels(into, _array(convolution.bias), name),
        Kernels(out, np.zeros(len(out)), name),
        recorded=recorded,
        measured=measured or {},
        seed=seed,
    )


def _array(values: Tensor) -> Matrix:
    return values.detach().cpu().double().numpy()


@torch.inference_mode()
def _positions(
    network: Network, place: int, batches: Iterable[Tensor]
) -> Iterator[NDArray[np.float32]]:
    """What a convolution gives to the next layer, (B * positions) x C, a batch at a time."""
    device = next(network.parameters()).device
    with evaluating(network):
        for images in batches:
            values = images.to(device)
            with precision_context("float32", device):
                for block in islice(blocks(network.features), place + 1):
                    values = run_block(block, values)
            rows = values.float().permute(0, 2, 3, 1).reshape(-1, values.shape[1])
            yield rows.cpu().numpy()


def _sample(
    pieces: Iterable[NDArray[np.float32]], count: int, generator: np.random.Generator
) -> NDArray[np.float32]:
    """All rows of the pieces or, where there are more, ``count`` of them, in their order.

    Every row draws a number, and the rows with the smallest stay: a uniform sample of a stream
    whose length nobody knows.
    """
    kept, keys = None, np.empty(0)
    for piece in pieces:
        fresh = generator.random(len(piece))
        if len(keys) >= count:  # nearly all rows of a long stream: not worth a copy
            chosen = fresh < keys.max()
            piece, fresh = piece[chosen], fresh[chosen]
        kept = piece if kept is None else np.concatenate([kept, piece])
        keys = np.concatenate([keys, fresh])
        if len(keys) > count:
            smallest = np.sort(np.argpartition(keys, count - 1)[:count])
            kept, keys = kept[smallest], keys[smallest]
    if kept is None:
        raise UserError("activations of channels need images: give one batch at least")
    return kept


def _convolution(network: Network, place: int) -> nn.Conv2d:
    return list(blocks(network.features))[place].convolution


def _outgoing(network: Network, place: int) -> Tensor:
    """Weights of the next layer, outputs x C x positions of a kernel, sharing its memory."""
    convolutions = [block.convolution for block in blocks(network.features)]
    if place + 1 < len(convolutions):
        return convolutions[place + 1].weight
    return network.linear("fc1").weight.unflatten(1, (len(convolutions[place].weight), -1))


@differentiable()  # the graph is traced through autograd
def prune_channels(
    network: Network, name: str, selection: Selection, compensation: str = "none"
) -> Network:
    """Smaller copy of ``network``, on the CPU in evaluation mode, without the selected channels.

    Args:
        network: the unpruned network; left as it is.
        name: of a convolution, for instance ``conv2``.
        selection: which channels go, and in whose favour.
        compensation: ``none``, or ``add``: the next layer's kernels over a similar channel are
            added to those over its survivor. ASSUME: under ``add`` a channel that is constant,
            complementary or one of a group goes without return, as its constant would need a bias.

    Raises:
        UserError: no such convolution, a selection of another size, a compensation that channels
            cannot have, or one that the selection brings no survivors for.
    """
    place = place_of(network.architecture, name)
    _check(network, name, place, selection, compensation)
    smaller = copy.deepcopy(network).cpu().requires_grad_(True)  # frozen ones would be passed over
    if compensation == "add":
        _merge(_outgoing(smaller, place), selection)
    _cut(smaller, place, selection)
    channels = list(network.architecture.channels)
    channels[place] = len(selection.kept)
    smaller.architecture = replace(network.architecture, channels=tuple(channels))
    return Network.from_checkpoint(smaller.to_checkpoint())


def _check(
    network: Network, name: str, place: int, selection: Selection, compensation: str
) -> None:
    """Refuse what cannot be done; see :func:`prune_channels`."""
    channels = network.architecture.channels[place]
    if selection.units != channels:
        raise UserError(f"{name} has {channels} channels, not {selection.units}")
    find_compensation(compensation)
    if compensation not in ("none", "add"):
        reason = REFUSED.get(compensation, "it is made for fully connected layers")
        raise UserError(
            f"channels of {name} cannot be pruned with {compensation}: {reason}; take none or add"
        )


@torch.no_grad()
def _merge(outgoing: Tensor, selection: Selection) -> None:
    """Add what reads a removed channel to what reads its survivor, one removal after the other."""
    for removal in selection.removals:
        if removal.rule == "ranked" or (removal.rule == "similar" and removal.partner is None):
            raise UserError(
                f"channel {removal.unit} goes in nobody's favour, so nothing can be merged: "
                "take the compensation none"
            )
        if removal.rule == "similar":
            outgoing[:, removal.partner] += outgoing[:, removal.unit]


def _cut(network: Network, place: int, selection: Selection) -> None:
    """Remove channels and all that is coupled with them, in place."""
    if not selection.removals:
        return
    graph = trace(plain_module(network), _blank(network))
    convolution = _convolution(network, place)
    group = graph.get_pruning_group(convolution, prune_conv_out_channels, list(selection.removed))
    group.prune()


def _blank(network: Network) -> Tensor:
    """One image of the network's size, to trace with."""
    return torch.zeros(1, 3, *network.architecture.input_size)


@differentiable()
def channel_importances(
    network: Network, name: str, images: Tensor | None = None, truth: ArrayLike | None = None
) -> Scores:
    """Importances of torch-pruning for the channels of a convolution; see ``peers.py``.

    Args:
        network: is left as it is, its gradients included.
        name: of a convolution, for instance ``conv2``.
        images: a few normalised training images, N x 3 x height x width; each costs a pass forward
            and back. None: only what needs no data, ``magnitude``, ``fpgm`` and ``lamp``.
        truth: their classes, N.

    Returns:
        C numbers each under ``torch_pruning_magnitude`` and so on.

    Raises:
        UserError: no such convolution, or images without classes.
    """
    place = place_of(network.architecture, name)
    whole = copy.deepcopy(network).cpu().requires_grad_(True)
    module = plain_module(whole)
    group = coupled(module, _convolution(whole, place), _blank(whole))
    scores = weight_scores(group)
    if images is None:
        return named(scores)
    classes = torch.from_numpy(np.array([] if truth is None else truth, dtype=np.int64))
    if classes.shape != images.shape[:1] or not len(images):
        raise UserError("importances from gradients need images and a class for each of them")
    means, roots = _gradients(module, images.cpu(), classes)
    _set_gradients(module, means)
    scores |= taylor_scores(group)
    _set_gradients(module, roots)
    return named(scores | hessian_scores(group, module))


def _gradients(
    module: nn.Module, images: Tensor, classes: Tensor
) -> tuple[list[Tensor], list[Tensor]]:
    """Mean and root mean square over images of the gradients of their losses, by parameter."""
    parameters = list(module.parameters())
    sums, squares = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
    for image, label in zip(images.split(1), classes.split(1), strict=True):
        loss = functional.cross_entropy(module(image), label)
        for number, gradient in enumerate(torch.autograd.grad(loss, parameters)):
            sums[number] += gradient
            squares[number].addcmul_(gradient, gradient)
    means = [total.div_(len(images)) for total in sums]
    return means, [total.div_(len(images)).sqrt_() for total in squares]


def _set_gradients(module: nn.Module, gradients: list[Tensor]) -> None:
    for parameter, gradient in zip(module.parameters(), gradients, strict=True):
        parameter.grad = gradient
