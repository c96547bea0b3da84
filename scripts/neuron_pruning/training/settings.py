"""Settings of a training: the paper's hyper-parameters and what the paper leaves open."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from neuron_pruning.core.numerics import Precision
from neuron_pruning.training.augmentation import AugmentationSettings

OptimiserName = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "cosine"]


@dataclass(frozen=True)
class OptimiserSettings:
    """How weights are updated. ASSUME: the paper names no optimiser; Adam is the default.

    Attributes:
        name: the update rule.
        weight_decay: decoupled from the gradient in AdamW, added to the gradient otherwise.
        momentum: of SGD alone.
        linear_fan_in: fully connected weights with more inputs than this learn at
            ``learning_rate * linear_fan_in / inputs``, so that a step changes a pre-activation
            no further in a wide layer than in a narrow one; None: at the learning rate.
        convolution_fan_in: the same for convolution kernels.
        centred_gradients: subtract from every unit's weight gradient its mean over the inputs
            (gradient centralisation, Yong et al. 2020), so that no step shifts all incoming
            weights of a unit alike.
        warmup_steps: optimiser steps over which the learning rate grows linearly.
        schedule: of the learning rate after the warm-up.
    """

    name: OptimiserName = "adam"
    weight_decay: float = 0.0
    momentum: float = 0.9
    linear_fan_in: float | None = None
    convolution_fan_in: float | None = None
    centred_gradients: bool = False
    warmup_steps: int = 0
    schedule: Schedule = "constant"


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of one run.

    Attributes:
        learning_rate: before warm-up, schedule and fan-in scaling.
        batch_size: images per optimiser step.
        seed: of image order, augmentation and dropout.
        epochs: passes over the training images.
        precision: of matrix products; weights stay float32.
        micro_batch: images per forward pass, whose gradients add up to the batch's; None: all.
        autotune: let cuDNN time its deterministic algorithms and take the fastest.
        optimiser: how weights are updated.
        augmentation: how training images are changed at random.
        label_smoothing: share of the target probability that is spread evenly over all classes
            (Szegedy et al. 2016).
    """

    learning_rate: float
    batch_size: int
    seed: int
    epochs: int = 10
    precision: Precision = "float32"
    micro_batch: int | None = None
    autotune: bool = False
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    label_smoothing: float = 0.0

    @classmethod
    def from_config(
        cls, training: Mapping[str, Any], keys: Mapping[str, Any]
    ) -> "TrainingSettings":
        """Settings of one run.

        Args:
            training: the config's section ``training`` with what the recipe sets.
            keys: of the run, which hold its hyper-parameters and seed.
        """
        hyper_parameters = {name: keys[name] for name in ("learning_rate", "batch_size", "seed")}
        nested = {
            "optimiser": OptimiserSettings(**training["optimiser"]),
            "augmentation": AugmentationSettings(**training["augmentation"]),
        }
        return cls(**{**training, **hyper_parameters, **nested})
