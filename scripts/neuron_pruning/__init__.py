"""Pruning of redundant neurons: networks, angles, selection, surgery.

The names below are the public API. They load on first use, so that work without a network
never waits for torch.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "Architecture": "models.architectures",
    "Network": "models.networks",
    "Layer": "pruning.units",
    "Removal": "pruning.selection",
    "Selection": "pruning.selection",
    "UnitLayer": "pruning.units",
    "UserError": "core.errors",
    "build_network": "models.networks",
    "compensate": "pruning.compensations",
    "describe_layer": "pruning.units",
    "find_technique": "pruning.techniques",
    "load_network": "models.networks",
    "pairwise_angles": "pruning.angles",
    "prune_layer": "pruning.surgery",
    "save_network": "models.networks",
    "select_units": "pruning.redundancy",
    "techniques": "pruning.techniques",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
