"""One layer as pruning sees it: the weights around its units, their activations, and the loss.

Everything is NumPy in float64; no torch. :class:`UnitLayer` is what fully connected layers and
convolutions have in common; :class:`Layer` adds what the loss of a fully connected network needs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Literal, Protocol, TypeVar, get_args

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64
from numpy.typing import ArrayLike, NDArray

from neuron_pruning.core.errors import UserError
from neuron_pruning.core.numerics import sigmoid
from neuron_pruning.models.architectures import Architecture
from neuron_pruning.models.checkpoints import Checkpoint
from neuron_pruning.models.dense import Dense, hidden_activations, logits_from, pre_activations
from neuron_pruning.pruning.angles import ValueRange, check_activations, range_of
from neuron_pruning.statistics.metrics import cross_entropy, softmax

# What a technique may need of a layer; a layer that offers one offers those before it too.
# weights: incoming and outgoing, as matrices. statistics: number, sums and Gram matrix of the
# activations. activations: rows of them. gates: what a gate on each unit does to the loss of each
# image. loss: labels, logits and derivatives in a chain of fully connected layers.
Need = Literal["weights", "statistics", "activations", "gates", "loss"]
NEEDS: tuple[Need, ...] = get_args(Need)
CONVOLUTIONS_OFFER: Need = "activations"  # a row is a position of a pattern and has no label


def unmet_need(asking: str, needed: Need, offered: Need, layer: str) -> str | None:
    """Why a layer that offers so much lacks what a technique needs, and what to do; or None."""
    if NEEDS.index(needed) <= NEEDS.index(offered):
        return None
    remedy = (
        "give its activations"
        if offered == "weights"
        else f"take a technique that needs no more than the {offered}, for instance "
        "distinctiveness, l1 or random"
    )
    return f"{asking} needs the {needed}, which {layer} does not offer here; {remedy}"


@dataclass(frozen=True)
class UnitActivations:
    """What the units of a layer output.

    ``value_range`` is theirs where the rows only stand for them, with the same mean and products.
    """

    activations: Float64[NDArray, "patterns units"]
    value_range: ValueRange | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class LayerActivations(UnitActivations):
    """What a fully connected layer outputs for patterns, what it reads, and their labels."""

    inputs: Float[NDArray, "patterns inputs"]
    labels: Int64[NDArray, " patterns"]


class Gates(Protocol):
    """What a gate on each unit, open at 1, does to the loss of each image, the cross-entropy."""

    @property
    def gradient(self) -> Float64[NDArray, "patterns units"]:
        """Derivative of the loss by the gate."""

    @property
    def curvature(self) -> Float64[NDArray, "patterns units"]:
        """Second derivative, by Gauss and Newton."""

    @property
    def error_gradient(self) -> Float64[NDArray, "patterns units"]:
        """Derivative of the linear error ``2 (1 - p_y)``."""

    @property
    def ablation(self) -> Float64[NDArray, " units"]:
        """Mean loss with the gate shut minus that with it open."""


Recorded = TypeVar("Recorded", bound=UnitActivations)


def _given(recorded: Recorded | None, layer: str) -> Recorded:
    """What was recorded of a layer; a UserError if nothing was."""
    if recorded is None:
        raise UserError(unmet_need("this", "activations", "weights", layer))
    return recorded


@dataclass(frozen=True)
class UnitLayer:
    """Units of a layer with their weights and, if recorded, their activations.

    ``incoming`` are the layer's own weights, units x inputs, ``outgoing`` those of the following
    layer, outputs x units. ``precomputed_scores`` holds scores by technique that other stages
    computed. ``takes_constant`` is whether least squares may add a constant to what the following
    layer computes; no padded convolution does so exactly. ``measured_gates`` are there where the
    loss of the network was looked at.
    """

    name: str
    incoming: Dense
    outgoing: Dense
    recorded: UnitActivations | None = None
    precomputed_scores: Mapping[str, Float64[NDArray, " units"]] = field(default_factory=dict)
    seed: int = 0
    takes_constant: bool = field(default=True, kw_only=True)
    measured_gates: Gates | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        found = self.units if self.recorded is None else self.recorded.activations.shape[1]
        if found != self.units:
            raise UserError(f"{self.name} has {self.units} units, not {found}")

    @property
    def offers(self) -> Need:
        """The most that a technique may need of this layer."""
        if self.recorded is None:
            return "weights"
        if self.measured_gates is not None:
            return "gates"
        return "activations" if self.recorded.value_range is None else "statistics"

    @property
    def gates(self) -> Gates:
        """Effect of gates on the loss; a UserError if it was not measured."""
        if self.measured_gates is None:
            raise UserError(unmet_need("this", "gates", self.offers, self.name))
        return self.measured_gates

    @property
    def units(self) -> int:
        """How many there are."""
        return len(self.incoming.bias)

    @property
    def activations(self) -> Float64[NDArray, "patterns units"]:
        """A; a UserError if the layer was described without activations."""
        return _given(self.recorded, self.name).activations

    @property
    def value_range(self) -> ValueRange:
        """Smallest and largest activation."""
        given = _given(self.recorded, self.name).value_range
        return range_of(self.activations) if given is None else given

    @cached_property
    def gram(self) -> Float64[NDArray, "units units"]:
        """A^T A."""
        return self.activations.T @ self.activations

    @cached_property
    def triangle(self) -> Float64[NDArray, "rows units+1"]:
        """R of the QR decomposition of ``[A, 1]``: all that least squares on A needs."""
        with_constant = np.column_stack([self.activations, np.ones(len(self.activations))])
        return np.asarray(np.linalg.qr(with_constant, mode="r"))


@dataclass(frozen=True)
class Layer(UnitLayer):
    """A hidden fully connected layer: its units, and what the loss needs.

    ``downstream`` are the fully connected layers after the following one.
    """

    recorded: LayerActivations | None = None
    downstream: tuple[Dense, ...] = ()

    @property
    def offers(self) -> Need:
        """The most that a technique may need of this layer."""
        return "weights" if self.recorded is None else "loss"

    @property
    def gates(self) -> Gates:
        """Effect of gates on the loss, from the activations."""
        return ChainGates(self)

    @property
    def inputs(self) -> Float64[NDArray, "patterns inputs"]:
        """What the layer reads."""
        return np.asarray(_given(self.recorded, self.name).inputs, dtype=np.float64)

    @property
    def labels(self) -> Int64[NDArray, " patterns"]:
        """Labels of the patterns."""
        return _given(self.recorded, self.name).labels

    def logits(
        self, activations: Float64[NDArray, "patterns units"]
    ) -> Float64[NDArray, "patterns classes"]:
        """Logits of the network if the layer's activations were these."""
        return logits_from((self.outgoing, *self.downstream), activations)

    def logits_of_following(
        self, values: Float64[NDArray, "patterns outputs"]
    ) -> Float64[NDArray, "patterns classes"]:
        """Logits for pre-activations of the following layer."""
        return logits_from(self.downstream, sigmoid(values)) if self.downstream else values

    @cached_property
    def unpruned_logits(self) -> Float64[NDArray, "patterns classes"]:
        """Logits of the unpruned network."""
        return self.logits(self.activations)

    @cached_property
    def jacobian(self) -> Float64[NDArray, "patterns classes outputs"]:
        """D logits / d pre-activations of the following layer."""
        patterns, classes = self.unpruned_logits.shape
        rows = (np.broadcast_to(row, (patterns, classes)) for row in np.eye(classes))
        return np.stack([self.backpropagate(row) for row in rows], axis=1)

    def backpropagate(
        self,
        gradient: Float64[NDArray, "patterns classes"],
        values: Float64[NDArray, "patterns outputs"] | None = None,
    ) -> Float64[NDArray, "patterns outputs"]:
        """A gradient at the logits as one at the following layer.

        ``values`` are that layer's pre-activations; None: those of the unpruned network.
        """
        if not self.downstream:
            return gradient
        values = pre_activations(self.outgoing, self.activations) if values is None else values
        inputs = accumulate(
            self.downstream[:-1],
            lambda read, layer: hidden_activations(layer, read),
            initial=sigmoid(values),
        )
        slopes = [read * (1.0 - read) for read in inputs]
        for layer, slope in zip(reversed(self.downstream), reversed(slopes), strict=True):
            gradient = (gradient @ layer.weight) * slope
        return gradient

    @cached_property
    def gradient(self) -> Float64[NDArray, "patterns units"]:
        """G = dL/dA: of each pattern's cross-entropy."""
        one_hot = np.eye(self.unpruned_logits.shape[1])[self.labels]
        delta = self.backpropagate(softmax(self.unpruned_logits) - one_hot)
        return delta @ self.outgoing.weight

    @cached_property
    def curvature(self) -> Float64[NDArray, "patterns units"]:
        """Second derivative of each pattern's loss by a gate on each unit's output over a^2.

        ``w_j^T (diag p - p p^T) w_j``; ASSUME: through downstream layers by Gauss and Newton, as
        LeCun, Denker & Solla do it: the second derivatives of their sigmoids are left out.
        """
        if not self.downstream:
            return self._spread(self.outgoing.weight[None])
        return self._spread(self.jacobian @ self.outgoing.weight)

    @cached_property
    def output_curvature(self) -> Float64[NDArray, "patterns outputs"]:
        """The same by the pre-activations of the following layer."""
        return self._spread(self.jacobian)

    def _spread(
        self, directions: Float64[NDArray, "#patterns classes columns"]
    ) -> Float64[NDArray, "patterns columns"]:
        """``u^T (diag p - p p^T) u`` of directions u, for each pattern."""
        probabilities = softmax(self.unpruned_logits)[:, :, None]
        mean = (probabilities * directions).sum(axis=1)
        return (probabilities * directions**2).sum(axis=1) - mean**2

    @cached_property
    def loss(self) -> float:
        """Mean cross-entropy of the unpruned network."""
        return cross_entropy(self.unpruned_logits, self.labels)


@dataclass(frozen=True)
class ChainGates:
    """Gates on the units of a fully connected layer; see :class:`Gates`."""

    layer: Layer

    @property
    def gradient(self) -> Float64[NDArray, "patterns units"]:
        """``g a``."""
        return self.layer.gradient * self.layer.activations

    @property
    def curvature(self) -> Float64[NDArray, "patterns units"]:
        """``a^2`` times the curvature by the unit's output."""
        return self.layer.activations**2 * self.layer.curvature

    @property
    def error_gradient(self) -> Float64[NDArray, "patterns units"]:
        """Of ``2 (1 - p_y)``."""
        layer = self.layer
        probabilities = softmax(layer.unpruned_logits)
        one_hot = np.eye(probabilities.shape[1])[layer.labels]
        right = probabilities[np.arange(len(probabilities)), layer.labels][:, None]
        delta = layer.backpropagate(-2.0 * right * (one_hot - probabilities))
        return delta @ layer.outgoing.weight * layer.activations

    @property
    def ablation(self) -> Float64[NDArray, " units"]:
        """Exactly, one unit after the other."""
        layer = self.layer
        values = pre_activations(layer.outgoing, layer.activations)
        losses = [
            cross_entropy(layer.logits_of_following(values - np.outer(unit, column)), layer.labels)
            for unit, column in zip(layer.activations.T, layer.outgoing.weight.T, strict=True)
        ]
        return np.array(losses) - layer.loss


def describe_layer(
    checkpoint: Checkpoint,
    layer: str,
    recorded: LayerActivations | None = None,
    precomputed_scores: Mapping[str, Float64[NDArray, " units"]] | None = None,
    seed: int = 0,
) -> Layer:
    """A hidden fully connected layer of a stored network, such as ``fc3``.

    Of the network are read this layer and those after it.

    Args:
        checkpoint: the network.
        layer: name of the layer.
        recorded: its outputs over the training images, for techniques that look at them.
        precomputed_scores: scores of its units by the technique that computed them.
        seed: of techniques that draw.

    Raises:
        UserError: no such hidden layer, or activations of another number of units.
    """
    checkpoint.architecture.following(layer)  # refuses the output layer
    names = checkpoint.architecture.layer_names
    own, outgoing, *downstream = (
        Dense(*(array.astype(np.float64) for array in checkpoint.linear(name)))
        for name in names[names.index(layer) :]
    )
    return Layer(layer, own, outgoing, recorded, precomputed_scores or {}, seed, tuple(downstream))


def record(
    outputs: Mapping[str, Float32[NDArray, "images _"]],
    architecture: Architecture,
    layer: str,
    rows: Int64[NDArray, " patterns"],
    labels: ArrayLike,
) -> LayerActivations:
    """What ``layer`` reads and outputs for some rows of stored outputs; ``labels`` of all rows."""
    return LayerActivations(
        check_activations(outputs[layer][rows]),
        outputs[architecture.input_name(layer)][rows],
        np.asarray(labels)[rows],
    )
