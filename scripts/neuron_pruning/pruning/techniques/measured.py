"""Scores that other stages gathered: by the trainer, or by the library torch-pruning."""

from collections.abc import Callable

from neuron_pruning.core.errors import UserError
from neuron_pruning.pruning.techniques.technique import Scores
from neuron_pruning.pruning.units import Layer


def karnin(layer: Layer) -> Scores:
    """Sensitivity (Karnin 1990), which the trainer accumulates; see ``sensitivity.py``."""
    return look_up(layer, "karnin", "only networks that this workflow trained have it")


def torch_pruning(importance: str) -> Callable[[Layer], Scores]:
    """An importance of the library torch-pruning, computed by its own code; see ``peers.py``."""
    name = f"torch_pruning_{importance}"

    def score(layer: Layer) -> Scores:
        return look_up(layer, name, "score_peers has to run first")

    score.__name__ = name
    score.__doc__ = f"Importance {importance} of torch-pruning."
    return score


def look_up(layer: Layer, name: str, remedy: str) -> Scores:
    """A score that was measured elsewhere.

    Raises:
        UserError: it was not.
    """
    if name not in layer.measured:
        raise UserError(f"{layer.name} comes without the score {name}: {remedy}")
    return layer.measured[name]
