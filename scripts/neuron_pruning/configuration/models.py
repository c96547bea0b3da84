"""The config as a typed model: the one source of its keys, defaults, ranges and descriptions.

A default that a settings class of the package has too is compared with it by a test.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from neuron_pruning.configuration.cross_checks import cross_checks, refuse
from neuron_pruning.configuration.fields import Key, Section, Seed, SomeNames, Unique, built_in
from neuron_pruning.configuration.models_comparison import Baseline, Comparison
from neuron_pruning.configuration.models_data import SPLITS, Dataset, Faces, Split
from neuron_pruning.configuration.models_pruning import Pruning
from neuron_pruning.configuration.models_training import (
    MODELS,
    RECIPES,
    Evaluation,
    Model,
    Recipe,
    Resume,
    Selection,
    Training,
)


class Controls(Section):
    """What is measured beside the trained networks."""

    untrained: bool = Field(
        True, description="Whether the untrained networks of the same seeds are pruned too."
    )


class Tables(Section):
    """The tables of the results."""

    formats: Annotated[list[Literal["csv", "md", "tex", "html"]], Unique()] = Field(
        ["csv", "md", "tex", "html"], description="Formats beside Parquet."
    )


class Report(Section):
    """The report page."""

    sample_images: int = Field(14, ge=0, description="Images that are shown with predictions.")


class Tracking(Section):
    """The MLflow store that mirrors the Parquet files."""

    uri: str | None = Field(
        "sqlite:///results/mlflow.db",
        description="Tracking URI; null switches the mirror off.",
    )
    artifacts: str | None = Field(
        "results/mlartifacts",
        description="Folder of the artifacts of a store without a server; null leaves it to the "
        "server.",
    )


class Config(Section):
    """Configuration of the pruning workflow."""

    experiment: Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]*$")] = Field(
        "paper",
        description="Name of the experiment; everything is written to results/<experiment>/.",
    )
    dataset: Dataset = Dataset()
    faces: Faces = Faces()
    split: str = Field(
        "random", description="Which of the splits the experiment uses; one of the keys of splits."
    )
    splits: Annotated[dict[Key, Split], built_in(SPLITS)] = Field(
        SPLITS,
        description="Named ways to divide the images into a training and a test part.",
    )
    seeds: Annotated[list[Seed], Field(min_length=1), Unique()] = Field(
        [0, 1, 2], description="Seeds of split, initialisation and shuffling; one run each."
    )
    run_models: Annotated[SomeNames, Field(max_length=2)] = Field(
        ["alexnet", "vgg"],
        description="Which of the models run; Tables 2 and 3 show the first and the second.",
    )
    models: Annotated[dict[Key, Model], built_in(MODELS)] = Field(
        MODELS,
        description="Architecture, pruned layer and hyper-parameter grid of each model.",
    )
    recipe: str = Field(
        "initialised",
        description="Which of the recipes trains; one of the keys of recipes. ASSUME: initialised, "
        "the smallest deviation from the paper that learns.",
    )
    recipes: Annotated[dict[Key, Recipe], built_in(RECIPES)] = Field(
        RECIPES,
        description="Named sets of what the paper leaves open about training. ASSUME: all of them.",
    )
    training: Training = Training()
    resume: Resume = Resume()
    evaluation: Evaluation = Evaluation()
    selection: Selection = Selection()
    pruning: Pruning = Pruning()
    comparison: Comparison = Comparison()
    baseline: Baseline = Baseline()
    controls: Controls = Controls()
    tables: Tables = Tables()
    report: Report = Report()
    tracking: Tracking = Tracking()

    @model_validator(mode="after")
    def _sections_agree(self) -> "Config":
        refuse(cross_checks(self.model_dump()))
        return self
