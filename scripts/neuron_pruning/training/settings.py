"""Settings of a training: the paper's hyper-parameters and what the paper leaves open."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from neuron_pruning.core.errors import UserError
from neuron_pruning.core.numerics import Precision

OptimiserName = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "cosine"]


@dataclass(frozen=True)
class AugmentationSettings:
    """How far training images are changed; with 0 everywhere they stay as they are.

    Attributes:
        flip: mirror left and right with probability 0.5.
        crop: largest share of both sides that is cut off; the rest is resized to the image size.
        rotation: largest angle in degrees, in both directions; the image is padded with its border.
        colour: largest change of brightness (of half the range), contrast and saturation.
        grey: probability that an image loses its colours.
        erase: probability that a random rectangle of an image becomes mid-grey.
    """

    flip: bool = False
    crop: float = 0.0
    rotation: float = 0.0
    colour: float = 0.0
    grey: float = 0.0
    erase: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a share outside 0 to 1, and an angle outside 0 to 180 degrees."""
        for name in ("crop", "colour", "grey", "erase"):
            if not 0.0 <= getattr(self, name) <= 1.0 or self.crop == 1.0:
                raise UserError(f"augmentation.{name} must be a share from 0 to 1 (crop: below 1)")
        if not 0.0 <= self.rotation <= 180.0:
            raise UserError("augmentation.rotation must be an angle from 0 to 180 degrees")

    @property
    def moves(self) -> bool:
        """Whether any geometric change is made."""
        return self.flip or self.crop > 0 or self.rotation > 0

    @property
    def draws(self) -> bool:
        """Whether any change is made, so that random numbers are drawn."""
        return self != AugmentationSettings()


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
        optimiser = OptimiserSettings(**training["optimiser"])
        augmentation = AugmentationSettings(**training["augmentation"])
        nested = {"optimiser": optimiser, "augmentation": augmentation}
        return cls(**{**training, **hyper_parameters, **nested})
