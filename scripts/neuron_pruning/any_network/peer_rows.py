"""What the prunings of others leave of a network, at the sizes that ours is asked for."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_pruning.pruner import BasePruner, importance

from neuron_pruning.any_network.allocation import LARGEST_SHARE, Counts, global_counts, whole_counts
from neuron_pruning.any_network.batch_norm import reestimate, tracks
from neuron_pruning.any_network.costs import CostModel
from neuron_pruning.any_network.evaluation import Predictions
from neuron_pruning.any_network.greedy import greedy_counts
from neuron_pruning.any_network.imported import ImportedNetwork
from neuron_pruning.any_network.logits import logits_of
from neuron_pruning.any_network.network_copy import copied
from neuron_pruning.any_network.network_rows import budgets, counts_of, judged_row
from neuron_pruning.any_network.options import BatchNormRule, Method
from neuron_pruning.any_network.peers import Recipe
from neuron_pruning.any_network.pruner import Pruner
from neuron_pruning.core.errors import UserError, reason_of

HALVINGS = 8  # of the interval in which the share of the units is looked for
Made = TypeVar("Made")
IMPORTANCES: Mapping[str, Callable[[], importance.Importance]] = {
    "magnitude": importance.GroupMagnitudeImportance,
    "fpgm": importance.FPGMImportance,
    "taylor": importance.GroupTaylorImportance,
    "random": importance.RandomImportance,
}


def peer_rows(
    imported: ImportedNetwork,
    draw: int,
    plan: Sequence[Mapping[str, Any]],
    before: Predictions,
    recipe: Recipe,
    batch_norms: Sequence[BatchNormRule],
    warn: Callable[[str], None],
) -> Iterator[dict[str, Any]]:
    """One row per budget of a plan and rule of batch normalisation.

    Args:
        imported: the network and its images.
        draw: of the calibration images, and of what is random.
        plan: rows of ``PLAN_SCHEMA``.
        before: predictions of the unpruned network.
        recipe: how units are spread, chosen and compensated for.
        batch_norms: ``rescale`` has no meaning here and is left out; ``keep`` where none is left.
        warn: is told of budgets that the recipe cannot meet; they have no rows.

    Raises:
        UserError: torch-pruning cannot follow the network, or evaluation images that have changed.
    """
    pruner = imported.pruner(draw)
    costs = CostModel(pruner.model, pruner.found)
    tracked = any(map(tracks, pruner.model.modules()))
    rules = [rule for rule in batch_norms if rule != "rescale" and tracked] or ["keep"]
    for budget in budgets(plan):
        try:
            model, counts = _pruned(pruner, costs, recipe, draw, budget, counts_of(plan, budget))
        except _TooLarge as error:
            warn(str(error))
            continue
        for rule in rules:
            given = copied(model)
            if rule == "reestimate":
                reestimate(given, pruner.batches.calibration())
            yield {
                "budget": budget,
                "compensation": recipe.compensation or "none",
                "batch_norm": rule,
                "order": "parallel",
                **judged_row(imported, costs, before, given, counts),
            }


class _TooLarge(UserError):
    """A recipe whose networks are larger than a budget, whatever the share."""


def _pruned(
    pruner: Pruner, costs: CostModel, recipe: Recipe, draw: int, budget: float, planned: Counts
) -> tuple[nn.Module, Counts]:
    """The network that a recipe makes within a budget, and how many units each layer lost."""
    if recipe.compensation is None:
        return _within(costs, recipe, budget, partial(_by_library, pruner, recipe, draw))
    method = Method(recipe.technique, {}, recipe.compensation, "keep", "parallel", draw)
    counts = planned
    if recipe.spread == "greedy":
        counts = _searched(pruner, costs, recipe, method, budget)
    elif recipe.spread != "sensitivity":
        _, counts = _within(costs, recipe, budget, partial(_spread, pruner, recipe, method))
    return pruner.cut(counts, method).model, counts


def _searched(
    pruner: Pruner, costs: CostModel, recipe: Recipe, method: Method, budget: float
) -> Counts:
    """Units that each layer loses by a greedy search."""
    found = greedy_counts(pruner, costs, method, budget)
    if found is None:
        raise _TooLarge(f"{recipe.title} cannot meet {budget:g} of the multiply-adds")
    return found


def _within(
    costs: CostModel, recipe: Recipe, budget: float, make: Callable[[float], tuple[Made, Counts]]
) -> tuple[Made, Counts]:
    """What is made of the least share of units that meets a budget."""
    limit = budget * costs.size({}).multiply_adds
    low, high = 0.0, LARGEST_SHARE
    found = make(high)
    if costs.size(found[1]).multiply_adds > limit:
        raise _TooLarge(
            f"{recipe.title} cannot meet {budget:g} of the multiply-adds: it leaves "
            f"{costs.size(found[1]).multiply_adds / costs.size({}).multiply_adds:.2f} at least"
        )
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        tried = make(middle)
        if costs.size(tried[1]).multiply_adds > limit:
            low = middle
        else:
            high, found = middle, tried
    return found


def _spread(pruner: Pruner, recipe: Recipe, method: Method, share: float) -> tuple[None, Counts]:
    """Units that each layer loses for a share of them all."""
    names = pruner.found.inner
    if recipe.spread == "global":
        return None, global_counts(pruner, names, share, method, 1)
    units = {name: pruner.found[name].units for name in names}
    return None, whole_counts(units, dict.fromkeys(names, share), 1)


def _by_library(
    pruner: Pruner, recipe: Recipe, draw: int, share: float
) -> tuple[nn.Module, Counts]:
    """A network that torch-pruning has pruned in one step, in the layers that ours prunes.

    Heads and groups stay whole. The gradients of ``taylor`` are those of the loss against the
    network's own predictions: calibration images have no labels.
    """
    network = copied(pruner.model).cpu().eval().requires_grad_(True)
    images = [batch.cpu() for batch in pruner.batches.calibration()]
    names = [n for n in pruner.found.inner if pruner.found[n].kind in ("linear", "convolution")]
    modules = dict(network.named_modules())
    others = [
        module for name, module in modules.items()
        if isinstance(module, nn.Conv2d | nn.Linear) and name not in names
    ]  # fmt: skip
    if recipe.technique == "taylor":
        _take_gradients(network, images)
    try:
        with torch.random.fork_rng([]):
            torch.manual_seed(draw)
            BasePruner(
                network, (images[0][:1],), IMPORTANCES[recipe.technique](), pruning_ratio=share,
                global_pruning=recipe.spread == "global", ignored_layers=others,
            ).step()  # fmt: skip
    except Exception as error:
        raise UserError(
            f"torch-pruning cannot prune this network ({reason_of(error)}): leave its recipes out "
            "of network_pruning.peers"
        ) from error
    counts = {name: pruner.found[name].units - len(modules[name].weight) for name in names}
    return network.eval().requires_grad_(False), counts


def _take_gradients(network: nn.Module, images: Sequence[Tensor]) -> None:
    for batch in images:
        logits = logits_of(network, batch)
        classes = logits.argmax(dim=1).detach()
        functional.cross_entropy(logits, classes, reduction="sum").backward()
