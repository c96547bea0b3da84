"""Every technique by its name: each module of this folder declares its own."""

from importlib import import_module
from pkgutil import iter_modules

from neuron_pruning.core.errors import UserError, did_you_mean
from neuron_pruning.pruning.techniques.technique import Technique


def _discover() -> dict[str, Technique]:
    """Techniques that the modules of this folder declare, sorted by name; no name twice."""
    found: dict[str, Technique] = {}
    for entry in iter_modules(__path__, f"{__name__}."):
        for value in vars(import_module(entry.name)).values():
            if not isinstance(value, Technique) or value.module != entry.name:
                continue
            if found.setdefault(value.name, value) is not value:
                other = found[value.name].module
                raise ValueError(f"{other} and {value.module} both declare {value.name}")
    return dict(sorted(found.items()))


REGISTRY = _discover()


def techniques() -> list[str]:
    """Names of all techniques, sorted."""
    return list(REGISTRY)


def find_technique(name: str) -> Technique:
    """Technique of that name.

    Args:
        name: its name in the config, such as ``distinctiveness``.

    Raises:
        UserError: there is none of that name; the message lists those there are.
    """
    if name not in REGISTRY:
        known = ", ".join(REGISTRY)
        raise UserError(f"no technique {name!r}; known: {known}{did_you_mean(name, REGISTRY)}")
    return REGISTRY[name]
