"""Relevance (Mozer & Smolensky 1989) and what it approximates."""

import numpy as np

from neuron_pruning.models.dense import pre_activations
from neuron_pruning.pruning.techniques.technique import UnitScores, by_score
from neuron_pruning.pruning.units import Layer
from neuron_pruning.statistics.metrics import cross_entropy, softmax


@by_score(needs="loss")
def relevance(layer: Layer) -> UnitScores:
    """``-dE/dalpha`` of a gate alpha on the unit, with the linear error ``2 (1 - p_y)``."""
    probabilities = softmax(layer.unpruned_logits)
    one_hot = np.eye(probabilities.shape[1])[layer.labels]
    right = probabilities[np.arange(len(probabilities)), layer.labels][:, None]
    gradient = layer.backpropagate(-2.0 * right * (one_hot - probabilities)) @ layer.outgoing.weight
    return -(gradient * layer.activations).mean(axis=0)


@by_score(needs="loss")
def ablation(layer: Layer) -> UnitScores:
    """Loss without the unit minus the loss with it, exactly."""
    values = pre_activations(layer.outgoing, layer.activations)
    losses = [
        cross_entropy(layer.logits_of_following(values - np.outer(unit, column)), layer.labels)
        for unit, column in zip(layer.activations.T, layer.outgoing.weight.T, strict=True)
    ]
    return np.array(losses) - layer.loss
