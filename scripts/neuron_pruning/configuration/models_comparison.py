"""Sections of the config about what networks are compared with."""

from typing import Annotated, Literal

from pydantic import Field

from neuron_pruning.configuration.fields import (
    Count,
    LearningRate,
    Names,
    OpenShare,
    Positive,
    Section,
    SomeNames,
    Unique,
)
from neuron_pruning.configuration.models_data import SPLITS, Crop

SomePositive = Annotated[list[Positive], Field(min_length=1), Unique()]
Pair = Field(min_length=2, max_length=2)


class ComparedNetwork(Section):
    """A network of Table 7, trained with every recipe on every kind of crop."""

    model: str = Field(description="One of the keys of models.")
    recipes: SomeNames = Field(description="Keys of recipes.")
    crops: Annotated[list[Crop], Field(min_length=1), Unique()] = Field(
        description="Whole frames or faces."
    )
    splits: Names | None = Field(
        None,
        description="Those of comparison.splits that it takes part in; null means all.",
    )
    learning_rate: LearningRate = Field(description="Learning rate.")
    batch_size: Count = Field(description="Batch size.")


# The paper's AlexNet, as written and initialised, on whole frames and faces.
NETWORKS = [
    ComparedNetwork(
        model="alexnet",
        recipes=["as_written", "initialised"],
        crops=["none", "face"],
        learning_rate=0.0005,
        batch_size=128,
    )
]


class Comparison(Section):
    """Table 7: other networks and support vector machines under several splits."""

    splits: Names = Field(
        list(SPLITS), description="Keys of splits; an empty list leaves Table 7 out."
    )
    networks: list[ComparedNetwork] = Field(
        NETWORKS,
        description="Networks that are trained for Table 7 beside the experiment's own.",
    )
    baselines: Annotated[list[Literal["images", "feature_table"]], Unique()] = Field(
        ["images"],
        description="Support vector machines on descriptors of the faces, or on the published "
        "table of features.",
    )


class Descriptors(Section):
    """Local phase quantisation (LPQ) and pyramid of histograms of gradients (PHOG)."""

    window: Literal[3, 5, 7, 9, 11, 13, 15] = Field(
        7, description="Side of LPQ's window in pixels. ASSUME: 7."
    )
    blocks: Annotated[list[Count], Pair] = Field(
        [4, 4], description="Rows and columns of LPQ's histograms."
    )
    levels: int = Field(
        4, ge=1, description="Levels of PHOG's pyramid, the whole image being the first."
    )
    bins: int = Field(16, ge=2, description="Bins of PHOG's circle of 360 degrees.")


class SupportVectorMachine(Section):
    """Principal components and the grid that is searched inside the training part."""

    variance: OpenShare | None = Field(
        0.98,
        description="Share of the variance that the principal components keep; null keeps the "
        "features as they are.",
    )
    c: SomePositive = Field(
        [0.5, 2.0, 8.0, 32.0], description="Penalties C that are tried. ASSUME: these."
    )
    gamma: SomePositive = Field(
        [0.125, 0.25, 0.5, 1.0, 2.0],
        description="Widths of the kernel that are tried, in multiples of 1 over the total "
        "variance. ASSUME: these.",
    )
    folds: int = Field(5, ge=2, description="Folds of the training part. ASSUME: 5.")


class Baseline(Section):
    """The support vector machine of Dhall et al. 2011."""

    feature_table: str | None = Field(
        None, description="Spreadsheet (xlsx) of features; name, label and numbers in its columns."
    )
    face_size: Annotated[list[Annotated[int, Field(ge=32)]], Pair] = Field(
        [128, 128],
        description="Height and width in pixels of the faces that are described. ASSUME: 128 x "
        "128.",
    )
    descriptors: Descriptors = Descriptors()
    svm: SupportVectorMachine = SupportVectorMachine()
