"""Relevance (Mozer & Smolensky 1989) and what it approximates."""

import numpy as np

from neuron_pruning.pruning.techniques.technique import Scores
from neuron_pruning.pruning.units import Layer
from neuron_pruning.statistics.metrics import cross_entropy, softmax


def relevance(layer: Layer) -> Scores:
    """``-dE/dalpha`` of a gate alpha on the unit, with the linear error ``2 (1 - p_y)``."""
    chances = softmax(layer.own_logits)
    one_hot = np.eye(chances.shape[1])[layer.truth]
    right = chances[np.arange(len(chances)), layer.truth][:, None]
    gradient = layer.pull_back(-2.0 * right * (one_hot - chances)) @ layer.out.weight
    return -(gradient * layer.activations).mean(axis=0)


def ablation(layer: Layer) -> Scores:
    """Loss without the unit minus the loss with it, exactly."""
    values = layer.out(layer.activations)
    losses = [
        cross_entropy(layer.answers(values - np.outer(said, weights)), layer.truth)
        for said, weights in zip(layer.activations.T, layer.out.weight.T, strict=True)
    ]
    return np.array(losses) - layer.loss
