"""Physical removal of units: smaller tensors, never masks."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuron_pruning.core.numerics import sigmoid
from neuron_pruning.models.architectures import FEATURES
from neuron_pruning.models.checkpoints import Checkpoint
from neuron_pruning.pruning.angles import check_activations
from neuron_pruning.pruning.compensations import Weights, compensate
from neuron_pruning.pruning.selection import Selection
from neuron_pruning.pruning.units import (
    Layer,
    Matrix,
    Recorded,
    describe_layer,
)

if TYPE_CHECKING:  # work on arrays needs no torch
    from neuron_pruning.models.networks import Network


def prune_layer(
    network: "Network",
    layer: str,
    selection: Selection,
    compensation: str = "add",
    activations: ArrayLike | None = None,
) -> "Network":
    """Smaller copy of ``network`` without the selected units of a hidden layer.

    Args:
        network: the unpruned network; left as it is.
        layer: name of a hidden fully connected layer, for instance ``fc3``.
        selection: which units go, and in whose favour.
        compensation: a name of ``COMPENSATIONS``; ``add`` is Gedeon & Harris's: a similar unit's
            outgoing weights go to its survivor.
        activations: N patterns x H units; needed wherever something is fitted.

    Raises:
        UserError: no such hidden layer, or a selection of another layer size.
    """
    whole = copy.deepcopy(network.to_checkpoint())  # nothing shared: both may go on to learn
    recorded = None
    if activations is not None:
        matrix = check_activations(activations)
        nobody = np.zeros((len(matrix), 0))
        recorded = Recorded(nobody, matrix, np.zeros(len(matrix), dtype=np.int64))
    view = describe_layer(whole, layer, recorded)
    return network.from_checkpoint(prune_checkpoint(whole, view, selection, compensation))


def prune_checkpoint(
    checkpoint: Checkpoint, layer: Layer, selection: Selection, compensation: str = "add"
) -> Checkpoint:
    """As :func:`prune_layer`, on a network as arrays; what stays is shared with the original."""
    return cut(checkpoint, layer.name, selection, compensate(layer, selection, compensation))


def cut(checkpoint: Checkpoint, layer: str, selection: Selection, weights: Weights) -> Checkpoint:
    """Without the rows of ``layer`` and the columns of the following one that go."""
    following = checkpoint.architecture.following(layer)
    kept, architecture = list(selection.kept), checkpoint.architecture
    own_weight, own_bias = checkpoint.linear(layer)
    kind = own_weight.dtype
    if weights.changed_into:
        own_weight, own_bias = weights.into.astype(kind), weights.into_bias.astype(kind)
    changed = {
        f"classifier.{layer}.weight": own_weight[kept],
        f"classifier.{layer}.bias": own_bias[kept],
        f"classifier.{following}.weight": weights.out[:, kept].astype(kind),
        f"classifier.{following}.bias": weights.out_bias.astype(kind),
    }
    widths = list(architecture.widths)
    widths[architecture.place_of(layer)] = len(kept)
    smaller = replace(architecture, widths=tuple(widths))
    return Checkpoint(smaller, {**checkpoint.tensors, **changed})


def pruned_logits(
    layer: Layer, selection: Selection, weights: Weights, recorded: Recorded
) -> Matrix:
    """Logits, N x classes, of what is left, for any recorded patterns; nothing is cut for it."""
    kept = list(selection.kept)
    said: Matrix = recorded.activations[:, kept]
    if weights.changed_into:
        said = sigmoid(recorded.inputs @ weights.into[kept].T + weights.into_bias[kept])
    return layer.answers(said @ weights.out[:, kept].T + weights.out_bias)


Select = Callable[[Layer], Selection]


def prune_in_turn(
    checkpoint: Checkpoint,
    layers: Sequence[str],
    select: Select,
    compensation: str,
    outputs: Mapping[str, NDArray[np.float32]],
    truth: ArrayLike,
    measured: Mapping[str, Mapping[str, NDArray[np.float64]]] | None = None,
    seed: int = 0,
) -> tuple[Checkpoint, dict[str, Selection]]:
    """Prune several layers, input side first, each as the pruned network in front makes it.

    Args:
        checkpoint: the unpruned network.
        layers: names of hidden fully connected layers.
        select: which units of a layer go.
        compensation: what the rest gets in return, in every layer.
        outputs: recorded outputs of all layers over the training patterns, N x units each.
        truth: classes of those patterns, N.
        measured: scores gathered elsewhere by technique, then by layer.
        seed: of techniques that draw.
    """
    selections: dict[str, Selection] = {}
    classes = np.asarray(truth)
    for name in sorted(set(layers), key=checkpoint.architecture.place_of):
        recorded = _recorded_in(checkpoint, name, outputs, classes, bool(selections))
        scores = {technique: by[name] for technique, by in (measured or {}).items() if name in by}
        view = describe_layer(checkpoint, name, recorded, scores, seed)
        selections[name] = select(view)
        checkpoint = prune_checkpoint(checkpoint, view, selections[name], compensation)
    return checkpoint, selections


def _recorded_in(
    checkpoint: Checkpoint,
    name: str,
    outputs: Mapping[str, NDArray[np.float32]],
    truth: NDArray[np.int64],
    changed: bool,
) -> Recorded:
    """What a layer reads and says, computed anew where a layer in front was pruned."""
    names = [FEATURES, *checkpoint.architecture.layer_names]
    before = names[names.index(name) - 1]
    if not changed:
        return Recorded(outputs[before], check_activations(outputs[name]), truth)
    inputs = values = outputs[FEATURES]
    for place in names[1 : names.index(name) + 1]:
        inputs, values = values, checkpoint.said(place, values)
    return Recorded(inputs, check_activations(values), truth)
