"""Physical removal of units: smaller tensors, never masks."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32, Float64, Int64
from numpy.typing import ArrayLike, NDArray

from neuron_pruning.models.architectures import FEATURES
from neuron_pruning.models.checkpoints import Checkpoint
from neuron_pruning.models.dense import Dense, hidden_activations, logits_from
from neuron_pruning.pruning.angles import check_activations
from neuron_pruning.pruning.compensations import Weights, compensate
from neuron_pruning.pruning.scores import ScoresByLayer, scores_of_layer
from neuron_pruning.pruning.selection import Selection
from neuron_pruning.pruning.units import (
    Layer,
    LayerActivations,
    UnitActivations,
    UnitLayer,
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
        selection: which units are removed, and their merge targets.
        compensation: a name of ``COMPENSATIONS``; ``add`` is Gedeon & Harris's: a similar unit's
            outgoing weights go to its merge target.
        activations: patterns x units; needed wherever something is fitted.

    Raises:
        UserError: no such hidden layer, or a selection of another layer size.
    """
    whole = copy.deepcopy(network.to_checkpoint())  # nothing shared: both may go on to learn
    view: UnitLayer = describe_layer(whole, layer)
    if activations is not None:
        recorded = UnitActivations(check_activations(activations))
        view = UnitLayer(layer, view.incoming, view.outgoing, recorded)
    return network.from_checkpoint(prune_checkpoint(whole, view, selection, compensation))


def prune_checkpoint(
    checkpoint: Checkpoint, layer: UnitLayer, selection: Selection, compensation: str = "add"
) -> Checkpoint:
    """As :func:`prune_layer`, on a network as arrays; what stays is shared with the original."""
    weights, architecture = compensate(layer, selection, compensation), checkpoint.architecture
    following, kept = architecture.following(layer.name), list(selection.kept)
    kind = checkpoint.linear(layer.name).weight.dtype
    changed = {
        f"classifier.{layer.name}.weight": weights.incoming.weight[kept].astype(kind),
        f"classifier.{layer.name}.bias": weights.incoming.bias[kept].astype(kind),
        f"classifier.{following}.weight": weights.outgoing.weight[:, kept].astype(kind),
        f"classifier.{following}.bias": weights.outgoing.bias.astype(kind),
    }
    widths = list(architecture.widths)
    widths[architecture.place_of(layer.name)] = len(kept)
    smaller = replace(architecture, widths=tuple(widths))
    return Checkpoint(smaller, {**checkpoint.tensors, **changed})


def pruned_logits(
    layer: Layer, selection: Selection, weights: Weights, recorded: LayerActivations
) -> Float64[NDArray, "patterns classes"]:
    """Logits of the pruned network for any recorded patterns, without a cut."""
    kept = list(selection.kept)
    activations = recorded.activations[:, kept]
    if weights.incoming is not layer.incoming:
        incoming = Dense(weights.incoming.weight[kept], weights.incoming.bias[kept])
        activations = hidden_activations(incoming, recorded.inputs)
    outgoing = Dense(weights.outgoing.weight[:, kept], weights.outgoing.bias)
    return logits_from((outgoing, *layer.downstream), activations)


def prune_in_turn(
    checkpoint: Checkpoint,
    layers: Sequence[str],
    select: Callable[[Layer], Selection],
    compensation: str,
    outputs: Mapping[str, Float32[NDArray, "patterns _"]],
    labels: ArrayLike,
    precomputed_scores: Mapping[str, ScoresByLayer] | None = None,
    seed: int = 0,
) -> tuple[Checkpoint, dict[str, Selection]]:
    """Prune hidden layers, input side first, each with the activations of the pruned network.

    Args:
        checkpoint: the unpruned network.
        layers: names of hidden fully connected layers.
        select: which units of a layer are removed.
        compensation: what the remaining units get, in every layer.
        outputs: of all layers over the training patterns.
        labels: of those patterns.
        precomputed_scores: by technique, then by layer.
        seed: of techniques that draw.

    Returns:
        The pruned network, and the selections by layer.
    """
    selections: dict[str, Selection] = {}
    classes = np.asarray(labels)
    for name in sorted(set(layers), key=checkpoint.architecture.place_of):
        recorded = _recorded_in(checkpoint, name, outputs, classes, bool(selections))
        scores = scores_of_layer(precomputed_scores or {}, name)
        view = describe_layer(checkpoint, name, recorded, scores, seed)
        selections[name] = select(view)
        checkpoint = prune_checkpoint(checkpoint, view, selections[name], compensation)
    return checkpoint, selections


def _recorded_in(
    checkpoint: Checkpoint,
    name: str,
    outputs: Mapping[str, Float32[NDArray, "patterns _"]],
    labels: Int64[NDArray, " patterns"],
    changed: bool,
) -> LayerActivations:
    """Activations of a layer; computed again where a layer before it was pruned."""
    architecture = checkpoint.architecture
    inputs, activations = outputs[architecture.input_name(name)], outputs[name]
    if changed:
        activations = outputs[FEATURES]
        for layer in architecture.layer_names[: architecture.place_of(name) + 1]:
            inputs, activations = activations, checkpoint.hidden_activations(layer, activations)
    return LayerActivations(check_activations(activations), inputs, labels)
