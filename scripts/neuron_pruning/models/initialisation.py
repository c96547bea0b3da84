"""Initial weights. The paper states none: every scheme here is an ``ASSUME``."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from neuron_pruning.core.errors import UserError
from neuron_pruning.core.seeds import derive_seed
from neuron_pruning.models.architectures import Architecture
from neuron_pruning.models.convolutions import blocks
from neuron_pruning.models.networks import Network

Scheme = Literal["default", "centred", "standardised"]


@dataclass(frozen=True)
class InitialisationSettings:
    """How a network starts.

    ``default`` is PyTorch's. ``centred``: He convolutions; Xavier times ``gain`` in the fully
    connected layers, with a bias of minus half the row sum where the inputs are sigmoids, so
    that pre-activations start around 0. ``standardised``: He weights, then every kernel and unit
    shifted and scaled to mean 0 and deviation 1 over training images (after Kraehenbuehl et
    al. 2016), which is what batch normalisation does at the first step; the logits get the
    deviation ``output_deviation``. It looks at ``calibration_images`` training images.

    The convolutions of a network of torchvision keep torchvision's own start, or get the
    pretrained ``weights``: the name of an entry of torchvision's enum of weights, or the path of
    a file (:func:`neuron_pruning.models.pretrained.load_weights`). The scheme is for the fully
    connected layers. ``centred`` gives every unit that reads features weights of mean 0, since
    features after a ReLU are of one sign.
    """

    scheme: Scheme = "default"
    gain: float = 4.0
    output_deviation: float = 1.0
    calibration_images: int = 64
    weights: str | None = None


def initialise_network(
    architecture: Architecture,
    settings: InitialisationSettings,
    seed: int,
    images: Tensor | None = None,
) -> Network:
    """New network whose weights depend on the settings, the experiment's seed and ``images`` alone.

    Those are normalised training images, N x 3 x height x width, for ``standardised`` only.

    Raises:
        UserError: unknown scheme, ``standardised`` without images, or weights that are not
            there or do not fit.
    """
    if settings.scheme not in get_args(Scheme):
        known = ", ".join(get_args(Scheme))
        raise UserError(f"unknown initialisation {settings.scheme!r}; known: {known}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "init"))
        network = Network(architecture)
        if settings.weights is not None:
            from neuron_pruning.models.pretrained import load_weights

            load_weights(network, settings.weights)
        if settings.scheme != "default" and architecture.backbone is None:
            for block in blocks(network.features):
                nn.init.kaiming_normal_(block.convolution.weight, nonlinearity="relu")
                assert block.convolution.bias is not None
                nn.init.zeros_(block.convolution.bias)
        if settings.scheme == "centred":
            _centre(network, settings.gain)
        elif settings.scheme == "standardised":
            if images is None:
                raise UserError("the scheme standardised needs training images")
            _standardise(network, images, settings.output_deviation)
    return network.eval()


@torch.no_grad()
def _centre(network: Network, gain: float) -> None:
    first, *_, last = network.layer_names
    for name in network.layer_names:
        layer = network.linear(name)
        nn.init.xavier_uniform_(layer.weight, gain=1.0 if name == last else gain)
        layer.bias.zero_()
        if name != first:
            layer.bias.copy_(-0.5 * layer.weight.sum(dim=1))
        elif network.architecture.backbone is not None:
            layer.weight.sub_(layer.weight.mean(dim=1, keepdim=True))


@torch.no_grad()
def _standardise(network: Network, values: Tensor, output_deviation: float) -> None:
    """Walk the layers once; ``values`` is what leaves the layer before."""
    front = network.features
    for layer in front if isinstance(front, nn.Sequential) else [front]:
        values = _standardise_layer(layer, values)
    values = values.flatten(1)
    *hidden, last = network.layer_names
    for name in hidden:
        nn.init.kaiming_normal_(network.linear(name).weight)
        values = _standardise_layer(network.linear(name), values).sigmoid()
    nn.init.kaiming_normal_(network.linear(last).weight)
    _standardise_layer(network.linear(last), values, output_deviation)


def _standardise_layer(layer: nn.Module, values: Tensor, deviation: float = 1.0) -> Tensor:
    """Give each output channel mean 0 and ``deviation`` over images and positions."""
    outputs = layer(values)
    if not isinstance(layer, nn.Conv2d | nn.Linear):
        return outputs
    axes = [axis for axis in range(outputs.ndim) if axis != 1]
    spread, means = torch.std_mean(outputs, dim=axes, correction=0, keepdim=True)
    factor = deviation / spread.clamp_min(1e-12)
    layer.weight.mul_(factor.view(-1, *[1] * (layer.weight.ndim - 1)))
    assert layer.bias is not None
    layer.bias.sub_(means.flatten()).mul_(factor.flatten())
    return outputs.sub_(means).mul_(factor)
