"""Fully connected layers on arrays: the one forward pass in NumPy, in float32 and in float64.

Networks of the package have a sigmoid after every hidden layer and none after the last.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from numpy.typing import NDArray

from neuron_pruning.core.numerics import sigmoid


class Dense(NamedTuple):
    """Weight, units x inputs, and bias, units, of a fully connected layer.

    Kernels of a convolution have this form too, one row per unit; they are not to be applied.
    """

    weight: NDArray[Any]
    bias: NDArray[Any]


def pre_activations(layer: Dense, values: NDArray[Any]) -> NDArray[Any]:
    """Weighted sums, N x units, of the inputs ``values``, N x inputs."""
    return values @ layer.weight.T + layer.bias


def hidden_activations(layer: Dense, values: NDArray[Any]) -> NDArray[Any]:
    """Outputs, N x units, of a hidden layer that reads ``values``, N x inputs."""
    return sigmoid(pre_activations(layer, values))


def logits_from(layers: Sequence[Dense], values: NDArray[Any]) -> NDArray[Any]:
    """Logits, N x classes, of ``values``, the N x inputs that the first of ``layers`` reads."""
    *hidden, last = layers
    for layer in hidden:
        values = hidden_activations(layer, values)
    return pre_activations(last, values)
