"""Logits of a network for a batch, one row per image."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from neuron_pruning.any_network.tracing import first_tensor
from neuron_pruning.core.errors import UserError


def logits_of(model: nn.Module, images: Tensor) -> Float[Tensor, "images classes"]:
    """A classifier's logits.

    ASSUME: a single output is the logit of the second of two classes, as for binary cross-entropy.

    Raises:
        UserError: the network returns something else.
    """
    logits = first_tensor(model(images))
    if logits.ndim != 2 or len(logits) != len(images):
        raise UserError(
            f"the network returns a tensor of shape {tuple(logits.shape)} for {len(images)} "
            "images, not one row of logits per image: give a classifier, or a module that returns "
            "the logits alone"
        )
    if logits.shape[1] == 1:
        return torch.cat([torch.zeros_like(logits), logits], dim=1)
    return logits


def check_labels(labels: Int64[Tensor, " images"], classes: int) -> None:
    """Refuse labels that are no classes of a network.

    Raises:
        UserError: naming one that is not.
    """
    odd = labels[(labels < 0) | (labels >= classes)]
    if len(odd):
        raise UserError(
            f"the loader yields the label {int(odd[0])}, but the network tells {classes} classes "
            f"apart, 0 to {classes - 1}: number the labels so, or leave them out"
        )
