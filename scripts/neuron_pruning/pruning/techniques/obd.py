"""Optimal Brain Damage (LeCun, Denker & Solla 1990), for units."""

import numpy as np

from neuron_pruning.pruning.angles import check_sigmoid
from neuron_pruning.pruning.techniques.technique import Scores
from neuron_pruning.pruning.units import Layer


def obd_unit(layer: Layer) -> Scores:
    """Half the second derivative of the loss by a gate on the unit: what closing it costs."""
    return 0.5 * (layer.activations**2 * layer.curvature).mean(axis=0)


def obd_weight(layer: Layer) -> Scores:
    """``1/2 sum h_ww w^2`` over a unit's incoming, outgoing and bias weights.

    h_ww is the diagonal of the Hessian, exact for the last hidden layer.
    """
    curvature, gradient = layer.curvature, layer.gradient
    said, patterns = layer.activations, len(layer.activations)
    check_sigmoid(said, "obd_weight takes a (1 - a) for the slope of a sigmoid; take obd_unit")
    slope = said * (1.0 - said)
    bend = slope * (1.0 - 2.0 * said)
    by_input = slope**2 * curvature + bend * gradient  # by the pre-activation, N x H
    incoming = (by_input * (layer.inputs**2 @ (layer.into.weight**2).T)).mean(axis=0)
    bias = by_input.mean(axis=0) * layer.into.bias**2
    by_outgoing = layer.output_curvature.T @ said**2 / patterns  # O x H
    outgoing = (by_outgoing * layer.out.weight**2).sum(axis=0)
    return np.asarray(0.5 * (incoming + bias + outgoing))
