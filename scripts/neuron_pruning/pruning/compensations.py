"""What the remaining units get for the removed ones.

A compensation is a function of a layer and a selection; it returns the layer's weights before the
cut. One that merges a unit into another is written as a :data:`Merge` of a single removal.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from neuron_pruning.core.errors import UserError
from neuron_pruning.models.dense import Dense
from neuron_pruning.pruning.angles import check_sigmoid, is_flat
from neuron_pruning.pruning.selection import Removal, Selection
from neuron_pruning.pruning.units import UnitLayer, Vector

# ASSUME: strength of ridge as a share of the mean square of the kept units; GRAIL leaves it open.
RIDGE_STRENGTH = 1e-3
# ASSUME: directions of the kept units weaker than this share of the strongest are the rounding of
# recorded activations: fitting them would put large weights on noise.
LSTSQ_RCOND = 1e-6


@dataclass(frozen=True)
class Weights:
    """Weights around a layer before the cut.

    Attributes:
        incoming: H x D and H.
        outgoing: O x H and O.
        incoming_changed: whether ``incoming`` differs from the layer's own.
    """

    incoming: Dense
    outgoing: Dense
    incoming_changed: bool = False


Merge = Callable[[Weights, UnitLayer, Removal], None]


def unchanged(layer: UnitLayer) -> Weights:
    """The layer's own weights; the outgoing ones, which most compensations change, are copies."""
    return Weights(layer.incoming, _copy(layer.outgoing))


def with_own_incoming(layer: UnitLayer) -> Weights:
    """As :func:`unchanged`, the incoming weights copied too."""
    return Weights(_copy(layer.incoming), _copy(layer.outgoing), incoming_changed=True)


def _copy(weights: Dense) -> Dense:
    return Dense(weights.weight.copy(), weights.bias.copy())


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
        if removal.rule == "similar" or (removal.rule == "reverse" and merge is not _add):
            if removal.merge_target is None:
                _refuse_without_merge_target(weights, layer, removal, merge)
            merge(weights, layer, removal)
        else:
            _BY_RULE[removal.rule](weights, layer, removal, merge)
    return weights


def _add(weights: Weights, layer: UnitLayer, removal: Removal) -> None:
    """Outgoing weights to the merge target (Gedeon & Harris 1991)."""
    weights.outgoing.weight[:, removal.merge_target] += weights.outgoing.weight[:, removal.unit]


def _scaled(weights: Weights, layer: UnitLayer, removal: Removal) -> None:
    """The merge target takes over with the best scale about 0.5: exact for any scaled clone."""
    removed, target = _activations_of_pair(layer, removal)
    check_sigmoid(removed, "scaled is about 0.5, the middle of a sigmoid; take affine")
    scale = _slope(target - 0.5, removed - 0.5, target)
    column = weights.outgoing.weight[:, removal.unit]
    weights.outgoing.weight[:, removal.merge_target] += scale * column
    weights.outgoing.bias[:] += 0.5 * (1.0 - scale) * column


def _affine(weights: Weights, layer: UnitLayer, removal: Removal) -> None:
    """The merge target takes over with the best line ``alpha a + beta`` (NoiseOut, 2016)."""
    removed, target = _activations_of_pair(layer, removal)
    alpha = _slope(target - target.mean(), removed, target)
    column = weights.outgoing.weight[:, removal.unit]
    weights.outgoing.weight[:, removal.merge_target] += alpha * column
    weights.outgoing.bias[:] += (removed.mean() - alpha * target.mean()) * column


def _slope(direction: Vector, wanted: Vector, activations: Vector) -> float:
    """Least squares factor of a direction; 0 of one that is but the rounding of activations."""
    if is_flat(direction[:, None], activations[:, None])[0]:
        return 0.0
    return float(direction @ wanted / (direction @ direction))


def _activations_of_pair(layer: UnitLayer, removal: Removal) -> tuple[Vector, Vector]:
    """Activations of the removed unit and of its merge target, N each."""
    assert removal.merge_target is not None
    return layer.activations[:, removal.unit], layer.activations[:, removal.merge_target]


def _nothing(weights: Weights, layer: UnitLayer, removal: Removal, merge: Merge) -> None:
    """A short unit contributes next to nothing."""


def _own_mean(weights: Weights, layer: UnitLayer, removal: Removal, merge: Merge) -> None:
    """A constant effect goes to the bias; so does the constant effect of a whole group."""
    if removal.members:
        return _dependency(weights, layer, removal)
    mean = layer.activations[:, removal.unit].mean()
    weights.outgoing.bias[:] += weights.outgoing.weight[:, removal.unit] * mean


def _dependency(weights: Weights, layer: UnitLayer, removal: Removal) -> None:
    """The members of a linear dependency take over, fitted on the activations as they are."""
    members, column = list(removal.members), weights.outgoing.weight[:, removal.unit]
    with_constant = np.column_stack(
        [layer.activations[:, members], np.ones(len(layer.activations))]
    )
    factors = np.linalg.lstsq(with_constant, layer.activations[:, removal.unit], rcond=None)[0]
    weights.outgoing.weight[:, members] += np.outer(column, factors[:-1])
    weights.outgoing.bias[:] += factors[-1] * column


def _opposite(weights: Weights, layer: UnitLayer, removal: Removal, merge: Merge) -> None:
    """``a_k = 1 - a_i``: ``w_i -= w_k, b += w_k`` (Sietsma & Dow 1991)."""
    column = weights.outgoing.weight[:, removal.unit]
    weights.outgoing.weight[:, removal.merge_target] -= column
    weights.outgoing.bias[:] += column


def _complement(weights: Weights, layer: UnitLayer, removal: Removal, merge: Merge) -> None:
    """One unit of a complementary pair, or its half of what the pair leaves."""
    if not removal.removes_both:
        (_scaled if merge is _add else merge)(weights, layer, removal)
        return
    # The parts of a pair that vary cancel, exactly if w_i = w_j and a_j = 1 - a_i; what is left
    # is constant: each of the two gives its mean to the bias.
    _own_mean(weights, layer, removal, merge)


def _refuse_without_merge_target(
    weights: Weights, layer: UnitLayer, removal: Removal, merge: Merge
) -> None:
    """A merge needs a merge target.

    Raises:
        UserError: always.
    """
    raise UserError(
        f"unit {removal.unit} is removed without merge target, so nothing can be merged: "
        f"take one of the compensations {', '.join(WITHOUT_MERGE_TARGET)}"
    )


_BY_RULE: Mapping[str, Callable[[Weights, UnitLayer, Removal, Merge], None]] = {
    "short": _nothing,
    "constant": _own_mean,
    "group": _own_mean,
    "reverse": _opposite,
    "complementary": _complement,
    "ranked": _refuse_without_merge_target,
}


def refit(layer: UnitLayer, selection: Selection) -> Weights:
    """``lstsq``: the removed units' contribution, fitted on all kept units and a constant.

    The best that outgoing weights can do on the training patterns (Pelillo & Fanelli 1993;
    Castellano, Fanelli & Pelillo 1997).
    """
    weights = unchanged(layer)
    kept, removed = list(selection.kept), list(selection.removed)
    triangle = layer.triangle
    # |Q R x - Q R y| = |R x - R y|: the fit needs only H + 1 rows.
    contribution = triangle[:, removed] @ weights.outgoing.weight[:, removed].T
    factors = np.linalg.lstsq(triangle[:, [*kept, -1]], contribution, rcond=LSTSQ_RCOND)[0]
    weights.outgoing.weight[:, kept] += factors[:-1].T
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
    weights = with_own_incoming(layer)
    clusters: dict[int, list[int]] = {unit: [unit] for unit in range(layer.units)}
    for removal in selection.removals:
        if removal.rule != "similar" or removal.merge_target is None:
            _without_merging(weights, layer, removal)
            continue
        _add(weights, layer, removal)
        clusters[removal.merge_target] += clusters.pop(removal.unit)
    for unit, members in clusters.items():
        weights.incoming.weight[unit] = layer.incoming.weight[members].mean(axis=0)
        weights.incoming.bias[unit] = layer.incoming.bias[members].mean()
    return weights


def add_incoming(layer: UnitLayer, selection: Selection) -> Weights:
    """``add_incoming``: the removed unit's incoming weights are added to its merge target's.

    What some implementations do: of two equal units it doubles the pre-activation. Everything but
    similar units is handled as by ``add``.
    """
    weights = with_own_incoming(layer)
    for removal in selection.removals:
        if removal.rule != "similar" or removal.merge_target is None:
            _without_merging(weights, layer, removal)
            continue
        weights.incoming.weight[removal.merge_target] += weights.incoming.weight[removal.unit]
        weights.incoming.bias[removal.merge_target] += weights.incoming.bias[removal.unit]
    return weights


def _without_merging(weights: Weights, layer: UnitLayer, removal: Removal) -> None:
    """A compensation of similar units handles all others as ``add`` does."""
    rule = "ranked" if removal.rule == "similar" else removal.rule
    _BY_RULE[rule](weights, layer, removal, _add)


def fitted(layer: UnitLayer, selection: Selection) -> Weights:
    """``fitted``: outgoing weights that the technique fitted while it selected."""
    if selection.fitted is None:
        raise UserError("this selection brings no weights of its own: take another compensation")
    return Weights(layer.incoming, selection.fitted)


Requirement = Literal["nothing", "merge targets", "fitted weights"]


@dataclass(frozen=True)
class Compensation:
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


def find_compensation(name: str) -> Compensation:
    """Compensation of that name.

    Raises:
        UserError: there is none; the message lists those there are.
    """
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
