"""Which units of a layer go, and in whose favour."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from neuron_pruning.core.errors import UserError

# short, constant, similar, complementary, group: classes of distinctiveness. reverse: a unit that
# says the opposite of another. ranked: removed for its place in an order, in nobody's favour.
Rule = Literal["short", "constant", "similar", "complementary", "group", "reverse", "ranked"]
RULES: tuple[Rule, ...] = get_args(Rule)


@dataclass(frozen=True)
class Removal:
    """One unit that goes, by which rule, and in favour of which surviving or paired unit.

    ``together``: the partner goes too, as the other half of a complementary pair.
    ``members``: the other units of a linear dependency (groups).
    """

    unit: int
    rule: Rule
    partner: int | None = None
    angle: float | None = None
    together: bool = False
    members: tuple[int, ...] = ()


@dataclass(frozen=True)
class OutgoingWeights:
    """Weights (O x H) and bias (O) into the following layer that a technique fitted itself."""

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]


def units_of(amount: float, units: int) -> int:
    """A number of units from a number, or from a share of the layer if it is below 1."""
    return int(amount) if amount >= 1 else round(amount * units)


@dataclass(frozen=True)
class Selection:
    """Which units of a layer of ``units`` go, in the order in which they were found."""

    units: int
    removals: tuple[Removal, ...]
    largest_similar_angle: float | None = None  # degrees, of a unit and the one that stands in
    fitted: OutgoingWeights | None = None

    def __post_init__(self) -> None:
        gone = [removal.unit for removal in self.removals]
        if len(set(gone)) < len(gone) or not set(gone) <= set(range(self.units)):
            raise UserError(f"a selection names a unit twice, or none of the {self.units}: {gone}")
        if len(gone) >= self.units:
            raise UserError(f"this would remove all {self.units} units: a layer keeps one at least")

    @property
    def kept(self) -> tuple[int, ...]:
        """Surviving units in ascending order."""
        gone = {removal.unit for removal in self.removals}
        return tuple(unit for unit in range(self.units) if unit not in gone)

    @property
    def removed(self) -> tuple[int, ...]:
        """Removed units in the order in which they were found."""
        return tuple(removal.unit for removal in self.removals)

    @property
    def counts(self) -> dict[str, int]:
        """Removed units by rule, every rule named."""
        found = Counter(removal.rule for removal in self.removals)
        return {rule: found[rule] for rule in RULES}

    def first(self, count: int) -> "Selection":
        """The first ``count`` removals alone; of a pair cut in half, one unit stays as partner."""
        if count == len(self.removals):
            return self
        gone = {removal.unit for removal in self.removals[:count]}
        removals = (
            replace(removal, together=removal.together and removal.partner in gone)
            for removal in self.removals[:count]
        )
        return replace(self, removals=tuple(removals), largest_similar_angle=None)
