"""Optimisers and schedules: fused steps, learning rates by fan-in, centred gradients, warm-up."""

import inspect
import math
from typing import TypeVar

import torch
from torch import nn

from neuron_pruning.training.settings import OptimiserSettings, TrainingSettings

Optimiser = TypeVar("Optimiser", bound=type[torch.optim.Optimizer])


def _without_compiler(kind: Optimiser) -> Optimiser:
    """The same optimiser without the guards of torch.compile, which import it: 3 s of every job."""
    plain = {name: inspect.unwrap(getattr(kind, name)) for name in ("add_param_group", "zero_grad")}
    step = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), {**plain, "step": step})  # type: ignore[return-value]


SGD, Adam, AdamW = map(_without_compiler, (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW))


def build_optimiser(
    network: nn.Module, learning_rate: float, settings: OptimiserSettings
) -> torch.optim.Optimizer:
    """Fused optimiser with one parameter group per learning rate.

    ``learning_rate`` is that of layers which are not scaled by their fan-in.
    """
    groups: dict[float, list[nn.Parameter]] = {}
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            scale = _fan_in_scale(module, settings) if name == "weight" else 1.0
            groups.setdefault(scale, []).append(parameter)
    parameters = [{"params": ps, "lr": learning_rate * scale} for scale, ps in groups.items()]
    decay = settings.weight_decay
    if settings.name == "sgd":
        return SGD(
            parameters, learning_rate, momentum=settings.momentum, weight_decay=decay, fused=True
        )
    kind = AdamW if settings.name == "adamw" else Adam
    return kind(parameters, learning_rate, weight_decay=decay, fused=True)


def _fan_in_scale(module: nn.Module, settings: OptimiserSettings) -> float:
    """Factor on the learning rate of a module's weights; below 1 in wide layers only."""
    if isinstance(module, nn.Linear):
        reference, inputs = settings.linear_fan_in, module.in_features
    elif isinstance(module, nn.Conv2d):
        reference, inputs = settings.convolution_fan_in, module.weight[0].numel()
    else:
        return 1.0
    return 1.0 if reference is None else min(1.0, reference / inputs)


@torch.no_grad()
def centre_gradients(network: nn.Module) -> None:
    """Subtract from the weight gradient of every unit and kernel its mean over the inputs."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d) and layer.weight.grad is not None:
            gradient = layer.weight.grad
            inputs = -1 if isinstance(layer, nn.Linear) else (1, 2, 3)
            gradient.sub_(gradient.mean(dim=inputs, keepdim=True))


def build_schedule(
    optimiser: torch.optim.Optimizer, settings: TrainingSettings, images: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """Linear warm-up, then constant or a cosine to zero, counted in optimiser steps.

    Args:
        optimiser: whose learning rates are scheduled.
        settings: of the run; epochs and batch size give the length of the cosine.
        images: training images per epoch.
    """
    warmup = settings.optimiser.warmup_steps
    steps = settings.epochs * math.ceil(images / settings.batch_size)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if settings.optimiser.schedule == "constant":
            return 1.0
        return 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))

    return torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
