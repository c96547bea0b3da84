"""Karnin's sensitivity (1990), which must be accumulated while a network is trained."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neuron_pruning.models.networks import Network
from neuron_pruning.training.callbacks import Callback, StepContext

# ASSUME: a weight that changed by less than this share of itself counts as if it had changed by so
# much, so that the factor w_f / (w_f - w_0) is 10 at most. It extrapolates the weight's path to
# zero; further than ten times its length that is no estimate, and weights that hardly moved would
# make the whole score: in a made-up network, those that moved by less than 2 % made 66 % of it
# where only rounding was guarded against, and make 7 % now.
MIN_RELATIVE_CHANGE = 0.1


class Sensitivity(Callback):
    """Accumulates ``-sum_t dE/dw dw`` of every fully connected weight and bias.

    It needs memory for two more copies of those weights. ASSUME: dE/dw is the gradient that the
    optimiser gets, centred where the recipe centres gradients.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._sums: dict[str, Tensor] = {}  # by name of the parameter, of its shape
        self._before: dict[str, Tensor] = {}

    def state_dict(self) -> Mapping[str, Tensor]:
        """The sums so far, by name of the parameter and of its shape."""
        return self._sums

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue from the sums of an earlier process."""
        for name, parameter in self._parameters().items():
            if name in tensors:
                self._before[name] = parameter.detach().clone()
                self._sums[name] = torch.empty_like(self._before[name]).copy_(tensors[name])

    @torch.no_grad()
    def before_step(self, context: StepContext) -> None:
        """Copy the weights that the optimiser is about to change."""
        for name, parameter in self._parameters().items():
            if name in self._before:
                self._before[name].copy_(parameter)
            else:
                self._before[name] = parameter.detach().clone()
                self._sums[name] = torch.zeros_like(parameter)

    @torch.no_grad()
    def after_step(self, context: StepContext) -> None:
        """Add the step's share; gradients must still be there."""
        for name, parameter in self._parameters().items():
            fall = self._before[name].sub_(parameter)  # minus the change
            if parameter.grad is not None:
                self._sums[name].addcmul_(parameter.grad, fall)

    @torch.no_grad()
    def scores(self, initial: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float64]]:
        """Sensitivity of every unit; units with small values cost little when they are removed.

        ``-sum_t (dE/dw)(t) dw(t) * w_f / (w_f - w_0)``, in absolute value, summed over a unit's
        incoming weights, bias and outgoing weights.

        Args:
            initial: the network's tensors before the training, by name.

        Returns:
            By hidden layer, one value per unit.
        """
        parameters = self._parameters()

        def cost(name: str) -> Tensor:
            name, final = f"classifier.{name}", parameters[f"classifier.{name}"]
            change = final - torch.from_numpy(np.asarray(initial[name])).to(final.device)
            path = torch.maximum(change.abs(), MIN_RELATIVE_CHANGE * final.abs())
            moved = change != 0  # a weight that ends where it began has no path to extrapolate
            factor = torch.where(moved, final.abs() / torch.where(moved, path, 1.0), 0.0)
            return self._sums[name].abs() * factor

        def scores_of(layer: str, following: str) -> Tensor:
            incoming = cost(f"{layer}.weight").sum(dim=1, dtype=torch.float64)
            outgoing = cost(f"{following}.weight").sum(dim=0, dtype=torch.float64)
            return incoming + cost(f"{layer}.bias").double() + outgoing

        hidden = pairwise(self._network.layer_names)
        return {layer: scores_of(layer, following).cpu().numpy() for layer, following in hidden}

    def _parameters(self) -> dict[str, nn.Parameter]:
        return {f"classifier.{n}": p for n, p in self._network.classifier.named_parameters()}
