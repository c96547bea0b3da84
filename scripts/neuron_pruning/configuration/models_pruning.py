"""Sections of the config about pruning: techniques, compensations, sweeps, cuts, fine-tuning."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from neuron_pruning.configuration.cross_checks import check_pruning, refuse
from neuron_pruning.configuration.fields import (
    Angle,
    Count,
    Distinct,
    Name,
    Positive,
    Section,
    Several,
    Some,
    Whole,
    WordOrList,
    built_in,
    one_of,
)
from neuron_pruning.pruning.compensations import COMPENSATIONS
from neuron_pruning.pruning.techniques import find_technique

# fitted: the weights that one technique has fitted itself, so no choice for the others.
COMMON = [name for name in COMPENSATIONS if name != "fitted"]

LayerName = Annotated[str, Field(pattern="^(fc|conv)[0-9]+$")]
LayerGroup = Literal["pruned", "hidden", "convolutions", "all"]


def _simple(value: Any) -> Any:
    if not isinstance(value, (str, int, float)):
        raise PydanticCustomError("setting", "must be a word or a number")
    return value


Setting = Annotated[
    Any, AfterValidator(_simple), WithJsonSchema({"type": ["string", "number", "boolean"]})
]


class TechniqueLabel(Section):
    """A technique with a compensation and settings, under a label of its own."""

    technique: str | None = None
    """Name of the technique; null means the label itself."""
    compensation: Annotated[str, one_of(COMPENSATIONS)] | None = None
    """What compensates for the removed units; null means its authors' choice. ASSUME: of the
    paper's technique, add: the merge target gets the outgoing weights."""
    settings: dict[str, Setting] = {}
    """Settings of the technique; those not named keep their defaults. ASSUME: of the paper's
    technique, centring half (activations minus 0.5), complementary both (both units of a
    complementary pair go) and groups none (the paper names no groups)."""


TECHNIQUES = {
    # The paper's technique. Its defaults are written out to be seen and changed.
    "distinctiveness": TechniqueLabel(
        compensation=find_technique("distinctiveness").compensation,
        settings=find_technique("distinctiveness").settings,
    ),
    "distinctiveness_mean": TechniqueLabel(
        technique="distinctiveness",
        compensation="affine",
        settings={"centring": "mean", "complementary": "lossless"},
    ),
    "distinctiveness_uncentred": TechniqueLabel(
        technique="distinctiveness", settings={"centring": "none"}
    ),
    "distinctiveness_lossless": TechniqueLabel(
        technique="distinctiveness",
        compensation="scaled",
        settings={"complementary": "lossless", "groups": "lossless"},
    ),
}


class Sweep(Section):
    """Accuracy against the number of removed units, for Table 5 and the curves."""

    compensations: Some[Annotated[str, one_of(["own", *COMMON])]] = ["own", "none", "bias", "lstsq"]
    """Compensations that every technique is swept with, where they make sense; own is the
    technique's."""
    step: Angle = 0.5
    """Distance between thresholds in degrees."""
    draws: Count = 20
    """Draws of random removal."""
    max_points: Several = 200
    """Numbers of removed units: every one, or at most so many, evenly spaced."""


class Cut(Section):
    """A cut of one or more layers of a network."""

    technique: Name
    """Label of the technique."""
    amount: Positive
    """Degrees, or a number of units in each layer, or below 1 a share of each layer."""
    layers: WordOrList[LayerGroup, Some[LayerName]]
    """The pruned layer of the model, all hidden fully connected ones, all convolutions, both, or a
    list of names."""


# What the target sizes measures by default.
CUTS = {
    "paper": Cut(technique="distinctiveness", amount=15, layers="pruned"),
    "half_of_units": Cut(technique="variance", amount=0.5, layers="hidden"),
    "half_of_channels": Cut(technique="torch_pruning_magnitude", amount=0.5, layers="convolutions"),
}


class Latency(Section):
    """How forward passes are timed."""

    batch_sizes: Some[Count] = [1, 64]
    """Images of a forward pass."""
    repeats: Count = 20
    """Passes that are timed."""


class FineTuning(Section):
    """Fine-tuning of pruned networks with the run's own recipe."""

    epochs: Whole = 0
    """Epochs of the saved pruned networks; the paper does none."""
    compared_epochs: Whole = 10
    """Epochs in Table 6, which shows pruned networks without and with them."""
    trainable: Literal["downstream", "all"] = "downstream"
    """The layers downstream of the pruned one, from recorded activations, or all layers. ASSUME:
    downstream, and so without augmentation."""


class Pruning(Section):
    """How units are selected and removed."""

    angles: Some[Angle] = [15, 10, 5]
    """Thresholds in degrees of techniques that have one, in Table 4."""
    counts: Some[Count] = [10, 25, 50, 65, 82, 95]
    """Numbers of removed units in Table 5, and in Table 4 of techniques without an angle."""
    saved_techniques: Some[Name] = ["distinctiveness"]
    """Labels of the techniques whose pruned networks are saved and fill Table 4."""
    techniques_compared: WordOrList[Literal["all"], Distinct[Name]] = "all"
    """Labels of the techniques that Table 5 compares, or all; random is always among them."""
    compared_angles: Some[Angle] = [75, 60, 45, 30, 15, 10, 5]
    """Thresholds of distinctiveness in Table 6, in degrees: wide enough for networks that have
    learned."""
    compensations: Some[Annotated[str, one_of(COMMON)]] = [
        name for name in COMMON if name != "fold"
    ]
    """Compensations of distinctiveness that Table 6 compares."""
    techniques: Annotated[dict[Name, TechniqueLabel], built_in(TECHNIQUES)] = TECHNIQUES
    """Compensation and settings by label. Every technique is also there under its own name, as its
    authors have it."""
    sweep: Sweep = Sweep()
    cuts: dict[Name, Cut] = CUTS
    """Networks cut in one or more layers, convolutions too; the target sizes measures them."""
    latency: Latency = Latency()
    fine_tuning: FineTuning = FineTuning()

    @model_validator(mode="after")
    def _names_exist(self) -> "Pruning":
        refuse(check_pruning(self.model_dump()))
        return self
