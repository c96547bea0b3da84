"""Which units of a layer are removed, and their merge targets."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Literal, get_args

from neuron_pruning.core.errors import UserError
from neuron_pruning.models.dense import Dense

# short, constant, similar, complementary, group: classes of distinctiveness. reverse: a unit that
# is 1 minus another. ranked: removed for its place in an order, without merge target.
Rule = Literal["short", "constant", "similar", "complementary", "group", "reverse", "ranked"]
RULES: tuple[Rule, ...] = get_args(Rule)


@dataclass(frozen=True)
class Removal:
    """One removed unit, by which rule, and the other unit of its pair.

    Attributes:
        unit: index of the removed unit.
        rule: why it is removed.
        partner: its merge target or, where a pair is removed whole, the other half; None: neither.
        angle: between the two, degrees.
        removes_both: whether the partner is removed too, as half of a complementary pair.
        members: the other units of a linear dependency (groups).
    """

    unit: int
    rule: Rule
    partner: int | None = None
    angle: float | None = None
    removes_both: bool = False
    members: tuple[int, ...] = ()

    @property
    def merge_target(self) -> int | None:
        """The unit that can receive the removed unit's weights, if there is one."""
        return None if self.removes_both else self.partner


def resolve_count(amount: float, units: int) -> int:
    """A number of units from a number, or from a share of the layer if it is below 1."""
    return int(amount) if amount >= 1 else round(amount * units)


@dataclass(frozen=True)
class Selection:
    """Which units of a layer are removed, in the order in which they were found.

    Attributes:
        units: of the layer before pruning.
        removals: of units, each once.
        largest_similar_angle: between a removed unit and its final merge target, degrees.
        fitted: outgoing weights, outputs x units, and biases that a technique fitted itself.
    """

    units: int
    removals: tuple[Removal, ...]
    largest_similar_angle: float | None = None
    fitted: Dense | None = None

    def __post_init__(self) -> None:
        removed = self.removed
        if len(set(removed)) < len(removed):
            raise UserError(f"a selection removes a unit twice: {list(removed)}")
        if not set(removed) <= set(range(self.units)):
            raise UserError(
                f"a selection removes a unit that is not 0 to {self.units - 1}: {list(removed)}"
            )
        if len(removed) >= self.units:
            raise UserError(f"cannot remove all {self.units} units; at least one must remain")

    @property
    def kept(self) -> tuple[int, ...]:
        """Remaining units in ascending order."""
        removed = set(self.removed)
        return tuple(unit for unit in range(self.units) if unit not in removed)

    @property
    def removed(self) -> tuple[int, ...]:
        """Removed units in the order in which they were found."""
        return tuple(removal.unit for removal in self.removals)

    @property
    def clusters(self) -> dict[int, list[int]]:
        """Units that stay, each with those that were merged into it as similar."""
        clusters = {unit: [unit] for unit in range(self.units)}
        for removal in self.removals:
            if removal.rule == "similar" and removal.merge_target is not None:
                clusters[removal.merge_target] += clusters.pop(removal.unit)
        return clusters

    @property
    def counts(self) -> dict[str, int]:
        """Removed units by rule, every rule named."""
        counted = Counter(removal.rule for removal in self.removals)
        return {rule: counted[rule] for rule in RULES}

    def first(self, count: int) -> "Selection":
        """The first ``count`` removals alone.

        Where that splits a pair, the unit that remains becomes the merge target of the other.
        """
        if count == len(self.removals):
            return self
        removed = set(self.removed[:count])
        removals = (
            replace(removal, removes_both=removal.removes_both and removal.partner in removed)
            for removal in self.removals[:count]
        )
        return replace(self, removals=tuple(removals), largest_similar_angle=None)
