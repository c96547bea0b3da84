"""What could go from a network: its unit layers, idle units, and how much the layers would lose."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Bool
from numpy.typing import NDArray
from torch import nn

from neuron_pruning.any_network.batches import Batches, device_of
from neuron_pruning.any_network.moments import Moments
from neuron_pruning.any_network.pruner import Method, Pruner, Session
from neuron_pruning.any_network.unit_layers import FoundLayer, FoundLayers
from neuron_pruning.any_network.views import channels_of
from neuron_pruning.core.errors import UserError

SHARES = (0.25, 0.5, 0.75)  # of a layer's units, whose loss is looked at
RANGES = {"sigmoid": (0.0, 1.0), "hardsigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}
NEAR = 0.01  # ASSUME: of the range, how near one end a saturated unit is on all images


def layer_rows(found: FoundLayers) -> list[dict[str, Any]]:
    """One row per unit layer: units, what goes with them, and shares of the network in percent."""
    return [
        {
            "layer": layer.name,
            "units": layer.units,
            "channels each": layer.width,
            "kind": layer.kind,
            "normalisation": layer.normalisation,
            "activation": layer.activation,
            "producers": len(layer.producers),
            "consumers": len(layer.consumers),
            "parameters %": 100.0 * layer.parameters,
            "multiply-adds %": 100.0 * layer.multiply_adds,
        }
        for layer in found.layers.values()
    ]


def measured_rows(
    model: nn.Module, found: FoundLayers, images: Iterable[Any], method: Method
) -> list[dict[str, Any]]:
    """One row per unit layer: idle units, and errors of its consumers by share of removed units.

    Args:
        model: the network.
        found: its unit layers.
        images: batches, with or without labels; one pass.
        method: technique and compensation.
    """
    session = Pruner(model, found, Batches(images, 0.0, device_of(model))).session(method)
    session.measure(list(found.layers))
    return [
        {"layer": name, **_idle(session, layer), **_errors(session, layer)}
        for name, layer in found.layers.items()
    ]


def _errors(session: Session, layer: FoundLayer) -> dict[str, float | None]:
    """Error at each share, without and with compensation, as of the consumers' variance."""
    compensation = session.method.compensation
    names = [f"{100 * share:g} % {kind}" for share in SHARES for kind in ("none", compensation)]
    counts = [min(round(share * layer.units), layer.units - 1) for share in SHARES]
    try:
        found = session.sensitivity(layer.name, counts)
    except UserError:  # a consumer that cannot be compensated: pruning says which
        return dict.fromkeys(names)
    errors = [error for pair in zip(found.without, found.errors, strict=True) for error in pair]
    return dict(zip(names, errors, strict=True))


def _idle(session: Session, layer: FoundLayer) -> dict[str, int]:
    """Units that read the same on all images, and units that stay at an end of their range."""
    dead = np.ones(layer.units, dtype=bool)
    saturated = np.ones(layer.units, dtype=bool)
    for consumer in layer.consumers:
        channels = channels_of(layer, consumer, session.pruner.readings[consumer])
        moments = session.measured[consumer].moments.of(channels.ravel())
        dead &= moments.constant.reshape(channels.shape).all(axis=1)
        at_an_end = _at_an_end(moments, layer.activation)
        saturated &= at_an_end.reshape(channels.shape).all(axis=1)
    return {"dead": int(dead.sum()), "saturated": int((saturated & ~dead).sum())}


def _at_an_end(moments: Moments, activation: str | None) -> Bool[NDArray, " channels"]:
    """Which channels are always near one end of an activation's range; none where it has none."""
    low, high = RANGES.get(activation or "", (-np.inf, np.inf))
    if not np.isfinite(low) or moments.low.min() < low or moments.high.max() > high:
        return np.zeros(len(moments.low), dtype=bool)  # something else lies behind the activation
    near = NEAR * (high - low)
    return (moments.high <= low + near) | (moments.low >= high - near)


def why_not_rows(found: FoundLayers) -> dict[str, list[str]]:
    """Names of the layers whose units cannot be removed, by reason."""
    by_reason: dict[str, list[str]] = {}
    for layer in found.refused.values():
        by_reason.setdefault(layer.reason, []).append(layer.name)
    return by_reason
