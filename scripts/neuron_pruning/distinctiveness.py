"""Selection of redundant units by distinctiveness (Gedeon & Harris 1991; the paper, 2.3)."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuron_pruning.angles import Centring, centre, check_activations, pairwise_angles
from neuron_pruning.errors import UserError

Rule = Literal["short", "constant", "similar", "complementary"]
Complementary = Literal["both", "lossless"]

RULES: tuple[Rule, ...] = get_args(Rule)


@dataclass(frozen=True)
class Removal:
    """One unit that goes, by which rule, and in favour of which surviving or paired unit.

    ``together``: the partner goes too, as the other half of a complementary pair.
    """

    unit: int
    rule: Rule
    partner: int | None = None
    angle: float | None = None
    together: bool = False


@dataclass(frozen=True)
class Selection:
    """Which units of a layer of ``units`` go, in the order in which they were found."""

    units: int
    removals: tuple[Removal, ...]
    largest_similar_angle: float | None = None  # degrees, of a unit and the one that stands in

    @property
    def kept(self) -> tuple[int, ...]:
        """Surviving units in ascending order."""
        gone = {removal.unit for removal in self.removals}
        return tuple(unit for unit in range(self.units) if unit not in gone)

    @property
    def counts(self) -> dict[str, int]:
        """Removed units by rule, every rule named."""
        found = Counter(removal.rule for removal in self.removals)
        return {rule: found[rule] for rule in RULES}


def select_units(
    activations: ArrayLike,
    angle: float = 15.0,
    *,
    centring: Centring = "half",
    short_threshold: float = 0.05,
    constant_threshold: float = 0.0,
    complementary: Complementary = "both",
) -> Selection:
    """Units that are short, constant, similar to another or complementary to another.

    Args:
        activations: N training patterns x H units, evaluation mode.
        angle: threshold t in degrees, in (0, 90]: similar below t, complementary above 180 - t.
        centring: what is subtracted before the angle is taken.
        short_threshold: a unit goes if its root mean square activation is below.
        constant_threshold: a unit goes if its standard deviation is below (0: never).
        complementary: ``both`` units of a pair go, or ``lossless``: the higher index alone.

    Raises:
        UserError: a setting out of range, or activations that have no angles.
    """
    if not 0 < angle <= 90:
        raise UserError(f"angle must be in (0, 90] degrees, not {angle}")
    if complementary not in get_args(Complementary):
        raise UserError(f"complementary must be both or lossless, not {complementary!r}")
    matrix = check_activations(activations)
    alive = np.ones(matrix.shape[1], dtype=bool)
    removals = list(_flat_units(matrix, alive, centring, short_threshold, constant_threshold))
    angles = pairwise_angles(matrix, centring)
    removals += _similar_units(angles, alive, angle)
    removals += _complementary_units(angles, alive, angle, complementary)
    return Selection(matrix.shape[1], tuple(removals), _largest_similar_angle(removals, angles))


def _largest_similar_angle(removals: list[Removal], angles: NDArray[np.float64]) -> float | None:
    """Largest angle between a removed unit and the one that has its weights in the end.

    ASSUME: a survivor may go in its turn, in favour of a third unit; the weights travel on, and
    the angle to that third unit may exceed the threshold. So it is recorded.
    """
    heirs = {r.unit: r.partner for r in removals if r.rule == "similar" and r.partner is not None}

    def last_heir(unit: int) -> int:
        while unit in heirs:
            unit = heirs[unit]
        return unit

    return max((float(angles[unit, last_heir(unit)]) for unit in heirs), default=None)


def _flat_units(
    matrix: NDArray[np.float64],
    alive: NDArray[np.bool_],
    centring: Centring,
    short_threshold: float,
    constant_threshold: float,
) -> Iterator[Removal]:
    """Short units, then constant ones; a unit without a direction counts as constant.

    ASSUME: the paper names neither class; both come from Gedeon & Harris.
    """
    rms = np.sqrt((matrix**2).mean(axis=0))
    directionless = ~centre(matrix, centring).any(axis=0)
    constant = directionless | (matrix.std(axis=0) < constant_threshold)
    for unit in range(matrix.shape[1]):
        if alive.sum() == 1:
            return
        if rms[unit] < short_threshold:
            alive[unit] = False
            yield Removal(unit, "short")
        elif constant[unit]:
            alive[unit] = False
            yield Removal(unit, "constant")


def _pairs(
    chosen: NDArray[np.bool_], order_by: NDArray[np.float64], alive: NDArray[np.bool_]
) -> Iterator[tuple[int, int]]:
    """Pairs i < j with ``chosen`` by ascending ``order_by``, both alive when it is their turn."""
    first, second = np.nonzero(np.triu(chosen & alive & alive[:, None], 1))
    # ASSUME: below 1e-6 degrees arccos is rounding noise: equal angles go by index.
    order = np.argsort(order_by[first, second].round(6), kind="stable")
    for i, j in zip(first[order].tolist(), second[order].tolist(), strict=True):
        if alive[i] and alive[j]:
            yield i, j


def _similar_units(
    angles: NDArray[np.float64], alive: NDArray[np.bool_], threshold: float
) -> Iterator[Removal]:
    """Higher index of every pair below the threshold, never by transitive closure.

    ASSUME: the paper does not say which of two similar units goes.
    """
    for i, j in _pairs(angles < threshold, angles, alive):
        alive[j] = False
        yield Removal(j, "similar", partner=i, angle=float(angles[i, j]))


def _complementary_units(
    angles: NDArray[np.float64],
    alive: NDArray[np.bool_],
    threshold: float,
    rule: Complementary,
) -> Iterator[Removal]:
    """Pairs above 180 - threshold among the survivors; at least one unit stays.

    ASSUME: of the paper's "less than 15 degrees ... complementary, and both should be removed"
    the first half is read as similar, the second as this rule.
    """
    for i, j in _pairs(angles > 180.0 - threshold, -angles, alive):
        pair_angle = float(angles[i, j])
        if rule == "both":
            if alive.sum() <= 2:
                return
            alive[i] = False
            yield Removal(i, "complementary", partner=j, angle=pair_angle, together=True)
        alive[j] = False
        together = rule == "both"
        yield Removal(j, "complementary", partner=i, angle=pair_angle, together=together)
