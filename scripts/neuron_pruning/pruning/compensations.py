"""What the rest of a network gets in return for the units that go.

A compensation is a function of a layer and a selection; it returns the layer's weights before the
cut. One that merges a unit into another is written as a :data:`Merge` of a single removal.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from neuron_pruning.core.errors import UserError
from neuron_pruning.pruning.angles import check_sigmoid, is_flat
from neuron_pruning.pruning.selection import Removal, Selection
from neuron_pruning.pruning.units import Layer, Matrix, Vector

# ASSUME: strength of ridge as a share of the mean square of the kept units; GRAIL leaves it open.
RIDGE = 1e-3
# ASSUME: directions of the kept units weaker than this share of the strongest are the rounding of
# recorded activations: fitting them would put large weights on noise.
NOISE = 1e-6


@dataclass(frozen=True)
class Weights:
    """Weights around a layer before the cut: H x D, H, O x H and O.

    ``changed_into``: whether the first two are other than the layer's own.
    """

    into: Matrix
    into_bias: Vector
    out: Matrix
    out_bias: Vector
    changed_into: bool = False


Merge = Callable[[Weights, Layer, Removal], None]


def unchanged(layer: Layer) -> Weights:
    """The layer's own weights; those that most compensations change are copies."""
    into, out = layer.into, layer.out
    return Weights(into.weight, into.bias, out.weight.copy(), out.bias.copy())


def with_own_inputs(layer: Layer) -> Weights:
    """As :func:`unchanged`, the incoming weights copied too."""
    into, out = layer.into, layer.out
    return Weights(into.weight.copy(), into.bias.copy(), out.weight.copy(), out.bias.copy(), True)


def drop(layer: Layer, selection: Selection) -> Weights:
    """``none``: columns are dropped."""
    return unchanged(layer)


def mean_to_bias(layer: Layer, selection: Selection) -> Weights:
    """``bias``: every removed unit is replaced by its mean."""
    weights, gone = unchanged(layer), list(selection.removed)
    weights.out_bias[:] += weights.out[:, gone] @ layer.activations[:, gone].mean(axis=0)
    return weights


def _pairwise(merge: Merge, layer: Layer, selection: Selection) -> Weights:
    """One removal after the other, so that weights travel on where a survivor goes in its turn."""
    weights = unchanged(layer)
    for removal in selection.removals:
        if removal.rule == "similar" or (removal.rule == "reverse" and merge is not _add):
            (_nobody if removal.partner is None else merge)(weights, layer, removal)
        else:
            _SPECIAL[removal.rule](weights, layer, removal, merge)
    return weights


def _add(weights: Weights, layer: Layer, removal: Removal) -> None:
    """Outgoing weights to the survivor (Gedeon & Harris 1991)."""
    weights.out[:, removal.partner] += weights.out[:, removal.unit]


def _scaled(weights: Weights, layer: Layer, removal: Removal) -> None:
    """The survivor stands in with the best scale about 0.5: exact for any scaled clone."""
    gone, survivor = _said(layer, removal)
    check_sigmoid(gone, "scaled is about 0.5, the middle of a sigmoid; take affine")
    scale = _slope(survivor - 0.5, gone - 0.5, survivor)
    weights.out[:, removal.partner] += scale * weights.out[:, removal.unit]
    weights.out_bias[:] += 0.5 * (1.0 - scale) * weights.out[:, removal.unit]


def _affine(weights: Weights, layer: Layer, removal: Removal) -> None:
    """The survivor stands in with the best line ``alpha a + beta`` (NoiseOut, 2016)."""
    gone, survivor = _said(layer, removal)
    alpha = _slope(survivor - survivor.mean(), gone, survivor)
    weights.out[:, removal.partner] += alpha * weights.out[:, removal.unit]
    weights.out_bias[:] += (gone.mean() - alpha * survivor.mean()) * weights.out[:, removal.unit]


def _slope(direction: Vector, wanted: Vector, said: Vector) -> float:
    """Least squares factor of a direction; 0 of one that is but the rounding of what was said."""
    if is_flat(direction[:, None], said[:, None])[0]:
        return 0.0
    return float(direction @ wanted / (direction @ direction))


def _said(layer: Layer, removal: Removal) -> tuple[Vector, Vector]:
    """What the removed unit and its partner say, N each."""
    assert removal.partner is not None
    return layer.activations[:, removal.unit], layer.activations[:, removal.partner]


def _nothing(weights: Weights, layer: Layer, removal: Removal, merge: Merge) -> None:
    """A short unit contributes next to nothing."""


def _own_mean(weights: Weights, layer: Layer, removal: Removal, merge: Merge) -> None:
    """A constant effect goes to the bias; so does the constant effect of a whole group."""
    if removal.members:
        return _dependency(weights, layer, removal)
    weights.out_bias[:] += weights.out[:, removal.unit] * layer.activations[:, removal.unit].mean()


def _dependency(weights: Weights, layer: Layer, removal: Removal) -> None:
    """The members of a linear dependency stand in, fitted on the activations as they are."""
    members = list(removal.members)
    known = np.column_stack([layer.activations[:, members], np.ones(len(layer.activations))])
    factors = np.linalg.lstsq(known, layer.activations[:, removal.unit], rcond=None)[0]
    weights.out[:, members] += np.outer(weights.out[:, removal.unit], factors[:-1])
    weights.out_bias[:] += factors[-1] * weights.out[:, removal.unit]


def _opposite(weights: Weights, layer: Layer, removal: Removal, merge: Merge) -> None:
    """``a_k = 1 - a_i``: ``w_i -= w_k, b += w_k`` (Sietsma & Dow 1991)."""
    weights.out[:, removal.partner] -= weights.out[:, removal.unit]
    weights.out_bias[:] += weights.out[:, removal.unit]


def _complement(weights: Weights, layer: Layer, removal: Removal, merge: Merge) -> None:
    """One of a complementary pair, or its half of what both leave behind."""
    if not removal.together:
        (_scaled if merge is _add else merge)(weights, layer, removal)
        return
    # The parts of a pair that vary cancel, exactly if w_i = w_j and a_j = 1 - a_i; what is left
    # is constant: each of the two gives its mean to the bias.
    _own_mean(weights, layer, removal, merge)


def _nobody(weights: Weights, layer: Layer, removal: Removal, merge: Merge | None = None) -> None:
    raise UserError(
        f"unit {removal.unit} goes in nobody's favour, so nothing can be merged: "
        f"take one of the compensations {', '.join(WITHOUT_PARTNER)}"
    )


_SPECIAL: Mapping[str, Callable[[Weights, Layer, Removal, Merge], None]] = {
    "short": _nothing,
    "constant": _own_mean,
    "group": _own_mean,
    "reverse": _opposite,
    "complementary": _complement,
    "ranked": _nobody,
}


def refit(layer: Layer, selection: Selection) -> Weights:
    """``lstsq``: the removed units' contribution, fitted on all kept units and a constant.

    The best that outgoing weights can do on the training patterns (Pelillo & Fanelli 1993;
    Castellano, Fanelli & Pelillo 1997).
    """
    weights = unchanged(layer)
    kept, gone = list(selection.kept), list(selection.removed)
    triangle = layer.triangle
    # |Q R x - Q R y| = |R x - R y|: the fit needs only H + 1 rows.
    known, lost = triangle[:, [*kept, -1]], triangle[:, gone] @ weights.out[:, gone].T
    factors = np.linalg.lstsq(known, lost, rcond=NOISE)[0]
    weights.out[:, kept] += factors[:-1].T
    weights.out_bias[:] += factors[-1]
    return weights


def reconstruct(layer: Layer, selection: Selection) -> Weights:
    """``ridge``: all units from the kept ones, ``W <- W B`` (GRAIL).

    ``B = argmin |A - A_P B^T|^2 + lambda |B|^2``; no constant, so units near a constant cost more
    than with ``lstsq``.
    """
    weights, kept = unchanged(layer), list(selection.kept)
    gram = layer.gram
    inner = gram[np.ix_(kept, kept)]
    penalty = RIDGE * np.trace(inner) / len(kept)
    if penalty == 0.0:  # the kept units say nothing at all
        return weights
    factors = np.linalg.solve(inner + penalty * np.eye(len(kept)), gram[kept]).T
    weights.out[:, kept] = layer.out.weight @ factors
    return weights


def fold(layer: Layer, selection: Selection) -> Weights:
    """``fold``: centroid of the incoming weights in, sum of the outgoing ones out."""
    weights = with_own_inputs(layer)
    clusters: dict[int, list[int]] = {unit: [unit] for unit in range(layer.units)}
    for removal in selection.removals:
        if removal.rule != "similar" or removal.partner is None:
            _unlike(weights, layer, removal)
            continue
        _add(weights, layer, removal)
        clusters[removal.partner] += clusters.pop(removal.unit)
    for survivor, members in clusters.items():
        weights.into[survivor] = layer.into.weight[members].mean(axis=0)
        weights.into_bias[survivor] = layer.into.bias[members].mean()
    return weights


def add_incoming(layer: Layer, selection: Selection) -> Weights:
    """``add_incoming``: the removed unit's incoming weights are added to its survivor's.

    What some implementations do: of two equal units it doubles the pre-activation. Everything but
    similar units is handled as by ``add``.
    """
    weights = with_own_inputs(layer)
    for removal in selection.removals:
        if removal.rule != "similar" or removal.partner is None:
            _unlike(weights, layer, removal)
            continue
        weights.into[removal.partner] += weights.into[removal.unit]
        weights.into_bias[removal.partner] += weights.into_bias[removal.unit]
    return weights


def _unlike(weights: Weights, layer: Layer, removal: Removal) -> None:
    """What a compensation of similar units does about all others, and about those of nobody."""
    if removal.rule == "similar":
        _nobody(weights, layer, removal)
    _SPECIAL[removal.rule](weights, layer, removal, _add)


def fitted(layer: Layer, selection: Selection) -> Weights:
    """``fitted``: outgoing weights that the technique fitted while it selected."""
    if selection.fitted is None:
        raise UserError("this selection brings no weights of its own: take another compensation")
    into = layer.into
    return Weights(into.weight, into.bias, selection.fitted.weight, selection.fitted.bias)


Needs = Literal["nothing", "partners", "fitted"]


@dataclass(frozen=True)
class Compensation:
    """A compensation and what a selection must bring for it."""

    apply: Callable[[Layer, Selection], Weights]
    needs: Needs = "nothing"


COMPENSATIONS: dict[str, Compensation] = {
    "none": Compensation(drop),
    "bias": Compensation(mean_to_bias),
    "add": Compensation(partial(_pairwise, _add), "partners"),
    "scaled": Compensation(partial(_pairwise, _scaled), "partners"),
    "affine": Compensation(partial(_pairwise, _affine), "partners"),
    "lstsq": Compensation(refit),
    "ridge": Compensation(reconstruct),
    "fold": Compensation(fold, "partners"),
    "add_incoming": Compensation(add_incoming, "partners"),
    "fitted": Compensation(fitted, "fitted"),
}
WITHOUT_PARTNER = tuple(n for n, c in COMPENSATIONS.items() if c.needs == "nothing")


def find_compensation(name: str) -> Compensation:
    """Compensation of that name.

    Raises:
        UserError: there is none; the message lists those there are.
    """
    if name not in COMPENSATIONS:
        raise UserError(f"no compensation {name!r}; known: {', '.join(COMPENSATIONS)}")
    return COMPENSATIONS[name]


def compensate(layer: Layer, selection: Selection, name: str) -> Weights:
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
