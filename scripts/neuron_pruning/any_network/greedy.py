"""Sizes of layers by a greedy search on held-out images: slow, to judge faster plans by."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from neuron_pruning.any_network.allocation import LARGEST_SHARE
from neuron_pruning.any_network.costs import CostModel
from neuron_pruning.any_network.logits import logits_of
from neuron_pruning.any_network.options import Method
from neuron_pruning.any_network.pruner import Pruner

STEP = 0.05  # ASSUME: of the network's multiply-adds that a step saves
HELD_OUT = 0.25  # ASSUME: of the calibration images, which judge the steps


def greedy_counts(
    pruner: Pruner, costs: CostModel, method: Method, share: float
) -> dict[str, int] | None:
    """Removed units by layer, as NetAdapt (Yang et al. 2018) finds them, without its training.

    Every step shortens each layer alone until a twentieth of the multiply-adds is saved,
    compensates, and takes the layer after which predictions stay closest to the unpruned ones.

    ASSUME: closest by the Kullback-Leibler divergence: of few images it tells more than accuracy.

    Args:
        pruner: the network and its calibration images.
        costs: of the network.
        method: chooses units and compensates for them.
        share: of the multiply-adds that may stay.

    Returns:
        The numbers; None: no layer alone saves a step any more.
    """
    judged = Judge(pruner)
    whole = costs.size({}).multiply_adds
    counts = dict.fromkeys(pruner.found.inner, 0)
    while (now := costs.size(counts).multiply_adds) > share * whole:
        limit = max(share * whole, now - STEP * whole)
        tried = [
            longer for name in counts if (longer := _longer(pruner, costs, counts, name, limit))
        ]
        if not tried:
            return None
        counts = min(tried, key=lambda removed: judged.divergence(removed, method))
    return counts


def _longer(
    pruner: Pruner, costs: CostModel, counts: Mapping[str, int], name: str, limit: float
) -> dict[str, int] | None:
    """The counts with as many more of one layer as keep the multiply-adds below a limit."""
    most = int(LARGEST_SHARE * pruner.found[name].units)
    for removed in range(counts[name] + 1, most + 1):
        longer = {**counts, name: removed}
        if costs.size(longer).multiply_adds <= limit:
            return longer
    return None


class Judge:
    """Compares pruned networks with the unpruned one on held-out calibration images."""

    def __init__(self, pruner: Pruner) -> None:
        batches = replace(pruner.batches, held_out=HELD_OUT)
        self.pruner = replace(pruner, batches=batches, measured={})  # on the other images alone
        self.images = [images for images, _ in self.pruner.batches.evaluation()]
        self.before = self._logs(pruner.model)

    def divergence(self, counts: Mapping[str, int], method: Method) -> float:
        """Kullback-Leibler divergence from the unpruned network, in nats an image."""
        after = self._logs(self.pruner.cut(counts, method).model)
        found = functional.kl_div(after, self.before, reduction="batchmean", log_target=True)
        return float(found)

    @torch.inference_mode()
    def _logs(self, model: nn.Module) -> Tensor:
        return torch.cat([logits_of(model, batch).log_softmax(dim=1) for batch in self.images])
