"""Prunings as others put them together, to be compared with ours at equal size. Loads no torch."""

from typing import Literal, NamedTuple

from neuron_pruning.any_network.options import Method

Spread = Literal["sensitivity", "equal", "global", "greedy"]


class Recipe(NamedTuple):
    """How many units go where, which ones, and what the rest gets.

    Attributes:
        title: as Table 11 names it.
        spread: over the layers: by their ``sensitivity``; ``equal`` shares of all; ``global``: the
            units of all layers are ranked together; ``greedy``: by a search on held-out images.
        technique: ours, or one of the importances of torch-pruning.
        compensation: of the remaining units; None: torch-pruning's own pruner does all of it.
    """

    title: str
    spread: Spread
    technique: str
    compensation: str | None


OURS = "ours"
# ASSUME: GRAIL and Model Folding as their published code prunes convolutional networks: equal
# shares of all layers, L2 norms (p=2) with a ridge of 1e-3, or k-means; REPAIR, which both end
# with, is batch_norm: reestimate. Both measure the unpruned network. They also cut residual
# streams; here all recipes cut the layers that ours cuts.
PEERS: dict[str, Recipe] = {
    OURS: Recipe("ours: L1, by sensitivity", "sensitivity", "l1", Method().compensation),
    "ours_equal": Recipe("ours: L1, equal shares", "equal", "l1", Method().compensation),
    "ours_global": Recipe("ours: L1, ranked together", "global", "l1", Method().compensation),
    "ours_greedy": Recipe("ours: L1, greedy search", "greedy", "l1", Method().compensation),
    "grail": Recipe("GRAIL: L2 and ridge, equal shares", "equal", "l2", "ridge"),
    "model_folding": Recipe("Model Folding: k-means, equal shares", "equal", "folding", "fold"),
    "torch_pruning_magnitude": Recipe(
        "Torch-Pruning: magnitude, equal shares", "equal", "magnitude", None
    ),
    "torch_pruning_magnitude_global": Recipe(
        "Torch-Pruning: magnitude, ranked together", "global", "magnitude", None
    ),
    "torch_pruning_fpgm": Recipe("Torch-Pruning: FPGM, equal shares", "equal", "fpgm", None),
    "torch_pruning_taylor": Recipe("Torch-Pruning: Taylor, equal shares", "equal", "taylor", None),
    "torch_pruning_random": Recipe("Torch-Pruning: random, equal shares", "equal", "random", None),
}
