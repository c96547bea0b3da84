"""What a technique is: a way to select the units of a layer that are removed.

A technique is one file beside this: a function with one of the decorators below. They state
what the function returns, and so which amounts a technique takes.
"""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from neuron_pruning.core.errors import UserError
from neuron_pruning.pruning.angles import check_activations
from neuron_pruning.pruning.compensations import WITHOUT_MERGE_TARGET, find_compensation
from neuron_pruning.pruning.selection import Removal, Selection
from neuron_pruning.pruning.units import NEEDS, Need, UnitLayer, Vector, unmet_need

Amount = Literal["angle", "units"]
SelectAtAmount = Callable[[float], Selection]
UnitScores = Vector  # H, one number per unit


@dataclass(frozen=True)
class Technique:
    """A selection of units, prepared once for a layer and asked for many amounts.

    Attributes:
        name: that of its function.
        function: as its author wrote it; to call the technique is to call this.
        prepare: from a layer and keyword settings to a function of the amount.
        needs: the most that it needs of a layer, by definition: the least that would do.
        amount: ``angle``, a threshold in degrees, or ``units``, how many are removed.
        compensation: what its authors give the remaining units.
        merges: whether its removals have merge targets, which merging needs.
        fits_weights: whether it fits outgoing weights of its own.
        largest: whether the largest scores are removed first.
        setting_needs: settings which, other than at their default, need more.
    """

    name: str
    function: Callable[..., Any]
    prepare: Callable[..., SelectAtAmount]
    needs: Need
    amount: Amount = "units"
    compensation: str = "none"
    merges: bool = False
    fits_weights: bool = False
    largest: bool = False
    setting_needs: Mapping[str, Need] = field(default_factory=dict)

    def __call__(self, layer: UnitLayer, **settings: Any) -> Any:
        """What the function returns: scores, removals or a function of the amount."""
        return self.function(layer, **settings)

    @property
    def module(self) -> str:
        """Where its function is; a change there is a change of this technique alone."""
        return self.function.__module__

    @property
    def settings(self) -> dict[str, Any]:
        """Names and defaults of its settings."""
        parameters = inspect.signature(self.function).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    def select(self, layer: UnitLayer, amount: float, **settings: Any) -> Selection:
        """Units of ``layer`` that are removed at one amount."""
        return self.prepared(layer, **settings)(amount)

    def prepared(self, layer: UnitLayer, **settings: Any) -> SelectAtAmount:
        """The selection as a function of the amount.

        Raises:
            UserError: a setting that the technique does not have, a layer that does not offer what
                it needs, or a layer of one unit.
        """
        self.check_settings(settings)
        reason = self.refusal_of_layer(layer.name, layer.offers, settings)
        if reason is not None:
            raise UserError(reason)
        if layer.units < 2:
            raise UserError(f"{layer.name} has {layer.units} unit; at least one must remain")
        if layer.recorded is not None:
            check_activations(layer.activations)
        return self.prepare(layer, **settings)

    def refusal_of_layer(
        self, layer: str, offered: Need, settings: Mapping[str, Any]
    ) -> str | None:
        """Why the technique cannot select units of a layer; None where it can.

        Args:
            layer: name of the layer.
            offered: the most that the layer offers.
            settings: of the technique.
        """
        changed = {name for name, value in settings.items() if value != self.settings[name]}
        more = [need for name, need in self.setting_needs.items() if name in changed]
        return unmet_need(self.name, max([self.needs, *more], key=NEEDS.index), offered, layer)

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Refuse settings that the technique does not have, and values of another kind.

        Raises:
            UserError: naming them and those there are.
        """
        odd = sorted(settings.keys() - self.settings.keys())
        if odd:
            known = ", ".join(self.settings) or "none"
            raise UserError(f"{self.name} has no setting {', '.join(odd)}; known: {known}")
        parameters = inspect.signature(self.function).parameters
        for name, value in settings.items():
            kind = parameters[name].annotation
            options = get_args(kind)
            if options and value not in options:
                raise UserError(f"{name} must be one of {', '.join(options)}; not {value!r}")
            if not options and not _is_number(value, whole=kind is int):
                wanted = "a whole number" if kind is int else "a number"
                raise UserError(f"{name} must be {wanted} of 0 or more; not {value!r}")

    def refusal(self, compensation: str) -> str | None:
        """Why a compensation makes no sense for this selection; None where it does."""
        required = find_compensation(compensation).requires
        if required == "merge targets" and not self.merges:
            return (
                f"{self.name} removes units without merge targets, so {compensation} has nothing "
                f"to merge them into; take one of {', '.join(WITHOUT_MERGE_TARGET)}"
            )
        if required == "fitted weights" and not self.fits_weights:
            return f"{self.name} fits no weights of its own, which {compensation} would take"
        return None

    def check_compensation(self, name: str) -> None:
        """Refuse a compensation that makes no sense for this selection.

        Raises:
            UserError: saying why.
        """
        reason = self.refusal(name)
        if reason is not None:
            raise UserError(reason)


def _is_number(value: object, whole: bool) -> bool:
    kinds = int if whole else (int, float)
    return isinstance(value, kinds) and not isinstance(value, bool) and 0 <= value < math.inf


Declare = Callable[[Callable[..., Any]], Technique]


def by_score(*, needs: Need, compensation: str = "none", largest: bool = False) -> Declare:
    """Declare a technique that removes the units with the smallest score first, or the largest.

    The function takes a layer and keyword settings and returns H numbers. Of equal scores the
    higher index is removed first.

    Args:
        needs: the most that the technique needs of a layer.
        compensation: what its authors give the remaining units.
        largest: whether the largest scores are removed first.
    """

    def declare(score: Callable[..., UnitScores]) -> Technique:
        def prepare(layer: UnitLayer, **settings: Any) -> SelectAtAmount:
            scores = np.asarray(score(layer, **settings), dtype=np.float64)
            return in_order(layer.units, ranked(-scores if largest else scores))

        return Technique(
            score.__name__, score, prepare, needs, compensation=compensation, largest=largest
        )

    return declare


def by_order(*, needs: Need, compensation: str = "none", merges: bool = False) -> Declare:
    """Declare a technique that orders the units: which is removed first, second and so on.

    The function takes a layer and keyword settings and returns at most H - 1 removals.

    Args:
        needs: the most that the technique needs of a layer.
        compensation: what its authors give the remaining units.
        merges: whether removals have merge targets.
    """

    def declare(order: Callable[..., Sequence[Removal]]) -> Technique:
        def prepare(layer: UnitLayer, **settings: Any) -> SelectAtAmount:
            return in_order(layer.units, order(layer, **settings))

        return Technique(
            order.__name__, order, prepare, needs, compensation=compensation, merges=merges
        )

    return declare


def by_count(
    *, needs: Need, compensation: str, merges: bool = False, fits_weights: bool = False
) -> Declare:
    """Declare a technique that selects again for every number of units; prepared once.

    The function takes a layer and keyword settings and returns a function of the number.

    Args:
        needs: the most that the technique needs of a layer.
        compensation: what its authors give the remaining units.
        merges: whether removals have merge targets.
        fits_weights: whether selections bring outgoing weights of their own.
    """

    def declare(select: Callable[..., SelectAtAmount]) -> Technique:
        return Technique(
            select.__name__,
            select,
            select,
            needs,
            compensation=compensation,
            merges=merges,
            fits_weights=fits_weights,
        )

    return declare


def by_angle(
    *,
    needs: Need,
    compensation: str = "add",
    merges: bool = True,
    setting_needs: Mapping[str, Need] | None = None,
) -> Declare:
    """Declare a technique that removes what lies within a threshold in degrees; prepared once.

    The function takes a layer and keyword settings and returns a function of the threshold.

    Args:
        needs: the most that the technique needs of a layer.
        compensation: what its authors give the remaining units.
        merges: whether removals have merge targets.
        setting_needs: settings which, other than at their default, need more.
    """

    def declare(select: Callable[..., SelectAtAmount]) -> Technique:
        return Technique(
            select.__name__,
            select,
            select,
            needs,
            amount="angle",
            compensation=compensation,
            merges=merges,
            setting_needs=setting_needs or {},
        )

    return declare


def precomputed_score(layer: UnitLayer, name: str, remedy: str) -> UnitScores:
    """A score that another stage computed.

    Raises:
        UserError: it did not.
    """
    if name not in layer.precomputed_scores:
        raise UserError(f"{layer.name} comes without the score {name}: {remedy}")
    return layer.precomputed_scores[name]


def ranked(scores: UnitScores) -> list[Removal]:
    """Units by ascending score, without merge targets; one always stays.

    Raises:
        UserError: a score that is no number.
    """
    broken = np.flatnonzero(np.isnan(scores))
    if broken.size:
        raise UserError(f"the score of unit {broken[0]} is not a number")
    # Of equals the higher index is removed first, as of similar units.
    order = np.lexsort((-np.arange(len(scores)), scores))
    return [Removal(unit, "ranked") for unit in order.tolist()[:-1]]


def whole_count(amount: float, units: int) -> int:
    """A number of units that a layer can lose.

    Raises:
        UserError: none, or as many as the layer has.
    """
    if not 0 <= amount < units or amount != int(amount):
        raise UserError(f"cannot remove {amount:g} of {units} units; at least one must remain")
    return int(amount)


def in_order(units: int, removals: Sequence[Removal]) -> SelectAtAmount:
    """Selection of the first so many removals."""
    whole = Selection(units, tuple(removals))

    def at(amount: float) -> Selection:
        count = whole_count(amount, units)
        if count > len(removals):
            raise UserError(f"this technique removes {len(removals)} of {units} units at most")
        return whole.first(count)

    return at
