"""What a technique is: a way to select the units of a layer that are removed.

A technique is one file beside this: a function of a layer and keyword settings, with one of the
decorators below. They state what the function returns, and so which amounts a technique takes:

* ``by_score``: one number per unit; the smallest are removed first, of equals the higher index.
* ``by_order``: removals of all units but one at most, the first one first.
* ``by_count``: a function of the number of units, prepared once.
* ``by_angle``: a function of the threshold in degrees, prepared once.

All take what else is known of the technique: see :class:`About`.
"""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, Required, TypedDict, Unpack, get_args

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from neuron_pruning.core.errors import UserError, did_you_mean
from neuron_pruning.pruning.angles import check_activations
from neuron_pruning.pruning.compensations import WITHOUT_MERGE_TARGET, find_compensation
from neuron_pruning.pruning.selection import Removal, Selection
from neuron_pruning.pruning.units import NEEDS, Need, UnitLayer, unmet_need

Amount = Literal["angle", "units"]
Returns = Literal["scores", "removals", "function of units", "function of angle"]
SelectAtAmount = Callable[[float], Selection]
UnitScores = Float64[NDArray, " units"]


class About(TypedDict, total=False):
    """What a decorator states of a technique."""

    needs: Required[Need]  # the most that it needs of a layer, by definition
    compensation: str  # what its authors give the remaining units
    merges: bool  # whether its removals have merge targets, which merging needs
    fits_weights: bool  # whether it fits outgoing weights of its own
    largest: bool  # whether the largest scores are removed first
    setting_needs: Mapping[str, Need]  # settings which, other than at their default, need more


@dataclass(frozen=True)
class Technique:
    """A selection of units, prepared once for a layer and asked for many amounts.

    Attributes:
        function: as its author wrote it; to call the technique is to call this.
        returns: what the function returns.
    """

    function: Callable[..., Any]
    returns: Returns
    needs: Need
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
    def name(self) -> str:
        """That of its function."""
        return self.function.__name__

    @property
    def amount(self) -> Amount:
        """``angle``, a threshold in degrees, or ``units``, how many are removed."""
        return "angle" if self.returns == "function of angle" else "units"

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

    def prepare(self, layer: UnitLayer, **settings: Any) -> SelectAtAmount:
        """As :meth:`prepared`, without its checks."""
        found = self.function(layer, **settings)
        if self.returns == "scores":
            scores = np.asarray(found, dtype=np.float64)
            found = ranked(-scores if self.largest else scores)
        return in_order(layer.units, found) if self.returns in ("scores", "removals") else found

    def refusal_of_layer(
        self, layer: str, offered: Need, settings: Mapping[str, Any]
    ) -> str | None:
        """Why the technique cannot select units of the layer of that name; None where it can."""
        return unmet_need(self.name, self.needed(settings), offered, layer)

    def needed(self, settings: Mapping[str, Any]) -> Need:
        """The most that the technique needs of a layer with these settings."""
        changed = {name for name, value in settings.items() if value != self.settings[name]}
        more = [need for name, need in self.setting_needs.items() if name in changed]
        return max([self.needs, *more], key=NEEDS.index)

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Refuse settings that the technique does not have, and values of another kind."""
        odd = sorted(settings.keys() - self.settings.keys())
        if odd:
            known = ", ".join(self.settings) or "none"
            meant = did_you_mean(odd[0], self.settings)
            raise UserError(f"{self.name} has no setting {', '.join(odd)}; known: {known}{meant}")
        parameters = inspect.signature(self.function).parameters
        for name, value in settings.items():
            kind = parameters[name].annotation
            options = get_args(kind)
            if options and value not in options:
                raise UserError(f"{name} must be one of {', '.join(options)}; not {value!r}")
            if not options and not _is_number(value, whole=kind is int):
                wanted = "a whole number" if kind is int else "a number"
                raise UserError(f"{name} must be {wanted} of 0 or more; not {value!r}")

    def parsed_settings(self, texts: Mapping[str, str]) -> dict[str, Any]:
        """Settings from text, as on a command line: numbers for those that are numbers.

        Raises:
            UserError: a setting that the technique does not have, or a value of another kind.
        """
        parameters = inspect.signature(self.function).parameters
        found = {
            name: _number(text)
            if name in parameters and not get_args(parameters[name].annotation)
            else text
            for name, text in texts.items()
        }
        self.check_settings(found)
        return found

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
        """Refuse, with a UserError, a compensation that makes no sense for this selection."""
        reason = self.refusal(name)
        if reason is not None:
            raise UserError(reason)


def _is_number(value: object, whole: bool) -> bool:
    kinds = int if whole else (int, float)
    return isinstance(value, kinds) and not isinstance(value, bool) and 0 <= value < math.inf


def _number(text: str) -> int | float | str:
    """The number that a text says; the text itself where it says none."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def _declare(returns: Returns, **about: Unpack[About]) -> Callable[[Callable[..., Any]], Technique]:
    """Decorator of a function that returns so."""
    return lambda function: Technique(function, returns, **about)


by_score = partial(_declare, "scores")
by_order = partial(_declare, "removals")
by_count = partial(_declare, "function of units")
by_angle = partial(_declare, "function of angle")


def precomputed_score(layer: UnitLayer, name: str, remedy: str) -> UnitScores:
    """A score that another stage computed; a UserError with the remedy if it did not."""
    if name not in layer.precomputed_scores:
        raise UserError(f"{layer.name} comes without the score {name}: {remedy}")
    return layer.precomputed_scores[name]


def ranked(scores: UnitScores) -> list[Removal]:
    """Units by ascending score, without merge targets; one always stays."""
    broken = np.flatnonzero(np.isnan(scores))
    if broken.size:
        raise UserError(f"the score of unit {broken[0]} is not a number")
    # Of equals the higher index is removed first, as of similar units.
    order = np.lexsort((-np.arange(len(scores)), scores))
    return [Removal(unit, "ranked") for unit in order.tolist()[:-1]]


def whole_count(amount: float, units: int) -> int:
    """A number of units that a layer can lose; a UserError if it is none, or too many."""
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
