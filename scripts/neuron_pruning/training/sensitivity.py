"""Karnin's sensitivity (1990), which has to be gathered while a network learns."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neuron_pruning.models.networks import Network

# ASSUME: a weight that moved by less than this share of itself says nothing about what its
# removal costs: the factor w_f / (w_f - w_0) would be rounding noise.
MIN_RELATIVE_CHANGE = 1e-6


class Sensitivity:
    """Accumulates ``-sum_t dE/dw dw`` of every fully connected weight and bias.

    It takes two more copies of those weights in memory. ASSUME: dE/dw is the gradient that the
    optimiser gets, centred where the recipe centres gradients.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self.sums: dict[str, Tensor] = {}  # by name of the parameter, of its shape
        self._before: dict[str, Tensor] = {}

    def put_back(self, sums: Mapping[str, Tensor]) -> None:
        """Continue from the ``sums`` of an earlier process."""
        for name, parameter in self._parameters().items():
            if name in sums:
                self._before[name] = parameter.detach().clone()
                self.sums[name] = torch.empty_like(self._before[name]).copy_(sums[name])

    @torch.no_grad()
    def before_step(self) -> None:
        """Remember the weights that the optimiser is about to move."""
        for name, parameter in self._parameters().items():
            if name in self._before:
                self._before[name].copy_(parameter)
            else:
                self._before[name] = parameter.detach().clone()
                self.sums[name] = torch.zeros_like(parameter)

    @torch.no_grad()
    def after_step(self) -> None:
        """Add the step's share; gradients must still be there."""
        for name, parameter in self._parameters().items():
            moved = self._before[name].neg_().add_(parameter)
            if parameter.grad is not None:
                self.sums[name].addcmul_(parameter.grad, moved, value=-1.0)

    @torch.no_grad()
    def scores(self, initial: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float64]]:
        """Sensitivity of every unit by hidden layer, H each: small means of little use.

        ``-sum_t (dE/dw)(t) dw(t) * w_f / (w_f - w_0)``, in absolute value, summed over a unit's
        incoming weights, bias and outgoing weights. ``initial`` are the tensors before training.
        """
        names = self._network.layer_names
        by_layer = {name: self._layer(name, initial) for name in names}
        return {
            name: (own_rows + following_columns).cpu().numpy()
            for (name, (own_rows, _)), (_, following_columns) in zip(
                list(by_layer.items())[:-1], list(by_layer.values())[1:], strict=True
            )
        }

    def _layer(self, layer: str, initial: Mapping[str, NDArray[np.float32]]) -> tuple[Tensor, ...]:
        """Sums over the rows, bias included, and over the columns of one layer."""
        weight = self._weight_sensitivity(f"classifier.{layer}.weight", initial)
        bias = self._weight_sensitivity(f"classifier.{layer}.bias", initial)
        rows = weight.sum(dim=1, dtype=torch.float64) + bias.double()
        return rows, weight.sum(dim=0, dtype=torch.float64)

    def _weight_sensitivity(self, name: str, initial: Mapping[str, NDArray[np.float32]]) -> Tensor:
        final = self._parameters()[name]
        moved = final - torch.from_numpy(np.asarray(initial[name])).to(final.device)
        still = moved.abs() <= MIN_RELATIVE_CHANGE * final.abs()
        factor = torch.where(still, 0.0, final / torch.where(still, 1.0, moved))
        return (self.sums[name] * factor).abs()

    def _parameters(self) -> dict[str, nn.Parameter]:
        return {f"classifier.{n}": p for n, p in self._network.classifier.named_parameters()}
