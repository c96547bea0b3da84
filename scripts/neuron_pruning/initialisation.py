"""Initial weights. The paper states none: every scheme here is an ``ASSUME``."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from neuron_pruning.networks import Architecture, Network, build_architecture
from neuron_pruning.seeds import derive_seed

Scheme = Literal["default", "centred", "standardised"]


@dataclass(frozen=True)
class InitialisationSettings:
    """How a network starts.

    ``default`` is PyTorch's. ``centred``: He convolutions; Xavier times ``gain`` in the fully
    connected layers, with a bias of minus half the row sum where the inputs are sigmoids, so
    that pre-activations start around 0. ``standardised``: He weights, then every kernel and unit
    shifted and scaled to mean 0 and deviation 1 over the training images (after Kraehenbuehl et
    al. 2016), which is what batch normalisation does at the first step; the logits get the
    deviation ``output_deviation``.
    """

    scheme: Scheme = "default"
    gain: float = 4.0
    output_deviation: float = 0.1


def initialise_network(
    architecture: Architecture,
    settings: InitialisationSettings,
    seed: int,
    images: Iterator[Tensor] | None = None,
) -> Network:
    """New network whose weights depend on the settings, the seed and ``images`` alone.

    Args:
        architecture: what to build.
        settings: the scheme.
        seed: experiment seed; the stream ``init`` is derived from it.
        images: batches of normalised training images, for ``standardised`` only.

    Raises:
        ValueError: unknown scheme, or ``standardised`` without images.
    """
    if settings.scheme not in get_args(Scheme):
        known = ", ".join(get_args(Scheme))
        raise ValueError(f"unknown initialisation {settings.scheme!r}; known: {known}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "init"))
        network = build_architecture(architecture)
        if settings.scheme == "centred":
            _centre(network, settings.gain)
        elif settings.scheme == "standardised":
            if images is None:
                raise ValueError("the scheme standardised needs training images")
            _standardise(network, list(images), settings.output_deviation)
    return network.eval()


def _he_convolutions(network: Network) -> None:
    for layer in network.features.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)


@torch.no_grad()
def _centre(network: Network, gain: float) -> None:
    _he_convolutions(network)
    first, *_, last = network.layer_names
    for name in network.layer_names:
        layer = network.linear(name)
        nn.init.xavier_uniform_(layer.weight, gain=1.0 if name == last else gain)
        layer.bias.zero_()
        if name != first:
            layer.bias.copy_(-0.5 * layer.weight.sum(dim=1))


@torch.no_grad()
def _standardise(network: Network, values: list[Tensor], output_deviation: float) -> None:
    """Walk the layers once; ``values`` are the batches as they leave the layer before."""
    _he_convolutions(network)
    for layer in network.features:
        values = _standardise_layer(layer, values, 1.0)
    values = [batch.flatten(1) for batch in values]
    *hidden, last = network.layer_names
    for name in hidden:
        nn.init.kaiming_normal_(network.linear(name).weight)
        values = [v.sigmoid() for v in _standardise_layer(network.linear(name), values, 1.0)]
    nn.init.kaiming_normal_(network.linear(last).weight)
    _standardise_layer(network.linear(last), values, output_deviation)


def _standardise_layer(layer: nn.Module, values: list[Tensor], deviation: float) -> list[Tensor]:
    """Give each output channel mean 0 and ``deviation`` over images and positions."""
    outputs = [layer(batch) for batch in values]
    if not isinstance(layer, nn.Conv2d | nn.Linear):
        return outputs
    means, deviations = _moments(outputs)
    factor = deviation / deviations.clamp_min(1e-12)
    shape = (-1, *[1] * (layer.weight.ndim - 1))
    layer.weight.mul_(factor.view(shape))
    assert layer.bias is not None
    layer.bias.sub_(means).mul_(factor)
    shape = (1, -1, *[1] * (outputs[0].ndim - 2))
    return [(out - means.view(shape)) * factor.view(shape) for out in outputs]


def _moments(outputs: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel over all batches and positions."""
    axes = [axis for axis in range(outputs[0].ndim) if axis != 1]
    count = sum(out.numel() // out.shape[1] for out in outputs)
    means = torch.stack([out.double().sum(axes) for out in outputs]).sum(0) / count
    shape = (1, -1, *[1] * (outputs[0].ndim - 2))
    squares = [((out - means.float().view(shape)) ** 2).double().sum(axes) for out in outputs]
    return means.float(), (torch.stack(squares).sum(0) / count).sqrt().float()
