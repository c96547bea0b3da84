"""One hidden layer as pruning sees it: weights in and out, and what its units said.

Everything is NumPy in float64; no torch. N patterns, D inputs, H units, O units behind.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuron_pruning.core.errors import UserError
from neuron_pruning.core.numerics import sigmoid
from neuron_pruning.models.architectures import Architecture
from neuron_pruning.models.checkpoints import Checkpoint
from neuron_pruning.pruning.angles import check_activations
from neuron_pruning.statistics.metrics import cross_entropy, softmax

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Dense:
    """Weight, units x inputs, and bias of a fully connected layer."""

    weight: Matrix
    bias: Vector

    def __call__(self, values: Matrix) -> Matrix:
        """Pre-activations, N x units."""
        return values @ self.weight.T + self.bias


@dataclass(frozen=True)
class Recorded:
    """What a layer read and said for N patterns, and their classes."""

    inputs: NDArray[np.floating]  # N x D
    activations: Matrix  # N x H
    truth: NDArray[np.int64]  # N


@dataclass(frozen=True)
class Layer:
    """A hidden layer with what it said over the training patterns.

    ``into`` are its own weights (H x D), ``out`` those of the following layer (O x H), ``behind``
    the layers after that. ``measured`` holds scores by technique that were gathered elsewhere,
    H each.
    """

    name: str
    into: Dense
    out: Dense
    behind: tuple[Dense, ...] = ()
    recorded: Recorded | None = None
    measured: Mapping[str, Vector] = field(default_factory=dict)
    seed: int = 0

    @property
    def units(self) -> int:
        """H."""
        return len(self.into.bias)

    @property
    def activations(self) -> Matrix:
        """A, N x H.

        Raises:
            UserError: the layer was described without activations.
        """
        return self._training().activations

    @property
    def inputs(self) -> Matrix:
        """What the layer reads, N x D."""
        return np.asarray(self._training().inputs, dtype=np.float64)

    @property
    def truth(self) -> NDArray[np.int64]:
        """Classes of the patterns, N."""
        return self._training().truth

    def _training(self) -> Recorded:
        if self.recorded is None:
            raise UserError(f"this looks at what {self.name} says: give its activations")
        return self.recorded

    def logits(self, activations: Matrix) -> Matrix:
        """Logits, N x classes, if the layer said ``activations``, N x H."""
        return self.answers(self.out(activations))

    def answers(self, values: Matrix) -> Matrix:
        """Logits for the pre-activations ``values``, N x O, of the following layer."""
        for dense in self.behind:
            values = dense(sigmoid(values))
        return values

    @cached_property
    def own_logits(self) -> Matrix:
        """Logits of the unpruned network, N x classes."""
        return self.logits(self.activations)

    @cached_property
    def jacobian(self) -> Matrix:
        """D logits / d pre-activations of the following layer, N x classes x O."""
        patterns, classes = self.own_logits.shape
        one_hot = np.eye(classes)
        rows = [np.broadcast_to(one_hot[c], (patterns, classes)) for c in range(classes)]
        return np.stack([self.pull_back(row) for row in rows], axis=1)

    @cached_property
    def delta(self) -> Matrix:
        """dL/dZ, N x O: gradient of each pattern's cross-entropy at the following layer."""
        one_hot = np.eye(self.own_logits.shape[1])[self.truth]
        return self.pull_back(softmax(self.own_logits) - one_hot)

    def pull_back(self, gradient: Matrix, values: Matrix | None = None) -> Matrix:
        """A gradient at the logits, N x classes, as one at the following layer, N x O.

        ``values`` are that layer's pre-activations; None: as the unpruned network has them.
        """
        values = self.out(self.activations) if values is None else values
        slopes = []
        for dense in self.behind:
            said = sigmoid(values)
            slopes.append(said * (1.0 - said))
            values = dense(said)
        for dense, slope in zip(reversed(self.behind), reversed(slopes), strict=True):
            gradient = (gradient @ dense.weight) * slope
        return gradient

    @cached_property
    def gradient(self) -> Matrix:
        """G = dL/dA, N x H."""
        return self.delta @ self.out.weight

    @cached_property
    def curvature(self) -> Matrix:
        """Second derivative of each pattern's loss by a gate on each unit's output over a^2, N x H.

        ``w_j^T (diag p - p p^T) w_j``; ASSUME: for layers further back by Gauss and Newton, as
        LeCun, Denker & Solla do it: the second derivatives of the sigmoids behind are left out.
        """
        if not self.behind:
            return self._spread(self.out.weight[None])
        return self._spread(self.jacobian @ self.out.weight)

    @cached_property
    def output_curvature(self) -> Matrix:
        """The same by the pre-activations of the following layer, N x O."""
        return self._spread(self.jacobian)

    def _spread(self, directions: Matrix) -> Matrix:
        """``u^T (diag p - p p^T) u`` of directions, N x classes x anything, a pattern at a time."""
        chances = softmax(self.own_logits)[:, :, None]
        mean = (chances * directions).sum(axis=1)
        return (chances * directions**2).sum(axis=1) - mean**2

    @cached_property
    def gram(self) -> Matrix:
        """A^T A, H x H."""
        return self.activations.T @ self.activations

    @cached_property
    def triangle(self) -> Matrix:
        """R of the QR decomposition of ``[A, 1]``: all that least squares on A need."""
        known = np.column_stack([self.activations, np.ones(len(self.activations))])
        return np.asarray(np.linalg.qr(known, mode="r"))

    @cached_property
    def loss(self) -> float:
        """Mean cross-entropy of the unpruned network."""
        return cross_entropy(self.own_logits, self.truth)


def describe_layer(
    checkpoint: Checkpoint,
    layer: str,
    recorded: Recorded | None = None,
    measured: Mapping[str, Vector] | None = None,
    seed: int = 0,
) -> Layer:
    """A hidden layer of a stored network.

    Args:
        checkpoint: the network; of it are read this layer and those after it.
        layer: name of a hidden fully connected layer, for instance ``fc3``.
        recorded: what the layer reads and outputs for N patterns, and their labels.
        measured: scores by technique that other stages computed, H each.
        seed: of techniques that draw.

    Raises:
        UserError: no such hidden layer, or activations of another number of units.
    """
    following = checkpoint.architecture.following(layer)
    names = checkpoint.architecture.layer_names
    dense = {name: _dense(checkpoint, name) for name in names[names.index(layer) :]}
    units = len(dense[layer].bias)
    if recorded is not None and recorded.activations.shape[1] != units:
        raise UserError(f"{layer} has {units} units, not {recorded.activations.shape[1]}")
    behind = tuple(dense[name] for name in names[names.index(following) + 1 :])
    return Layer(layer, dense[layer], dense[following], behind, recorded, measured or {}, seed)


def _dense(checkpoint: Checkpoint, name: str) -> Dense:
    weight, bias = checkpoint.linear(name)
    return Dense(weight.astype(np.float64), bias.astype(np.float64))


def record(
    outputs: Mapping[str, NDArray[np.float32]],
    architecture: Architecture,
    layer: str,
    rows: NDArray[np.int64],
    truth: ArrayLike,
) -> Recorded:
    """What ``layer`` read and said for some rows of stored outputs; ``truth`` of all rows.

    Raises:
        UserError: activations that are NaN or infinite, or fewer than two units.
    """
    return Recorded(
        outputs[architecture.input_name(layer)][rows],
        check_activations(outputs[layer][rows]),
        np.asarray(truth)[rows],
    )
