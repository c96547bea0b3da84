"""Optimal Brain Damage (LeCun, Denker & Solla 1990), for units."""

from neuron_pruning.pruning.angles import check_sigmoid
from neuron_pruning.pruning.techniques.technique import UnitScores, by_score
from neuron_pruning.pruning.units import Layer, UnitLayer


@by_score(needs="gates")
def obd_unit(layer: UnitLayer) -> UnitScores:
    """Half the second derivative of the loss by a gate on the unit: what closing it costs."""
    return 0.5 * layer.gates.curvature.mean(axis=0)


@by_score(needs="loss")
def obd_weight(layer: Layer) -> UnitScores:
    """``1/2 sum h_ww w^2`` over a unit's incoming, outgoing and bias weights.

    h_ww is the diagonal of the Hessian, exact for the last hidden layer.
    """
    curvature, gradient = layer.curvature, layer.gradient
    activations, patterns = layer.activations, len(layer.activations)
    check_sigmoid(
        layer.value_range, "obd_weight takes a (1 - a) for the slope of a sigmoid; take obd_unit"
    )
    slope = activations * (1.0 - activations)
    bend = slope * (1.0 - 2.0 * activations)
    by_input = slope**2 * curvature + bend * gradient  # by the pre-activation, patterns x units
    incoming = (by_input * (layer.inputs**2 @ (layer.incoming.weight**2).T)).mean(axis=0)
    bias = by_input.mean(axis=0) * layer.incoming.bias**2
    by_outgoing = layer.output_curvature.T @ activations**2 / patterns  # outputs x units
    outgoing = (by_outgoing * layer.outgoing.weight**2).sum(axis=0)
    return 0.5 * (incoming + bias + outgoing)
