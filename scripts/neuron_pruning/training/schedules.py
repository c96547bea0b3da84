"""Learning-rate schedules."""

import math

import torch

from neuron_pruning.training.settings import TrainingSettings


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
