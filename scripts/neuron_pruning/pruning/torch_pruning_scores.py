"""Importances of the library torch-pruning, computed by its own code, to compare with.

All take a group of coupled weights, those into the units of a layer and those out of them, and
sum over both (biases left out, as is the library's default). ``magnitude``, ``fpgm`` and
``lamp`` need the weights alone; ``taylor`` and ``hessian`` the gradient of the cross-entropy too.
The library divides the scores of a group by their mean, which leaves their order as it is.

* ``magnitude``: ``sum w^2``, the squared length (p = 2 without a root).
* ``taylor``: ``sum |w dL/dw|`` with L the mean cross-entropy over the patterns (Molchanov et al.
  2019). The library takes the absolute value for each weight, and leaves batch normalisation out.
* ``hessian``: ``sum w^2 h`` with h the mean over the patterns of the squared gradient, which
  stands in for the second derivative (after LeCun, Denker & Solla 1990).
* ``fpgm``: summed distance to all other units (He et al. 2019). At its default, p = 2, the
  library measures it between the squares of the weights, not the weights.
* ``lamp``: ``magnitude`` over the sum of all that are not smaller (Lee et al. 2021). Within one
  layer the order is that of ``magnitude``, to rounding; it differs only between layers.
"""

import copy
from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch_pruning import DependencyGraph
from torch_pruning.dependency import Group
from torch_pruning.pruner import importance
from torch_pruning.pruner.function import prune_conv_out_channels, prune_linear_out_channels

from neuron_pruning.core.errors import UserError
from neuron_pruning.models.checkpoints import Checkpoint
from neuron_pruning.models.networks import Network
from neuron_pruning.models.sequential import differentiable, tail

ScoresByTechnique = dict[str, NDArray[np.float64]]

FROM_WEIGHTS: Mapping[str, Callable[[], importance.Importance]] = {
    "magnitude": importance.GroupMagnitudeImportance,
    "fpgm": importance.FPGMImportance,
    "lamp": importance.LAMPImportance,
}


@differentiable()
def unit_importances(
    network: Network | Checkpoint, layer: str, inputs: ArrayLike, labels: ArrayLike
) -> ScoresByTechnique:
    """All five importances of the units of a hidden fully connected layer.

    Args:
        network: is left as it is, its gradients included.
        layer: name of a hidden fully connected layer, for instance ``fc2``.
        inputs: what that layer reads, N training patterns x D.
        labels: their classes, N.

    Returns:
        H numbers each under ``torch_pruning_magnitude`` and so on, as the techniques are named.

    Raises:
        UserError: no such hidden layer, or inputs and classes that do not fit.
    """
    if isinstance(network, Checkpoint):
        network = Network.from_checkpoint(network)
    network.architecture.following(layer)  # the output layer has none
    # A copy: gradients go to the parameters, and frozen ones the library would pass over.
    module = copy.deepcopy(tail(network, layer)).cpu().requires_grad_(True)
    first = module[0]
    assert isinstance(first, nn.Linear)
    values, classes = _checked(first, layer, inputs, labels)
    group = coupled(module, first, values[:1])
    scores = weight_scores(group)
    functional.cross_entropy(module(values), classes).backward()
    scores |= taylor_scores(group)
    root_mean_square_gradients(module, values, classes)
    return named(scores | hessian_scores(group, module))


def _checked(
    linear: nn.Linear, layer: str, inputs: ArrayLike, labels: ArrayLike
) -> tuple[Tensor, Tensor]:
    """Inputs, N x D, and classes, N, as tensors."""
    values = torch.from_numpy(np.array(inputs, dtype=np.float32))
    classes = torch.from_numpy(np.array(labels, dtype=np.int64))
    if values.ndim != 2 or values.shape[1] != linear.in_features or not len(values):
        raise UserError(
            f"{layer} reads N patterns x {linear.in_features} values, not {tuple(values.shape)}; "
            "give its recorded inputs"
        )
    if classes.shape != values.shape[:1]:
        raise UserError(f"{len(values)} patterns need as many classes, not {tuple(classes.shape)}")
    return values, classes


def coupled(module: nn.Module, layer: nn.Linear | nn.Conv2d, example: Tensor) -> Group:
    """All outputs of ``layer`` and the weights that go with them, by torch-pruning's tracing."""
    return trace(module, example).get_pruning_group(
        layer,
        prune_conv_out_channels if isinstance(layer, nn.Conv2d) else prune_linear_out_channels,
        list(range(len(layer.weight))),
    )


def trace(module: nn.Module, example: Tensor) -> DependencyGraph:
    """What is coupled with what in a module, whose mode turns to evaluation.

    The example goes in a tuple: a bare tensor the library would unpack along its first axis.
    """
    return DependencyGraph().build_dependency(module, example_inputs=(example,))


def weight_scores(group: Group) -> dict[str, Tensor]:
    """Importances that need no data, H each."""
    return {name: build()(group) for name, build in FROM_WEIGHTS.items()}


def taylor_scores(group: Group) -> dict[str, Tensor]:
    """From the gradients of the mean loss, which the parameters hold, H."""
    return {"taylor": importance.GroupTaylorImportance()(group)}


def hessian_scores(group: Group, module: nn.Module) -> dict[str, Tensor]:
    """From the root mean squares of the patterns' gradients, which the parameters hold, H.

    ``accumulate_grad`` of torch-pruning 1.6.1 looks gradients up under a name but stores them
    under the parameter, so of many calls it keeps the last. One call with the root of the mean,
    which it squares, gives what it describes.
    """
    scorer = importance.GroupHessianImportance()
    scorer.accumulate_grad(module)
    return {"hessian": scorer(group)}


def named(scores: Mapping[str, Tensor]) -> ScoresByTechnique:
    """Scores as arrays under the names of the techniques."""
    return {
        f"torch_pruning_{name}": values.detach().cpu().double().numpy()
        for name, values in scores.items()
    }


def root_mean_square_gradients(module: nn.Sequential, inputs: Tensor, labels: Tensor) -> None:
    """Put the root of the mean squared gradient of the patterns' losses into every ``grad``.

    ``module`` is a chain of linear layers and sigmoids, in which a pattern's gradient is the
    product of two vectors: its square needs no pass for each pattern.
    """
    values, passed = inputs, list[tuple[nn.Linear, Tensor, Tensor]]()
    for step in module:
        read, values = values, step(values)
        if isinstance(step, nn.Linear):
            values.retain_grad()
            passed.append((step, read.detach(), values))
    functional.cross_entropy(values, labels, reduction="sum").backward()
    for linear, read, outputs in passed:
        assert outputs.grad is not None
        squares = outputs.grad.square()
        linear.weight.grad = (squares.T @ read.square() / len(read)).sqrt_()
        linear.bias.grad = squares.mean(dim=0).sqrt_()
