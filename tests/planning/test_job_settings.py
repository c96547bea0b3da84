"""Settings of jobs that follow from several sections of the config."""

from types import SimpleNamespace

import pytest

from neuron_pruning.configuration.models_training import RECIPES
from neuron_pruning.configuration.validation import check_config
from planning.job_settings import JobSettings
from runtime import provenance
from runtime.provenance import settings_of

JOB = {"model": "alexnet", "layer": "fc3", "split": "random", "crop": "none", "state": "trained"}
JOB |= {"learning_rate": "0.0005", "batch_size": "64", "seed": "0"}


@pytest.fixture(autouse=True)
def fast_processor(monkeypatch):
    monkeypatch.setattr(provenance, "automatic_precision", lambda: "bfloat16")


def precision(kind, recipe, asked="auto", **config):
    """That of a job of some kind on a processor that multiplies bfloat16."""
    config["training"] = {"precision": asked}
    check_config(config)
    params = {"settings": getattr(JobSettings(config), kind)({**JOB, "recipe": recipe})}
    return settings_of(SimpleNamespace(params=params))["training"]["precision"]


@pytest.mark.parametrize("recipe", sorted(set(RECIPES) - {"as_written"}))
def test_auto_follows_the_processor(recipe):
    assert precision("train", recipe) == "bfloat16"


def test_auto_is_float32_for_as_written_whatever_the_processor():
    assert precision("train", "as_written") == "float32"


def test_auto_is_float32_for_recipes_of_which_nothing_is_known():
    assert precision("train", "mine", recipes={"mine": {}}) == "float32"
    changed = {"initialised": {"initialisation": {"scheme": "default"}}}
    assert precision("train", "initialised", recipes=changed) == "float32"
    assert precision("train", "faces", recipes={"faces": {"epochs": 1}}) == "bfloat16"


@pytest.mark.parametrize("asked", ["float32", "tf32", "bfloat16"])
def test_a_named_precision_is_the_one_of_every_recipe(asked):
    assert {precision("train", recipe, asked) for recipe in RECIPES} == {asked}


def test_what_trains_on_recorded_activations_is_in_float32():
    assert precision("compensations", "initialised") == "float32"
    for trainable, found in (("downstream", "float32"), ("all", "bfloat16")):
        pruning = {"fine_tuning": {"trainable": trainable}}
        assert precision("fine_tune", "initialised", pruning=pruning) == found
