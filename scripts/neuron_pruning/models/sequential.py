"""A network as a plain chain of modules, for tools that hook or trace modules.

:class:`neuron_pruning.models.networks.Network` runs its convolutions as functions; such tools see
nothing of them there.
"""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from neuron_pruning.models.networks import Network


def plain_module(network: Network) -> nn.Sequential:
    """``features``, ``flatten``, ``fc1``, ``sigmoid1``, ``fc2`` ... the last fully connected layer.

    N x 3 x height x width normalised images to N x classes logits, as the network itself to
    rounding. The modules are the network's own: hooks, modes and surgery act on both.
    """
    steps = [("features", network.features), ("flatten", nn.Flatten())]
    return nn.Sequential(OrderedDict(steps + _steps(network, network.layer_names)))


def tail(network: Network, layer: str) -> nn.Sequential:
    """The same from the fully connected ``layer`` on: its N x inputs to N x classes logits.

    Raises:
        UserError: no such layer; the message lists those there are.
    """
    place = network.architecture.place_of(layer)
    return nn.Sequential(OrderedDict(_steps(network, network.layer_names[place:])))


def _steps(network: Network, names: list[str]) -> list[tuple[str, nn.Module]]:
    """Modules of the named fully connected layers by name."""
    return [
        (name if isinstance(step, nn.Linear) else f"sigmoid{name.removeprefix('fc')}", step)
        for name in names
        for step in network.steps(name)
    ]


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block; afterwards every part is in the mode it was in."""
    before = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in before:
            part.training = training


@contextmanager
def differentiable() -> Iterator[None]:
    """Gradients are recorded inside the block, whatever the caller has turned off."""
    with torch.inference_mode(False), torch.enable_grad():
        yield
