"""Importances of the library torch-pruning for the units of any network, to compare with."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from neuron_pruning.any_network.logits import logits_of
from neuron_pruning.any_network.network_copy import copied
from neuron_pruning.any_network.unit_layers import FoundLayer
from neuron_pruning.any_network.views import by_unit, weighted
from neuron_pruning.core.errors import UserError, reason_of
from neuron_pruning.pruning.torch_pruning_scores import (
    ScoresByTechnique,
    image_gradients,
    importances,
)

IMAGES = 64  # ASSUME: of the calibration images, each of which costs a pass forward and back
FROM_GRADIENTS = ("torch_pruning_taylor", "torch_pruning_hessian")


def library_scores(
    model: nn.Module,
    layer: FoundLayer,
    technique: str,
    batches: Iterable[tuple[Tensor, Tensor | None]],
) -> ScoresByTechnique:
    """Importances of a layer's units, computed by the library's own code and dependency graph.

    Without labels the gradients are those of the loss against the network's own predictions.

    Raises:
        UserError: the library cannot follow this network.
    """
    whole = copied(model).cpu().eval().requires_grad_(True)
    images, classes = _some(whole, batches)
    gradients = None
    if technique in FROM_GRADIENTS:
        gradients = image_gradients(whole, images, classes)
    module = weighted(dict(whole.named_modules()), layer.name)
    part = layer.of_role("producer")[0]
    try:
        scores = importances(whole, module, images[:1], gradients)
        return {n: by_unit(s, part, layer.units).sum(axis=1) for n, s in scores.items()}
    except Exception as error:
        raise UserError(
            f"torch-pruning cannot follow {layer.name} in this network ({reason_of(error)}): take "
            "another technique"
        ) from error


def _some(
    model: nn.Module, batches: Iterable[tuple[Tensor, Tensor | None]]
) -> tuple[Tensor, Tensor]:
    """The first images and their classes."""
    images, classes, count = [], [], 0
    for values, labels in batches:
        images.append(values.cpu())
        if labels is None:
            with torch.inference_mode():
                labels = logits_of(model, images[-1]).argmax(dim=1)
        classes.append(labels.cpu())
        count += len(values)
        if count >= IMAGES:
            break
    if not images:
        raise UserError("pruning needs images to look at the loss: give one at least")
    return torch.cat(images)[:IMAGES], torch.cat(classes)[:IMAGES].clone()
