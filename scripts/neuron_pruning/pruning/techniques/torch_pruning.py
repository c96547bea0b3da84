"""Importances of the library torch-pruning (Fang et al. 2023), computed by its own code.

See ``pruning/torch_pruning_scores.py``; here they are looked up.
"""

from neuron_pruning.pruning.techniques.technique import (
    Technique,
    UnitScores,
    by_score,
    precomputed_score,
)
from neuron_pruning.pruning.units import UnitLayer


def _importance(kind: str) -> Technique:
    """Technique that removes the units of the smallest importance of one kind first."""
    name = f"torch_pruning_{kind}"

    def score(layer: UnitLayer) -> UnitScores:
        return precomputed_score(layer, name, "score_with_torch_pruning has to run first")

    score.__name__ = name
    score.__doc__ = f"Importance {kind} of torch-pruning."
    return by_score(needs="weights")(score)  # of the layer: the library has computed the rest


magnitude = _importance("magnitude")
taylor = _importance("taylor")
hessian = _importance("hessian")
fpgm = _importance("fpgm")
lamp = _importance("lamp")
