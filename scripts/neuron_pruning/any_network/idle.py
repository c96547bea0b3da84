"""Units that tell images apart by nothing: dead and saturated ones."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool
from numpy.typing import NDArray

from neuron_pruning.any_network.moments import Measured, Moments, Reading
from neuron_pruning.any_network.unit_layers import FoundLayer
from neuron_pruning.any_network.views import channels_of

NEAR = 0.01  # ASSUME: of the range, how near one end a saturated unit is on all images
BOUNDED = {"sigmoid": (0.0, 1.0), "hardsigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}
# Functions that come to 0 at their lower end alone, and their lowest value.
RECTIFIERS = {
    "relu": 0.0, "softplus": 0.0, "gelu": -0.17, "silu": -0.279, "hardswish": -0.375,
    "mish": -0.309,
}  # fmt: skip


class Idle(NamedTuple):
    """Units that are the same on all images, and others that stay at an end of their range."""

    dead: int
    saturated: int


def idle_units(
    layer: FoundLayer, readings: Mapping[str, Reading], measured: Mapping[str, Measured]
) -> Idle | None:
    """How many units of a layer are idle for all consumers; None where they were not measured."""
    dead = np.ones(layer.units, dtype=bool)
    saturated = np.ones(layer.units, dtype=bool)
    for consumer in layer.consumers:
        if consumer not in measured:
            return None
        channels = channels_of(layer, consumer, readings[consumer])  # units x width
        moments = measured[consumer].moments.of(channels.ravel())
        dead &= moments.constant.reshape(channels.shape).all(axis=1)
        at_an_end = _at_an_end(moments, layer.activation)
        saturated &= at_an_end.reshape(channels.shape).all(axis=1)
    return Idle(int(dead.sum()), int((saturated & ~dead).sum()))


def _at_an_end(moments: Moments, activation: str | None) -> Bool[NDArray, " channels"]:
    """Which channels are always near an end of an activation's range; none where it has none."""
    lowest, largest = float(moments.low.min()), float(moments.high.max())
    if activation in RECTIFIERS and lowest >= RECTIFIERS[activation] and largest > 0.0:
        near = NEAR * largest
        return (moments.low >= -near) & (moments.high <= near)
    ends = BOUNDED.get(activation or "")
    if activation == "hardtanh":  # ReLU6 is one, too: nothing of it is below 0
        ends = (0.0, 6.0) if lowest >= 0.0 else (-1.0, 1.0)
    if ends is None or lowest < ends[0] or largest > ends[1]:
        return np.zeros(len(moments.low), dtype=bool)  # something else lies behind the activation
    low, high = ends
    near = NEAR * (high - low)
    return (moments.high <= low + near) | (moments.low >= high - near)
