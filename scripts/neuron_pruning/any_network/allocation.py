"""How many units each layer loses: shares, a ranking over all layers, budgets.

A budget is met by a *path*: from the whole network, again and again the step that costs the least
error for what it saves. The error of a layer at a share is that of its consumers' outputs after
compensation, from the moments of what they read in the unpruned network: no step needs a pass.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from neuron_pruning.any_network.costs import CostModel, Size
from neuron_pruning.any_network.options import Method
from neuron_pruning.any_network.pruner import Pruner, Sensitivity
from neuron_pruning.core.errors import UserError
from neuron_pruning.pruning.selection import resolve_count

Counts = Mapping[str, int]  # removed units by layer
STEPS = 16  # of a layer's curve of errors
LARGEST_SHARE = 15 / 16  # ASSUME: of a layer that a budget may take


def whole_counts(
    found_units: Mapping[str, int], amounts: Mapping[str, float], round_to: int
) -> dict[str, int]:
    """Removed units from numbers or shares (below 1) of each layer.

    Args:
        found_units: units of each layer.
        amounts: by layer; a share rounds to the nearest number.
        round_to: what the number of kept units is a multiple of, where the layer has that many.

    Raises:
        UserError: a negative amount, or one that leaves no unit.
    """
    counts = {}
    for name, amount in amounts.items():
        units = found_units[name]
        if not 0 <= amount < units or (amount >= 1 and amount != int(amount)):
            raise UserError(
                f"{name}: cannot remove {amount:g} of {units} units; give a number of units or, "
                "below 1, a share; at least one unit must remain"
            )
        counts[name] = rounded(units, min(resolve_count(amount, units), units - 1), round_to)
    return counts


def rounded(units: int, removed: int, round_to: int) -> int:
    """A number of removed units that leaves a multiple of ``round_to``: the nearest above."""
    kept = math.ceil((units - removed) / round_to) * round_to
    return max(0, units - kept)


def global_counts(
    pruner: Pruner, names: Sequence[str], share: float, method: Method, round_to: int
) -> dict[str, int]:
    """Removed units where the units of all layers are ranked together.

    ASSUME: scores of a layer are comparable with another's once divided by their mean, as
    torch-pruning divides them.

    Raises:
        UserError: a technique without scores.
    """
    technique = method.chosen
    if technique.returns != "scores":
        raise UserError(f"{technique.name} gives units no scores: it cannot rank layers together")
    session, scores = pruner.session(method), []
    session.measure(names)
    for name in names:
        view, settings = session.view(pruner.found[name]), session.settings_for(pruner.found[name])
        reason = technique.refusal_of_layer(name, view.offers, settings)
        if reason is not None:
            raise UserError(reason)
        found = np.asarray(technique(view, **settings), dtype=float)
        found = -found if technique.largest else found
        scores.append(found / (np.abs(found).mean() or 1.0))
    limit = np.quantile(np.concatenate(scores), share)
    counts = {}
    for name, found in zip(names, scores, strict=True):
        most = int(LARGEST_SHARE * len(found))
        counts[name] = rounded(len(found), min(int((found < limit).sum()), most), round_to)
    return counts


def sensitivities(
    pruner: Pruner, names: Sequence[str], method: Method, round_to: int = 1
) -> dict[str, Sensitivity]:
    """How much each layer's consumers lose at growing shares, without a pass for each.

    Args:
        pruner: the network.
        names: of the layers.
        method: technique and compensation; the order is parallel, whatever it says.
        round_to: what kept units are a multiple of.
    """
    session = pruner.session(method)
    session.measure(names, errors=True)
    return {
        name: session.sensitivity(name, _steps(pruner.found[name].units, round_to))
        for name in names
    }


def _steps(units: int, round_to: int) -> list[int]:
    shares = np.linspace(0.0, LARGEST_SHARE, STEPS)
    return sorted({rounded(units, int(share * units), round_to) for share in shares})


@dataclass(frozen=True)
class Path:
    """Removed units by layer at each step towards smaller networks, and the sizes there."""

    counts: tuple[dict[str, int], ...]
    sizes: tuple[Size, ...]


def path(
    costs: CostModel, curves: Mapping[str, Sensitivity], cost: Literal["macs", "parameters"]
) -> Path:
    """Steps from the whole network to the smallest, each with the least error for its saving."""
    places = dict.fromkeys(curves, 0)
    counts = [_at(curves, places)]
    sizes = [costs.size(counts[0])]
    while True:
        best = _best_step(costs, curves, places, _measure(sizes[-1], cost), cost)
        if best is None:
            return Path(tuple(counts), tuple(sizes))
        name, last = best
        for place in range(places[name] + 1, last + 1):  # a budget may lie within a step
            places[name] = place
            counts.append(_at(curves, places))
            sizes.append(costs.size(counts[-1]))


def _at(curves: Mapping[str, Sensitivity], places: Mapping[str, int]) -> dict[str, int]:
    return {name: curves[name].removed[place] for name, place in places.items()}


def _measure(size: Size, cost: str) -> int:
    return size.multiply_adds if cost == "macs" else size.parameters


def _best_step(
    costs: CostModel,
    curves: Mapping[str, Sensitivity],
    places: Mapping[str, int],
    now: int,
    cost: str,
) -> tuple[str, int] | None:
    """The layer and the place on its curve with the least error for what it saves."""
    best, least = None, math.inf
    for name, curve in curves.items():
        place = places[name]
        for ahead in range(place + 1, len(curve.removed)):
            counts = {**_at(curves, places), name: curve.removed[ahead]}
            saved = now - _measure(costs.size(counts), cost)
            price = max(curve.errors[ahead] - curve.errors[place], 1e-12) / max(saved, 1)
            if price < least:
                best, least = (name, ahead), price
    return best


def within_budget(found: Path, cost: Literal["macs", "parameters"], share: float) -> int:
    """The first step of a path that costs no more than a share of the whole network.

    Raises:
        UserError: none does; says the smallest share there is.
    """
    whole = _measure(found.sizes[0], cost)
    for step, size in enumerate(found.sizes):
        if _measure(size, cost) <= share * whole:
            return step
    smallest = _measure(found.sizes[-1], cost) / whole
    raise UserError(
        f"budget {cost}={share:g} cannot be met: the smallest network has {smallest:.3f} of the "
        f"{whole:,} {cost}; give at least that, or let more layers be pruned"
    )


def furthest(steps: int, allowed: Callable[[int], bool]) -> int:
    """The last step of a path at which something still holds that holds at the first ones."""
    low, high = 0, steps - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if allowed(middle) else (low, middle - 1)
    return low
