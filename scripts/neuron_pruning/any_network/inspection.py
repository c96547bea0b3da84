"""What could go from a network: its unit layers, idle units, and how much the layers would lose."""

import re
from typing import Any

from neuron_pruning.any_network.idle import idle_units
from neuron_pruning.any_network.network_schemas import SHARES
from neuron_pruning.any_network.options import Method
from neuron_pruning.any_network.pruner import Pruner, Session
from neuron_pruning.any_network.unit_layers import FoundLayer, FoundLayers, NoLayer
from neuron_pruning.core.errors import UserError

NUMBER = re.compile(r"\d+")


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


def measured_rows(pruner: Pruner, method: Method) -> list[dict[str, Any]]:
    """One row per unit layer: idle units, and errors of its consumers by share of removed units.

    Args:
        pruner: the network, its unit layers and images; one pass.
        method: technique and compensation.
    """
    session, layers = pruner.session(method), pruner.found.layers
    session.measure(list(layers))
    rows = []
    for name, layer in layers.items():
        idle = idle_units(layer, session.pruner.readings, session.measured)
        assert idle is not None
        rows.append({"layer": name, **idle._asdict(), **_errors(session, layer)})
    return rows


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


def why_not_rows(found: FoundLayers) -> dict[str, list[str]]:
    """Names of the layers whose units cannot be removed, by reason.

    Reasons that differ in numbers alone, such as those of blocks, are one, with stars for these.
    """
    by_kind: dict[str, list[NoLayer]] = {}
    for layer in found.refused.values():
        by_kind.setdefault(NUMBER.sub("*", layer.reason), []).append(layer)
    return {
        kind if len({layer.reason for layer in layers}) > 1 else layers[0].reason: [
            layer.name for layer in layers
        ]
        for kind, layers in by_kind.items()
    }
