"""Defaults and names that a settings class of the package has too are the same there."""

import dataclasses
from typing import get_args

import pytest

from neuron_pruning.baselines.descriptors import DescriptorSettings
from neuron_pruning.baselines.svm import ClassifierSettings
from neuron_pruning.configuration import models, models_training
from neuron_pruning.configuration.models_pruning import TECHNIQUES
from neuron_pruning.core.numerics import PrecisionSetting
from neuron_pruning.data.drawn_faces import EXPRESSIONS
from neuron_pruning.data.drawn_faces.planning import FacesSettings
from neuron_pruning.data.index import OnBadImage, Resize
from neuron_pruning.data.near_duplicates import DISTANCE
from neuron_pruning.data.splits import Protocol, SplitSettings
from neuron_pruning.models.initialisation import InitialisationSettings, Scheme
from neuron_pruning.pruning.redundancy import RedundancyCriteria
from neuron_pruning.training.settings import (
    AugmentationSettings,
    OptimiserName,
    OptimiserSettings,
    Schedule,
    TrainingSettings,
)


@pytest.mark.parametrize(
    ("section", "settings", "shared"),
    [
        (models.Faces, FacesSettings, 5),
        (models.Split, SplitSettings, 5),
        (models_training.Initialisation, InitialisationSettings, 5),
        (models_training.Augmentation, AugmentationSettings, 6),
        (models_training.Optimiser, OptimiserSettings, 8),
        (models_training.Training, TrainingSettings, 4),
        (models_training.Recipe, TrainingSettings, 1),
        (models.Descriptors, DescriptorSettings, 4),
        (models.SupportVectorMachine, ClassifierSettings, 4),
    ],
)
def test_defaults_are_those_of_the_settings(section, settings, shared):
    required = {name: 1 for name in ("learning_rate", "batch_size", "seed")}
    given = settings(**required) if settings is TrainingSettings else settings()
    compared = 0
    for name, field in section.model_fields.items():
        single = name not in ("optimiser", "augmentation") and not field.is_required()
        if (
            single
            and (section, name) != (models_training.Recipe, "epochs")
            and hasattr(given, name)
        ):
            found = getattr(given, name)
            found = list(found) if isinstance(found, tuple) else found
            assert field.default == found, name
            compared += 1
    assert compared == shared


def test_other_values_that_stand_in_the_package_too():
    dataset = models.Dataset()
    assert dataset.near_duplicate_distance == DISTANCE == SplitSettings().near_duplicate_distance
    paper = TECHNIQUES["distinctiveness"]
    assert paper.settings == dataclasses.asdict(RedundancyCriteria())


@pytest.mark.parametrize(
    ("named", "known"),
    [
        (models.Resize, Resize),
        (models.OnBadImage, OnBadImage),
        (models.Protocol, Protocol),
        (models_training.PrecisionSetting, PrecisionSetting),
        (models_training.Scheme, Scheme),
        (models_training.OptimiserName, OptimiserName),
        (models_training.Schedule, Schedule),
    ],
)
def test_names_are_those_of_the_package(named, known):
    assert get_args(named) == get_args(known)


def test_expressions_are_those_that_are_drawn():
    assert get_args(models.Expression) == EXPRESSIONS
