"""``prune``: a smaller network from any trained one, and an honest answer to what it lost."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from neuron_pruning.any_network.allocation import (
    furthest,
    global_counts,
    path,
    sensitivities,
    whole_counts,
    within_budget,
)
from neuron_pruning.any_network.batches import Batches, check_apart
from neuron_pruning.any_network.costs import CostModel, latency
from neuron_pruning.any_network.evaluation import Predictions, check_same_images, judge, predict
from neuron_pruning.any_network.network_copy import copied, unwrapped
from neuron_pruning.any_network.options import (
    HELD_OUT,
    RANDOM_DRAWS,
    Across,
    BatchNormRule,
    Goal,
    Method,
    Order,
    check_budget,
)
from neuron_pruning.any_network.pruner import Pruner
from neuron_pruning.any_network.result import PruningResult
from neuron_pruning.any_network.tracing import run
from neuron_pruning.any_network.unit_layers import find_unit_layers
from neuron_pruning.any_network.weights import check_finite
from neuron_pruning.core.errors import UserError
from neuron_pruning.core.seeds import derive_seed

ONE_SIDED = 1.645  # standard errors of a confidence of 95 %, one-sided


@torch.inference_mode(False)
@torch.enable_grad()
def prune(
    model: nn.Module,
    calibration: Iterable[Any],
    *,
    amount: float | None = None,
    angle: float | None = None,
    layers: Mapping[str, float] | None = None,
    budget: Mapping[str, float] | None = None,
    max_loss: float | None = None,
    technique: str = Method.technique,
    settings: Mapping[str, Any] | None = None,
    compensation: str = Method.compensation,
    batch_norm: BatchNormRule = Method.batch_norm,
    order: Order = Method.order,
    across: Across = Goal.across,
    coupled: bool = Goal.coupled,
    round_to: int = Goal.round_to,
    evaluation: Iterable[Any] | None = None,
    held_out: float = HELD_OUT,
    random_draws: int = RANDOM_DRAWS,
    seed: int = Method.seed,
    progress: Callable[[str], None] | None = None,
) -> PruningResult:
    """Remove units from a trained network, compensate for them, and say what it cost.

    Args:
        model: any image classifier; it is left as it is.
        calibration: batches of images, ``(images,)`` or ``(images, labels)``, prepared as the
            network expects them; gone through several times. A quarter of them, chosen by content,
            is held out and judges the result, unless ``evaluation`` is given.
        amount: of every layer: a share below 1 or a number of units. See :class:`Goal` for this
            and ``angle layers budget max_loss across coupled round_to``.
        angle: in degrees, for techniques that take one: ``angle=15,
            technique="distinctiveness", compensation="add"`` is the paper's rule.
        layers: amounts (or angles) by layer; names as in :func:`find_unit_layers`.
        budget: for instance ``{"macs": 0.5}``.
        max_loss: in points.
        technique: which units go; a name of ``techniques()``.
        settings: of the technique, for instance ``{"centring": "mean"}``.
        compensation: what the others get: ``auto``, or one of ``none bias add scaled affine lstsq
            lstsq_patches ridge fold``; see :class:`Method`.
        batch_norm: ``reestimate``, ``rescale`` or ``keep`` the statistics; see :class:`Method`.
        order: ``sequential``, each layer measured behind the cuts in front of it, or ``parallel``.
        across: whether ``amount`` holds for each layer or for all together.
        coupled: whether units of residual streams and attention heads go too.
        round_to: kept units are a multiple of it.
        evaluation: images that judge the result.
        held_out: share of ``calibration`` that does so instead.
        random_draws: networks with as many units removed at random, to compare with.
        seed: of everything drawn.
        progress: is told what happens, a line at a time.

    Returns:
        The smaller network, in evaluation mode, with sizes, errors and the answer.

    Raises:
        UserError: a network, images or settings that do not fit; each message says what to do.
    """
    goal = Goal(amount, angle, layers, budget, max_loss, across, coupled, round_to)
    method = Method(technique, settings or {}, compensation, batch_norm, order, seed)
    goal.check_technique(method.chosen)
    tell = progress or (lambda line: None)
    work = Work(_prepared(model, calibration, evaluation, held_out), method, goal, tell)
    return work.result(random_draws)


@dataclass(frozen=True)
class Prepared:
    """A network ready to be pruned: its unit layers, images to fit on, images to be judged by."""

    pruner: Pruner
    judging: Callable[[], Iterable[tuple[Tensor, Tensor | None]]]
    example: Tensor


def _prepared(
    model: nn.Module, calibration: Iterable[Any], evaluation: Iterable[Any] | None, held_out: float
) -> Prepared:
    whole = copied(unwrapped(model)).eval()
    check_finite(whole.state_dict(), "the network")
    batches = Batches.of(whole, calibration, 0.0 if evaluation is not None else held_out)
    judging = batches.evaluation
    if evaluation is not None:
        judges = Batches.of(whole, evaluation)
        check_apart(batches, judges)
        judging = judges.labelled
    example = next(iter(batches))[0][:1].to(batches.device)
    with torch.inference_mode():
        run(whole, example)
    found = find_unit_layers(whole, example)
    if not found.layers:
        raise UserError("no layer of this network can be pruned:\n" + found.why_not())
    return Prepared(Pruner(whole, found, batches), judging, example)


@dataclass
class Work:
    """One pruning of a prepared network."""

    prepared: Prepared
    method: Method
    goal: Goal
    tell: Callable[[str], None]
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pruner, self.found = self.prepared.pruner, self.prepared.pruner.found
        self.costs = CostModel(self.pruner.model, self.found)
        self.before = predict(self.pruner.model, self.prepared.judging())

    @property
    def names(self) -> list[str]:
        """Layers that are pruned where the goal names none."""
        found = self.found.layers if self.goal.coupled else self.found.inner
        if not found:
            raise UserError(
                "every unit of this network is written by several layers: allow coupled=True"
            )
        return list(found)

    def result(self, random_draws: int) -> PruningResult:
        """Prune, and compare with random removal."""
        amounts = self._amounts()
        self.tell(f"pruning {len(amounts)} layers")
        cut = self.pruner.cut(amounts, self.method)
        after = predict(cut.model, self.prepared.judging())
        counts = {name: len(chosen.removals) for name, chosen in cut.selections.items()}
        random = (
            [self._random(counts, draw) for draw in range(random_draws)]
            if any(counts.values())
            else []
        )
        models = (self.pruner.model, cut.model)
        return PruningResult(
            cut.model, self.found, self.goal, self.method, cut,
            (self.costs.size({}), self.costs.size(counts)),
            tuple(latency(models, self.prepared.example)),  # type: ignore[arg-type]
            judge(self.before, after, random), tuple(self.prepared.example.shape),
            self.pruner.model, tuple(self.notes),
        )  # fmt: skip

    def _random(self, counts: Mapping[str, int], draw: int) -> Predictions:
        self.tell(f"random removal, draw {draw + 1}")
        method = self.method.randomly(derive_seed(self.method.seed, f"random removal {draw}"))
        return predict(self.pruner.cut(counts, method).model, self.prepared.judging())

    def _amounts(self) -> dict[str, float]:
        """What the technique takes, by layer."""
        goal, units = self.goal, {n: layer.units for n, layer in self.found.layers.items()}
        if goal.budget is not None or goal.max_loss is not None:
            return dict(self._within())
        if goal.across == "network":
            assert goal.amount is not None
            return dict(
                global_counts(self.pruner, self.names, goal.amount, self.method, goal.round_to)
            )
        if goal.angle is not None:
            return dict.fromkeys(self.names, goal.angle)
        if goal.amount is not None:
            wanted = dict.fromkeys(self.names, goal.amount)
        else:
            wanted = dict(goal.layers or {})
        for name in wanted:
            self.found[name]  # refuses a layer that is none
        if self.method.chosen.amount == "angle":
            return wanted
        return dict(whole_counts(units, wanted, goal.round_to))

    def _within(self) -> dict[str, int]:
        """Counts within the budget and the loss that is allowed."""
        budget, limit = check_budget(self.goal.budget) if self.goal.budget else ("macs", None)
        cost: Literal["macs", "parameters"] = "parameters" if budget == "parameters" else "macs"
        self.tell("measuring how sensitive the layers are")
        curves = sensitivities(self.pruner, self.names, self.method, self.goal.round_to)
        steps = path(self.costs, curves, cost)
        last = len(steps.counts) - 1
        if budget == "latency_ms" and limit is not None:
            last = self._fast_enough(steps.counts, limit)
        elif limit is not None:
            last = within_budget(steps, cost, limit)
        if self.goal.max_loss is not None:
            found = furthest(last + 1, lambda step: self._loses_little(steps.counts[step]))
            if found < last and self.goal.budget:
                self.notes.append(
                    "the budget is not met: the network would lose more than max_loss"
                )
            last = found
        return steps.counts[last]

    def _fast_enough(self, steps: Sequence[Mapping[str, int]], limit: float) -> int:
        """The first step of a path whose network takes no more than so many milliseconds."""
        plain = Method("random", compensation="none", batch_norm="keep", order="parallel")
        taken: dict[int, float] = {}

        def milliseconds(step: int) -> float:
            if step not in taken:
                smaller = self.pruner.cut(steps[step], plain).model
                taken[step] = latency([smaller], self.prepared.example)[0]
                self.tell(f"step {step}: {taken[step]:.2f} ms")
            return taken[step]

        if milliseconds(len(steps) - 1) > limit:
            raise UserError(
                f"budget latency_ms={limit:g} cannot be met: the smallest network takes "
                f"{milliseconds(len(steps) - 1):.2f} ms on this machine"
            )
        return furthest(len(steps), lambda step: step == 0 or milliseconds(step - 1) > limit)

    def _loses_little(self, counts: Mapping[str, int]) -> bool:
        """Whether a network without so many units loses no more than allowed, with confidence."""
        assert self.goal.max_loss is not None
        if not any(counts.values()):
            return True
        after = predict(self.pruner.cut(counts, self.method).model, self.prepared.judging())
        check_same_images(self.before, after)
        bound = 100.0 * _largest_loss(self.before, after)
        self.tell(f"{sum(counts.values())} units fewer: loses {bound:.2f} points at most")
        return bound <= self.goal.max_loss


def _largest_loss(before: Predictions, after: Predictions) -> float:
    """What a network loses at most, with 95 % confidence: accuracy, or agreement.

    ASSUME: Agresti and Min's interval of a paired difference, half an image added to each of the
    four cells, one-sided.
    """
    if before.right is None or after.right is None:
        lost, won = int((before.classes != after.classes).sum()), 0
    else:
        lost = int((before.right & ~after.right).sum())
        won = int((after.right & ~before.right).sum())
    images = len(before.classes) + 2.0
    first, second = (lost + 0.5) / images, (won + 0.5) / images
    error = np.sqrt((first + second - (first - second) ** 2) / images)
    return float(first - second + ONE_SIDED * error)
