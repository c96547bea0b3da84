"""Average percentage of zeros (Hu et al. 2016)."""

from neuron_pruning.pruning.techniques.technique import UnitScores, by_score
from neuron_pruning.pruning.units import UnitLayer


@by_score(needs="activations", largest=True)
def apoz(layer: UnitLayer, *, epsilon: float = 0.05) -> UnitScores:
    """Share of patterns on which the unit is silent; the LARGEST is removed first.

    ASSUME: a sigmoid is never zero, so silent is below ``epsilon``.
    """
    return (layer.activations < epsilon).mean(axis=0)
