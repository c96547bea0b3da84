"""Optimisers: fused steps, learning rates by fan-in, centred gradients."""

import torch
from torch import nn

from neuron_pruning.training.settings import OptimiserSettings


def build_optimiser(
    network: nn.Module, learning_rate: float, settings: OptimiserSettings
) -> torch.optim.Optimizer:
    """Fused optimiser with one parameter group per learning rate.

    Args:
        network: whose parameters are trained.
        learning_rate: of layers that are not scaled by their fan-in.
        settings: the update rule and its options.
    """
    groups: dict[float, list[nn.Parameter]] = {}
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            scale = _fan_in_scale(module, name, settings)
            groups.setdefault(scale, []).append(parameter)
    parameters = [{"params": ps, "lr": learning_rate * scale} for scale, ps in groups.items()]
    decay = settings.weight_decay
    if settings.name == "sgd":
        return torch.optim.SGD(
            parameters, learning_rate, momentum=settings.momentum, weight_decay=decay, fused=True
        )
    if settings.name == "adamw":
        return torch.optim.AdamW(parameters, learning_rate, weight_decay=decay, fused=True)
    return torch.optim.Adam(parameters, learning_rate, weight_decay=decay, fused=True)


def _fan_in_scale(module: nn.Module, name: str, settings: OptimiserSettings) -> float:
    """Factor on the learning rate of one parameter; below 1 for weights of wide layers only."""
    if name != "weight" or not isinstance(module, nn.Linear | nn.Conv2d):
        return 1.0
    linear = isinstance(module, nn.Linear)
    reference = settings.linear_fan_in if linear else settings.convolution_fan_in
    if reference is None:
        return 1.0
    return min(1.0, reference / module.weight[0].numel())


@torch.no_grad()
def centre_gradients(network: nn.Module) -> None:
    """Subtract from the weight gradient of every unit and kernel its mean over the inputs."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d) and layer.weight.grad is not None:
            gradient = layer.weight.grad
            gradient.sub_(gradient.mean(dim=tuple(range(1, gradient.ndim)), keepdim=True))
