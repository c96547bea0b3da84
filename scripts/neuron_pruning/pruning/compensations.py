"""What the remaining units get for the removed ones.

A compensation is a function of a layer and a selection; it returns the layer's weights before the
cut. One that merges units one by one is written as a :data:`Merge` of a single removal.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from neuron_pruning.core.errors import UserError
from neuron_pruning.models.dense import Dense
from neuron_pruning.pruning.angles import check_sigmoid, is_flat
from neuron_pruning.pruning.selection import Removal, Selection
from neuron_pruning.pruning.units import UnitLayer

# ASSUME: strength of ridge as a share of the mean square of the kept units, as in GRAIL's code.
RIDGE_STRENGTH = 1e-3
# ASSUME: directions of the kept units weaker than this share of the strongest are the rounding of
# recorded activations: fitting them would put large weights on noise.
LSTSQ_RCOND = 1e-6


class Weights(NamedTuple):
    """Weights around a layer before the cut; those that no compensation changed are its own."""

    incoming: Dense  # units x inputs, and units
    outgoing: Dense  # outputs x units, and outputs


Line = tuple[float, float]  # alpha and beta: a removed unit is about alpha a + beta of its target
Merge = Callable[[UnitLayer, Removal], Line]


def _copy(weights: Dense) -> Dense:
    return Dense(weights.weight.copy(), weights.bias.copy())


def unchanged(layer: UnitLayer) -> Weights:
    """The layer's own weights; the outgoing ones, which most compensations change, are copies."""
    return Weights(layer.incoming, _copy(layer.outgoing))


def drop(layer: UnitLayer, selection: Selection) -> Weights:
    """``none``: columns are dropped."""
    return unchanged(layer)


def mean_to_bias(layer: UnitLayer, selection: Selection) -> Weights:
    """``bias``: every removed unit is replaced by its mean."""
    weights, removed = unchanged(layer), list(selection.removed)
    means = layer.activations[:, removed].mean(axis=0)
    weights.outgoing.bias[:] += weights.outgoing.weight[:, removed] @ means
    return weights


def _pairwise(merge: Merge, layer: UnitLayer, selection: Selection) -> Weights:
    """One removal after the other: weights travel on where a merge target is removed later."""
    weights = unchanged(layer)
    for removal in selection.removals:
        _hand_over(weights, layer, removal, merge)
    return weights


def _hand_over(weights: Weights, layer: UnitLayer, removal: Removal, merge: Merge) -> None:
    """Outgoing weights of a removed unit to its merge target, its group, and the bias."""
    column = weights.outgoing.weight[:, removal.unit].copy()
    if removal.members:
        takers, factors, constant = list(removal.members), *_dependency(layer, removal)
    else:
        alpha, constant = _line(layer, removal, merge)
        takers = [] if removal.merge_target is None else [removal.merge_target]
        factors = np.full(len(takers), alpha)
    weights.outgoing.weight[:, takers] += np.outer(column, factors)
    weights.outgoing.bias[:] += constant * column


def _line(layer: UnitLayer, removal: Removal, merge: Merge) -> Line:
    """What stands for a removed unit, by the rule of its removal.

    Raises:
        UserError: a removal that needs a merge target and has none.
    """
    match removal.rule:
        case "short":  # contributes next to nothing
            return 0.0, 0.0
        case "constant" | "group":  # of a group the joint effect is constant
            return 0.0, _mean(layer, removal)
        case "complementary" if removal.removes_both:
            # The parts of a pair that vary cancel, exactly if w_i = w_j and a_j = 1 - a_i; what is
            # left is constant: each of the two gives its mean to the bias.
            return 0.0, _mean(layer, removal)
    if removal.rule == "ranked" or removal.merge_target is None:
        raise UserError(
            f"unit {removal.unit} is removed without merge target, so nothing can be merged: "
            f"take one of the compensations {', '.join(WITHOUT_MERGE_TARGET)}"
        )
    match removal.rule:
        case "reverse" if merge is _add:  # a_k = 1 - a_i: w_i -= w_k, b += w_k (Sietsma & Dow 1991)
            return -1.0, 1.0
        case "complementary" if merge is _add:
            return _scaled(layer, removal)
    return merge(layer, removal)


def _mean(layer: UnitLayer, removal: Removal) -> float:
    return float(layer.activations[:, removal.unit].mean())


def _add(layer: UnitLayer, removal: Removal) -> Line:
    """Outgoing weights to the merge target (Gedeon & Harris 1991)."""
    return 1.0, 0.0


def _scaled(layer: UnitLayer, removal: Removal) -> Line:
    """The merge target takes over with the best scale about 0.5: exact for any scaled clone."""
    removed, target = (layer.activations[:, unit] for unit in (removal.unit, removal.partner))
    check_sigmoid(layer.value_range, "scaled is about 0.5, the middle of a sigmoid; take affine")
    scale = _slope(target - 0.5, removed - 0.5, target)
    return scale, 0.5 * (1.0 - scale)


def _affine(layer: UnitLayer, removal: Removal) -> Line:
    """The merge target takes over with the best line ``alpha a + beta`` (NoiseOut, 2016)."""
    removed, target = (layer.activations[:, unit] for unit in (removal.unit, removal.partner))
    alpha = _slope(target - target.mean(), removed, target)
    return alpha, float(removed.mean() - alpha * target.mean())


def _slope(
    direction: Float64[NDArray, " patterns"],
    wanted: Float64[NDArray, " patterns"],
    activations: Float64[NDArray, " patterns"],
) -> float:
    """Least squares factor of a direction; 0 of one that is but the rounding of activations."""
    if is_flat(direction[:, None], activations[:, None])[0]:
        return 0.0
    return float(direction @ wanted / (direction @ direction))


def _dependency(layer: UnitLayer, removal: Removal) -> tuple[Float64[NDArray, " members"], float]:
    """Factors of a group's members and a constant, fitted on the activations as they are."""
    members = layer.activations[:, list(removal.members)]
    with_constant = np.column_stack([members, np.ones(len(members))])
    *factors, constant = np.linalg.lstsq(
        with_constant, layer.activations[:, removal.unit], rcond=None
    )[0]
    return np.array(factors), constant


def refit(layer: UnitLayer, selection: Selection) -> Weights:
    """``lstsq``: the removed units' contribution, fitted on all kept units and a constant.

    The best that outgoing weights can do on the training patterns (Pelillo & Fanelli 1993;
    Castellano, Fanelli & Pelillo 1997). Without the constant where the following layer takes none.
    """
    weights = unchanged(layer)
    kept, removed = list(selection.kept), list(selection.removed)
    triangle = layer.triangle
    # |Q R x - Q R y| = |R x - R y|: the fit needs only H + 1 rows.
    contribution = triangle[:, removed] @ weights.outgoing.weight[:, removed].T
    regressors = [*kept, layer.units] if layer.takes_constant else kept
    factors = np.linalg.lstsq(triangle[:, regressors], contribution, rcond=LSTSQ_RCOND)[0]
    weights.outgoing.weight[:, kept] += factors[: len(kept)].T
    if layer.takes_constant:
        weights.outgoing.bias[:] += factors[-1]
    return weights


def reconstruct(layer: UnitLayer, selection: Selection) -> Weights:
    """``ridge``: all units from the kept ones, ``W <- W B`` (GRAIL).

    ``B = argmin |A - A_P B^T|^2 + lambda |B|^2``; no constant, so units near a constant cost more
    than with ``lstsq``.
    """
    weights, kept = unchanged(layer), list(selection.kept)
    gram = layer.gram
    inner = gram[np.ix_(kept, kept)]
    penalty = RIDGE_STRENGTH * np.trace(inner) / len(kept)
    if penalty == 0.0:  # all activations of the kept units are zero
        return weights
    factors = np.linalg.solve(inner + penalty * np.eye(len(kept)), gram[kept]).T
    weights.outgoing.weight[:, kept] = layer.outgoing.weight @ factors
    return weights


def fold(layer: UnitLayer, selection: Selection) -> Weights:
    """``fold``: centroid of the incoming weights in, sum of the outgoing ones out."""
    weights = Weights(_copy(layer.incoming), _pairwise(_add, layer, selection).outgoing)
    for unit, members in selection.clusters.items():
        weights.incoming.weight[unit] = layer.incoming.weight[members].mean(axis=0)
        weights.incoming.bias[unit] = layer.incoming.bias[members].mean()
    return weights


def add_incoming(layer: UnitLayer, selection: Selection) -> Weights:
    """``add_incoming``: the removed unit's incoming weights are added to its merge target's.

    What some implementations do: of two equal units it doubles the pre-activation. Everything but
    similar units is handled as by ``add``.
    """
    weights = Weights(_copy(layer.incoming), _copy(layer.outgoing))
    for removal in selection.removals:
        if removal.rule == "similar" and removal.merge_target is not None:
            for values in weights.incoming:
                values[removal.merge_target] += values[removal.unit]
        else:
            _hand_over(weights, layer, removal, _add)
    return weights


def fitted(layer: UnitLayer, selection: Selection) -> Weights:
    """``fitted``: outgoing weights that the technique fitted while it selected."""
    if selection.fitted is None:
        raise UserError("this selection brings no weights of its own: take another compensation")
    return Weights(layer.incoming, selection.fitted)


Requirement = Literal["nothing", "merge targets", "fitted weights"]


class Compensation(NamedTuple):
    """A compensation and what a selection must bring for it."""

    apply: Callable[[UnitLayer, Selection], Weights]
    requires: Requirement = "nothing"


COMPENSATIONS: dict[str, Compensation] = {
    "none": Compensation(drop),
    "bias": Compensation(mean_to_bias),
    "add": Compensation(partial(_pairwise, _add), "merge targets"),
    "scaled": Compensation(partial(_pairwise, _scaled), "merge targets"),
    "affine": Compensation(partial(_pairwise, _affine), "merge targets"),
    "lstsq": Compensation(refit),
    "ridge": Compensation(reconstruct),
    "fold": Compensation(fold, "merge targets"),
    "add_incoming": Compensation(add_incoming, "merge targets"),
    "fitted": Compensation(fitted, "fitted weights"),
}
WITHOUT_MERGE_TARGET = tuple(n for n, c in COMPENSATIONS.items() if c.requires == "nothing")
_BIAS = "it gives the next layer a bias, which does not pass through that layer's padded border"
_INCOMING = "it changes the channels' own kernels, whose normalisation would no longer fit"
REFUSED_COMPENSATIONS = {
    "bias": _BIAS,
    "affine": _BIAS,
    "lstsq": _BIAS,
    "scaled": "it takes 0.5 for the middle of a unit's activations, and a ReLU has none",
    "ridge": "it fits outgoing weights on activations, which this surgery does not read",
    "fold": _INCOMING,
    "add_incoming": _INCOMING,
    "fitted": "no technique fits kernels",
}


def find_compensation(name: str) -> Compensation:
    """Compensation of that name; a UserError that lists those there are, if there is none."""
    if name not in COMPENSATIONS:
        raise UserError(f"no compensation {name!r}; known: {', '.join(COMPENSATIONS)}")
    return COMPENSATIONS[name]


def compensate(layer: UnitLayer, selection: Selection, name: str) -> Weights:
    """Weights of the layer before the cut, after compensation for the removed units.

    Args:
        layer: with activations wherever something is fitted.
        selection: which of its units are removed.
        name: of a compensation, one of ``COMPENSATIONS``.

    Raises:
        UserError: unknown name, or a selection that does not bring what it needs.
    """
    if selection.units != layer.units:
        raise UserError(f"{layer.name} has {layer.units} units, not {selection.units}")
    if not selection.removals:
        return unchanged(layer)
    return find_compensation(name).apply(layer, selection)


def refusal_of_channels(compensation: str) -> str | None:
    """Why channels of a convolution cannot have a compensation; None: they can."""
    if compensation in ("none", "add"):
        return None
    reason = REFUSED_COMPENSATIONS.get(compensation, "it is made for fully connected layers")
    return f"{compensation}: {reason}"
