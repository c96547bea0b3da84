"""What a gate on each unit does to the loss of any network, measured by autograd.

A gate multiplies what all consumers of a layer read of a unit; its derivative at 1 is the sum of
activation times gradient over consumers, columns and positions. ASSUME: without labels the loss is
that against the unpruned network's own predictions, taken as labels; against its probabilities
every derivative would be zero.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Float64
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from neuron_pruning.any_network.logits import check_labels, logits_of
from neuron_pruning.any_network.unit_layers import FoundLayer
from neuron_pruning.core.seeds import derive_seed

LabelledBatches = Callable[[], Iterable[tuple[Tensor, Tensor | None]]]
Loss = Callable[[Tensor, Tensor], Tensor]  # of logits and labels, one number per image


def cross_entropy(logits: Float[Tensor, "n classes"], labels: Tensor) -> Float[Tensor, " n"]:
    """Of each image."""
    return functional.cross_entropy(logits, labels, reduction="none")


def linear_error(logits: Float[Tensor, "n classes"], labels: Tensor) -> Float[Tensor, " n"]:
    """``2 (1 - p_y)`` of each image (Mozer & Smolensky 1989)."""
    right = logits.softmax(dim=1).gather(1, labels[:, None])[:, 0]
    return 2.0 * (1.0 - right)


@dataclass(frozen=True)
class LayerGates:
    """Gates of one layer's units; see :class:`neuron_pruning.pruning.units.Gates`.

    Each kind of derivative is one pass over the images.
    """

    model: nn.Module
    layer: FoundLayer
    batches: LabelledBatches
    seed: int = 0

    @cached_property
    def gradient(self) -> Float64[NDArray, "images units"]:
        """Of the cross-entropy."""
        return self._derivatives(cross_entropy)

    @cached_property
    def error_gradient(self) -> Float64[NDArray, "images units"]:
        """Of the linear error."""
        return self._derivatives(linear_error)

    @cached_property
    def curvature(self) -> Float64[NDArray, "images units"]:
        """Of the cross-entropy, by Gauss and Newton.

        That is, in the mean over draws, the squared derivative of the log-probability of a class
        drawn from the network's own. ASSUME: one draw per image.
        """
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "classes") % 2**63)

        def drawn(logits: Tensor, labels: Tensor) -> Tensor:
            probabilities = logits.detach().softmax(dim=1).cpu()
            classes = torch.multinomial(probabilities, 1, generator=generator)[:, 0]
            return cross_entropy(logits, classes.to(logits.device))

        return self._derivatives(drawn) ** 2

    @cached_property
    def ablation(self) -> Float64[NDArray, " units"]:
        """Mean loss without each unit minus that with all, a pass for each unit."""
        whole = self._mean_loss({})
        parts = {part.module: part.unit_of for part in self.layer.of_role("consumer")}
        return np.array(
            [
                self._mean_loss({n: np.flatnonzero(of == unit) for n, of in parts.items()}) - whole
                for unit in range(self.layer.units)
            ]
        )

    def _derivatives(self, loss: Loss) -> Float64[NDArray, "images units"]:
        return np.concatenate([self._of_batch(*batch, loss) for batch in self.batches()])

    def _of_batch(
        self, images: Tensor, labels: Tensor | None, loss: Loss
    ) -> Float64[NDArray, "images units"]:
        inputs: dict[str, Tensor] = {}

        def gated(name: str) -> Callable[[nn.Module, tuple[Tensor]], tuple[Tensor]]:
            def hook(module: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
                values = args[0]
                if not values.requires_grad:
                    values = values.detach().requires_grad_(True)
                inputs[name] = values.clone()  # two consumers may read the same tensor
                return (inputs[name], *args[1:])

            return hook

        modules = dict(self.model.named_modules())
        handles = [modules[n].register_forward_pre_hook(gated(n)) for n in self.layer.consumers]
        try:
            with torch.enable_grad():
                logits = logits_of(self.model, images)
                classes = logits.argmax(dim=1) if labels is None else labels
                check_labels(classes, logits.shape[1])
                names = list(inputs)
                total = loss(logits, classes).sum()
                gradients = torch.autograd.grad(total, [inputs[n] for n in names])
        finally:
            for handle in handles:
                handle.remove()
        products = {
            n: self._by_column(modules[n], inputs[n], g)
            for n, g in zip(names, gradients, strict=True)
        }
        return _by_unit(self.layer, products)

    @staticmethod
    def _by_column(
        module: nn.Module, values: Tensor, gradient: Tensor
    ) -> Float64[NDArray, "images columns"]:
        """Activation times gradient, summed over the positions of each image."""
        product = values.detach().double() * gradient.double()  # 16 bits would not hold it
        axis = 1 if isinstance(module, nn.Conv2d) else product.ndim - 1
        others = [a for a in range(1, product.ndim) if a != axis]
        return (product.sum(dim=others) if others else product).cpu().numpy()

    @torch.no_grad()
    def _mean_loss(self, silent: Mapping[str, NDArray[np.int64]]) -> float:
        modules = dict(self.model.named_modules())

        def hook_for(name: str) -> Callable[[nn.Module, tuple[Tensor]], tuple[Tensor]]:
            def hook(module: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
                axis = 1 if isinstance(module, nn.Conv2d) else -1
                gone = torch.from_numpy(silent[name]).to(args[0].device)
                return (args[0].index_fill(axis, gone, 0.0), *args[1:])

            return hook

        total, count = 0.0, 0
        for images, labels in self.batches():
            classes = labels
            if classes is None:
                classes = logits_of(self.model, images).argmax(dim=1)
            handles = [modules[n].register_forward_pre_hook(hook_for(n)) for n in silent]
            try:
                losses = cross_entropy(logits_of(self.model, images), classes)
            finally:
                for handle in handles:
                    handle.remove()
            total, count = total + float(losses.double().sum()), count + len(images)
        return total / count


def _by_unit(
    layer: FoundLayer, products: Mapping[str, Float64[NDArray, "images columns"]]
) -> Float64[NDArray, "images units"]:
    """Sums over the columns of each unit in all consumers."""
    images = len(products[layer.consumers[0]])
    total = np.zeros((images, layer.units))
    for part in layer.of_role("consumer"):
        mapped = np.flatnonzero(part.unit_of >= 0)
        onto = np.zeros((len(mapped), layer.units))
        onto[np.arange(len(mapped)), part.unit_of[mapped]] = 1.0
        total += products[part.module][:, mapped] @ onto
    return total
