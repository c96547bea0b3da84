"""What a technique is: a way to select the units of a layer that go."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from neuron_pruning.core.errors import UserError
from neuron_pruning.pruning.angles import check_activations
from neuron_pruning.pruning.compensations import WITHOUT_PARTNER, find_compensation
from neuron_pruning.pruning.selection import Removal, Selection
from neuron_pruning.pruning.units import Layer

Amount = Literal["angle", "units"]
Prepared = Callable[[float], Selection]
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Technique:
    """A selection of units, prepared once for a layer and asked for many amounts.

    Attributes:
        name: key of the registry.
        prepare: from a layer and keyword settings to a function of the amount.
        amount: ``angle``, a threshold in degrees, or ``units``, how many go.
        compensation: what its authors give the rest in return.
        partners: whether removed units go in favour of others, which merging needs.
        fitted: whether it fits outgoing weights of its own.
        largest: whether the largest scores go first.
        module: where its function is; a change there is a change of this technique alone.
    """

    name: str
    prepare: Callable[..., Prepared]
    amount: Amount = "units"
    compensation: str = "none"
    partners: bool = False
    fitted: bool = False
    largest: bool = False
    module: str = ""

    @property
    def settings(self) -> dict[str, Any]:
        """Names and defaults of its settings."""
        parameters = inspect.signature(self.prepare).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    def select(self, layer: Layer, amount: float, **settings: Any) -> Selection:
        """Units of ``layer`` that go at one amount."""
        return self.prepared(layer, **settings)(amount)

    def prepared(self, layer: Layer, **settings: Any) -> Prepared:
        """The selection as a function of the amount.

        Raises:
            UserError: a setting that the technique does not have, or a layer of one unit.
        """
        self.check_settings(settings)
        if layer.units < 2:
            raise UserError(f"{layer.name} has {layer.units} unit: nothing can go")
        if layer.recorded is not None:
            check_activations(layer.activations)
        return self.prepare(layer, **settings)

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Refuse settings that the technique does not have, and values of another kind.

        Raises:
            UserError: naming them and those there are.
        """
        odd = sorted(settings.keys() - self.settings.keys())
        if odd:
            known = ", ".join(self.settings) or "none"
            raise UserError(f"{self.name} has no setting {', '.join(odd)}; known: {known}")
        parameters = inspect.signature(self.prepare).parameters
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
        needs = find_compensation(compensation).needs
        if needs == "partners" and not self.partners:
            return (
                f"{self.name} removes units in nobody's favour, so {compensation} has nobody to "
                f"merge them into; take one of {', '.join(WITHOUT_PARTNER)}"
            )
        if needs == "fitted" and not self.fitted:
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


def by_score(
    score: Callable[..., Scores], compensation: str = "none", *, largest: bool = False
) -> Technique:
    """Technique that removes the units with the smallest score, or the largest, first.

    ``score`` takes a layer and keyword settings and returns H numbers. Equal scores go by index,
    the higher first.
    """

    def prepare(layer: Layer, **settings: Any) -> Prepared:
        scores = np.asarray(score(layer, **settings), dtype=np.float64)
        return in_order(layer.units, ranked(-scores if largest else scores))

    return _technique(score, prepare, compensation=compensation, largest=largest)


def by_order(
    order: Callable[..., Sequence[Removal]], compensation: str = "none", *, partners: bool = False
) -> Technique:
    """Technique that says which unit goes first, second and so on, at most H - 1."""

    def prepare(layer: Layer, **settings: Any) -> Prepared:
        return in_order(layer.units, order(layer, **settings))

    return _technique(order, prepare, compensation=compensation, partners=partners)


def by_count(
    select: Callable[..., Prepared],
    compensation: str,
    *,
    partners: bool = False,
    fitted: bool = False,
) -> Technique:
    """Technique that selects anew for every number of units; prepared once."""
    return _technique(select, select, compensation=compensation, partners=partners, fitted=fitted)


def by_angle(
    select: Callable[..., Prepared], compensation: str = "add", *, partners: bool = True
) -> Technique:
    """Technique that removes what lies within a threshold in degrees; prepared once."""
    return _technique(select, select, amount="angle", compensation=compensation, partners=partners)


def _technique(
    function: Callable[..., Any], prepare: Callable[..., Prepared], **fields: Any
) -> Technique:
    """Technique named like its function, with the function's settings and docstring."""
    prepare.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    prepare.__doc__ = function.__doc__
    return Technique(function.__name__, prepare, module=function.__module__, **fields)


def ranked(scores: Scores) -> list[Removal]:
    """Units by ascending score, in nobody's favour; one always stays.

    Raises:
        UserError: a score that is no number.
    """
    broken = np.flatnonzero(np.isnan(scores))
    if broken.size:
        raise UserError(f"the score of unit {broken[0]} is not a number")
    # Of equals the higher index goes first, as of similar units.
    order = np.lexsort((-np.arange(len(scores)), scores))
    return [Removal(unit, "ranked") for unit in order.tolist()[:-1]]


def whole_count(amount: float, units: int) -> int:
    """A number of units that a layer can lose.

    Raises:
        UserError: none, or as many as the layer has.
    """
    if not 0 <= amount < units or amount != int(amount):
        raise UserError(f"{amount:g} of {units} units cannot go: a layer keeps one at least")
    return int(amount)


def in_order(units: int, removals: Sequence[Removal]) -> Prepared:
    """Selection of the first so many removals."""
    whole = Selection(units, tuple(removals))

    def at(amount: float) -> Selection:
        count = whole_count(amount, units)
        if count > len(removals):
            raise UserError(f"this technique removes {len(removals)} of {units} units at most")
        return whole.first(count)

    return at
