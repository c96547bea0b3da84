"""Selection of redundant units by distinctiveness (Gedeon & Harris 1991; the paper, 2.3)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float64
from numpy.typing import ArrayLike, NDArray

from neuron_pruning.core.errors import UserError
from neuron_pruning.pruning.angles import (
    Centring,
    Pairs,
    ValueRange,
    centre,
    check_activations,
    is_flat,
    pairs_within,
)
from neuron_pruning.pruning.groups import Groups, joint_removals
from neuron_pruning.pruning.selection import Removal, Selection

Complementary = Literal["both", "lossless"]
Alive = Bool[NDArray, " units"]


@dataclass(frozen=True)
class RedundancyCriteria:
    """Which units count as redundant: kinds of redundancy and their thresholds.

    Attributes:
        centring: what is subtracted before the angle is taken.
        short_threshold: a unit is removed if its root mean square activation is below.
        constant_threshold: a unit is removed if its standard deviation is below (0: never).
        complementary: ``both`` units of a pair are removed, or ``lossless``: the higher index.
        groups: ``none``; ``faithful``, where a group with a constant joint effect is removed; or
            ``lossless``, where one unit of a linear dependency is removed.
    """

    centring: Centring = "half"
    short_threshold: float = 0.05
    constant_threshold: float = 0.0
    complementary: Complementary = "both"
    groups: Groups = "none"

    def __post_init__(self) -> None:
        known = {"centring": Centring, "complementary": Complementary, "groups": Groups}
        for name, kind in known.items():
            options, value = get_args(kind), getattr(self, name)
            if value not in options:
                raise UserError(f"{name} must be one of {', '.join(options)}; not {value!r}")


def select_units(
    activations: ArrayLike,
    angle: float = 15.0,
    *,
    centring: Centring = "half",
    short_threshold: float = 0.05,
    constant_threshold: float = 0.0,
    complementary: Complementary = "both",
    groups: Groups = "none",
) -> Selection:
    """Units that are short, constant, similar to another or complementary to another.

    Args:
        activations: training patterns x units, evaluation mode.
        angle: threshold t in degrees, in (0, 90]: similar below t, complementary above 180 - t.
        centring: see :class:`RedundancyCriteria`, as all that follow.
        short_threshold: a root mean square.
        constant_threshold: a standard deviation.
        complementary: ``both`` or ``lossless``.
        groups: ``none``, ``faithful`` or ``lossless``.

    Raises:
        UserError: a setting out of range, or activations that have no angles.
    """
    criteria = RedundancyCriteria(
        centring, short_threshold, constant_threshold, complementary, groups
    )
    return Redundancy(check_activations(activations), criteria).select_at(angle)


@dataclass
class Redundancy:
    """Redundant units of a layer at any threshold, the widest first: what they share is done once.

    ``vectors``, one column per unit, take the place of centred activations in the angles.
    ``value_range`` is that of the activations where other rows stand for them.
    """

    activations: Float64[NDArray, "patterns units"]
    criteria: RedundancyCriteria = field(default_factory=RedundancyCriteria)
    vectors: Float64[NDArray, "dimensions units"] | None = None
    value_range: ValueRange | None = None

    def __post_init__(self) -> None:
        centred = centre(self.activations, self.criteria.centring, self.value_range)
        self._alive = np.ones(self.activations.shape[1], dtype=bool)
        self._flat = list(_flat_units(self.activations, self._alive, centred, self.criteria))
        self._vectors = centred if self.vectors is None else self.vectors
        self._reach = 0.0

    def select_at(self, angle: float) -> Selection:
        """Selection at a threshold in degrees."""
        check_angle(angle)
        if angle > self._reach:  # a narrower threshold needs no other pairs
            near, self._far = pairs_within(self._vectors, angle)
            self._similar = list(_similar_units(near, self._alive.copy()))
            self._reach = angle
        alive = self._alive.copy()
        similar = [r for r in self._similar if r.angle is not None and r.angle < angle]
        alive[[removal.unit for removal in similar]] = False
        removals = [*self._flat, *similar]
        removals += _complementary_units(self._far, alive, angle, self.criteria.complementary)
        removals += joint_removals(self.activations, alive, self.criteria.groups)
        largest = _largest_similar_angle(similar, self._vectors)
        return Selection(len(alive), tuple(removals), largest)


def check_angle(angle: float) -> None:
    """Refuse, with a UserError, an angle out of (0, 90]."""
    if not 0 < angle <= 90:
        raise UserError(f"angle must be in (0, 90] degrees, not {angle}")


def _largest_similar_angle(
    similar: list[Removal], vectors: Float64[NDArray, "dimensions units"]
) -> float | None:
    """Largest angle between a removed unit and the one that has its weights in the end.

    ASSUME: a merge target may itself be removed later, merged into a third unit; the weights
    travel on, and the angle to that third unit may exceed the threshold. So it is recorded.
    """
    if not similar:
        return None
    final: dict[int, int] = {}
    for removal in reversed(similar):  # a merge target that is removed, is removed later
        assert removal.partner is not None
        final[removal.unit] = final.get(removal.partner, removal.partner)
    removed, kept = vectors[:, list(final)], vectors[:, list(final.values())]
    lengths = np.linalg.norm(removed, axis=0) * np.linalg.norm(kept, axis=0)
    cosines = np.clip((removed * kept).sum(axis=0) / lengths, -1.0, 1.0)
    return float(np.degrees(np.arccos(cosines.min())))


def _flat_units(
    matrix: Float64[NDArray, "patterns units"],
    alive: Alive,
    centred: Float64[NDArray, "patterns units"],
    criteria: RedundancyCriteria,
) -> Iterator[Removal]:
    """Short units, then constant ones; a unit without a direction counts as constant.

    ASSUME: the paper names neither class; both come from Gedeon & Harris.
    """
    constant = is_flat(centred, matrix) | (matrix.std(axis=0) < criteria.constant_threshold)
    short = np.sqrt((matrix**2).mean(axis=0)) < criteria.short_threshold
    for unit in np.flatnonzero(short | constant).tolist()[: len(alive) - 1]:  # one stays
        alive[unit] = False
        yield Removal(unit, "short" if short[unit] else "constant")


def _in_turn(pairs: Pairs, alive: Alive, largest: bool = False) -> Iterator[tuple[int, int, float]]:
    """Pairs by ascending angle, or descending, both units alive when it is their turn."""
    # ASSUME: below 1e-6 degrees arccos is rounding noise: equal angles go by index.
    rounded = pairs.angles.round(6)
    order = np.argsort(-rounded if largest else rounded, kind="stable")
    for i, j, angle in zip(*(column[order].tolist() for column in pairs), strict=True):
        if alive[i] and alive[j]:
            yield i, j, angle


def _similar_units(near: Pairs, alive: Alive) -> Iterator[Removal]:
    """Higher index of every pair, never by transitive closure.

    ASSUME: the paper does not say which of two similar units is removed.
    """
    for i, j, angle in _in_turn(near, alive):
        alive[j] = False
        yield Removal(j, "similar", partner=i, angle=angle)


def _complementary_units(
    far: Pairs, alive: Alive, threshold: float, rule: Complementary
) -> Iterator[Removal]:
    """Pairs above 180 - threshold among the remaining units; at least one unit stays.

    ASSUME: of the paper's "less than 15 degrees ... complementary, and both should be removed"
    the first half is read as similar, the second as this rule.
    """
    pairs = far.where(alive[far.first] & alive[far.second] & (far.angles > 180.0 - threshold))
    for i, j, pair_angle in _in_turn(pairs, alive, largest=True):
        if rule == "both":
            if alive.sum() <= 2:
                return
            alive[i] = False
            yield Removal(i, "complementary", j, pair_angle, removes_both=True)
        alive[j] = False
        yield Removal(j, "complementary", i, pair_angle, removes_both=rule == "both")
