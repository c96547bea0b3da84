"""Badness (Hagiwara 1990)."""

from neuron_pruning.pruning.angles import check_sigmoid
from neuron_pruning.pruning.techniques.technique import UnitScores, by_score
from neuron_pruning.pruning.units import Layer


@by_score(needs="loss", largest=True)
def badness(layer: Layer) -> UnitScores:
    """``sum_n (a (1 - a) g)^2``: the error that reaches the unit; the LARGEST is removed first."""
    gradient, activations = layer.gradient, layer.activations
    check_sigmoid(layer.value_range, "badness takes a (1 - a) for the slope of a sigmoid")
    return ((activations * (1.0 - activations) * gradient) ** 2).sum(axis=0)
