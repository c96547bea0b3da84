"""Pruning of redundant neurons: networks, angles, selection, surgery.

The names below are the public API. They load on first use, so that work without a network
never waits for torch.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "Architecture": "models.architectures",
    "Network": "models.networks",
    "Layer": "layers",
    "Removal": "selections",
    "Selection": "selections",
    "UserError": "core.errors",
    "build_network": "models.networks",
    "compensate": "compensations",
    "describe_layer": "layers",
    "find_technique": "methods",
    "load_network": "models.networks",
    "pairwise_angles": "angles",
    "prune_layer": "surgery",
    "save_network": "models.networks",
    "select_units": "distinctiveness",
    "techniques": "methods",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
