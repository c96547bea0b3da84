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
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
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

ScoresByTechnique = dict[str, Float64[NDArray, " units"]]
Gradients = Sequence[Tensor]  # one for each parameter of a module, in their order

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
        inputs: what that layer reads, training patterns x inputs.
        labels: their classes.

    Returns:
        Importances under ``torch_pruning_magnitude`` and so on, as the techniques are named.

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
    return importances(module, first, values[:1], _gradients(module, values, classes))


def _checked(
    linear: nn.Linear, layer: str, inputs: ArrayLike, labels: ArrayLike
) -> tuple[Float[Tensor, "patterns inputs"], Int[Tensor, " patterns"]]:
    """Inputs and classes as tensors."""
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


def _gradients(
    module: nn.Sequential,
    inputs: Float[Tensor, "patterns inputs"],
    labels: Int[Tensor, " patterns"],
) -> tuple[Gradients, Gradients]:
    """Gradients of the mean loss, and the root mean squares of those of the patterns' losses.

    ``module`` is a chain of linear layers and sigmoids, in which a pattern's gradient is the
    product of two vectors: its square needs no pass for each pattern.
    """
    mean_loss = functional.cross_entropy(module(inputs), labels)
    means = torch.autograd.grad(mean_loss, list(module.parameters()))
    values, read, made = inputs, list[Tensor](), list[Tensor]()
    for step in module:
        if isinstance(step, nn.Linear):
            read.append(values.detach())
        values = step(values)
        if isinstance(step, nn.Linear):
            made.append(values)
    losses = functional.cross_entropy(values, labels, reduction="sum")
    roots: list[Tensor] = []
    for layer_inputs, gradient in zip(read, torch.autograd.grad(losses, made), strict=True):
        squares = gradient.square()
        weight = squares.T @ layer_inputs.square() / len(inputs)
        roots += [weight.sqrt_(), squares.mean(dim=0).sqrt_()]
    return means, roots


def image_gradients(
    module: nn.Module,
    images: Float[Tensor, "patterns channels height width"],
    classes: Int[Tensor, " patterns"],
) -> tuple[Gradients, Gradients]:
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


def importances(
    module: nn.Module,
    layer: nn.Linear | nn.Conv2d,
    example: Tensor,
    gradients: tuple[Gradients, Gradients] | None = None,
) -> ScoresByTechnique:
    """Importances of all outputs of a layer of ``module``, by the names of the techniques.

    ``example`` is one input to trace with; ``gradients`` are those of the mean loss, and root mean
    squares over patterns. They replace what the parameters have.
    """
    group = coupled(module, layer, example, range(len(layer.weight)))
    scores = {name: build()(group) for name, build in FROM_WEIGHTS.items()}
    if gradients is not None:
        means, roots = gradients
        _set_gradients(module, means)
        scores["taylor"] = importance.GroupTaylorImportance()(group)
        # ``accumulate_grad`` of torch-pruning 1.6.1 looks gradients up under a name but stores them
        # under the parameter, so of many calls it keeps the last. One call with the root of the
        # mean, which it squares, gives what it describes.
        _set_gradients(module, roots)
        hessian = importance.GroupHessianImportance()
        hessian.accumulate_grad(module)
        scores["hessian"] = hessian(group)
    return {
        f"torch_pruning_{name}": values.detach().cpu().double().numpy()
        for name, values in scores.items()
    }


def _set_gradients(module: nn.Module, gradients: Gradients) -> None:
    for parameter, gradient in zip(module.parameters(), gradients, strict=True):
        parameter.grad = gradient


def coupled(
    module: nn.Module, layer: nn.Linear | nn.Conv2d, example: Tensor, outputs: Sequence[int]
) -> Group:
    """Outputs of ``layer`` and the weights that go with them, by torch-pruning's tracing.

    The module's mode turns to evaluation. The example goes in a tuple: a bare tensor the library
    would unpack along its first axis.
    """
    graph = DependencyGraph().build_dependency(module, example_inputs=(example,))
    convolution = isinstance(layer, nn.Conv2d)
    cut = prune_conv_out_channels if convolution else prune_linear_out_channels
    return graph.get_pruning_group(layer, cut, list(outputs))
