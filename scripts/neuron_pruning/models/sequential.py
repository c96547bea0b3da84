"""A network as a plain chain of modules, for tools that hook or trace modules.

:class:`neuron_pruning.models.networks.Network` runs its convolutions as functions; such tools see
nothing of them there.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from neuron_pruning.models.networks import Network


def plain_module(network: Network) -> nn.Sequential:
    """``features``, ``flatten``, ``fc1``, ``sigmoid1``, ``fc2`` ... the last fully connected layer.

    N x 3 x height x width normalised images to N x classes logits, as the network itself to
    rounding. The modules are the network's own: hooks, modes and surgery act on both.
    """
    front = {"features": network.features, "flatten": nn.Flatten()}
    return nn.Sequential(OrderedDict({**front, **dict(tail(network, "fc1").named_children())}))


def tail(network: Network, layer: str) -> nn.Sequential:
    """The same from the fully connected ``layer`` on: its N x inputs to N x classes logits.

    Raises:
        UserError: no such layer; the message lists those there are.
    """
    names = network.layer_names[network.architecture.place_of(layer) :]
    return dense_chain({name: network.linear(name) for name in names})


def dense_chain(layers: Mapping[str, nn.Linear]) -> nn.Sequential:
    """Fully connected layers by name, with a sigmoid after each but the last."""
    steps: OrderedDict[str, nn.Module] = OrderedDict()
    for name, layer in layers.items():
        steps |= {name: layer, f"sigmoid{name.removeprefix('fc')}": nn.Sigmoid()}
    steps.popitem()
    return nn.Sequential(steps)


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
