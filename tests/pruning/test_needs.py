"""What techniques declare that they need of a layer, and how they are found."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import neuron_pruning
from neuron_pruning import UserError
from neuron_pruning.models.dense import Dense, hidden_activations
from neuron_pruning.pruning.techniques import REGISTRY, techniques
from neuron_pruning.pruning.techniques.technique import by_score
from neuron_pruning.pruning.units import (
    NEEDS,
    Layer,
    LayerActivations,
    UnitActivations,
    UnitLayer,
    unmet_need,
)
from tests.project import documented_technique

UNITS, INPUTS, PATTERNS, CLASSES = 8, 5, 60, 3
LOOKED_UP = {"karnin", *(name for name in REGISTRY if name.startswith("torch_pruning_"))}


@pytest.fixture
def layer():
    """A layer whose activations lie about 0.5, so that other rows of their kind do too."""
    draws = np.random.default_rng(3)
    incoming = Dense(0.2 * draws.normal(size=(UNITS, INPUTS)), 0.2 * draws.normal(size=UNITS))
    outgoing = Dense(draws.normal(size=(CLASSES, UNITS)), draws.normal(size=CLASSES))
    inputs = draws.normal(size=(PATTERNS, INPUTS))
    labels = draws.integers(CLASSES, size=PATTERNS)
    recorded = LayerActivations(hidden_activations(incoming, inputs), inputs, labels)
    scores = {name: draws.random(UNITS) for name in LOOKED_UP}
    return Layer("fc1", incoming, outgoing, recorded, scores)


def without_loss(layer, activations=None):
    """The same units without anything that the loss needs."""
    recorded = None if activations is None else UnitActivations(activations)
    scores = layer.precomputed_scores
    return UnitLayer(layer.name, layer.incoming, layer.outgoing, recorded, scores)


def of_equal_statistics(activations):
    """Other rows of the same number, sums and Gram matrix: rotated about the constant vector."""
    draws = np.random.default_rng(0)
    ones = np.ones((len(activations), 1))
    basis = np.linalg.qr(np.column_stack([ones, draws.normal(size=(len(ones), len(ones) - 1))]))[0]
    turn = np.eye(len(ones))
    turn[1:, 1:] = np.linalg.qr(draws.normal(size=(len(ones) - 1, len(ones) - 1)))[0]
    return basis @ turn @ basis.T @ activations


def chosen(technique, layer):
    amounts = (20.0, 60.0) if technique.amount == "angle" else range(UNITS)
    prepared = technique.prepared(layer)
    return [[(r.unit, r.rule, r.partner) for r in prepared(n).removals] for n in amounts]


def of(*needs):
    return pytest.mark.parametrize("name", [n for n in REGISTRY if REGISTRY[n].needs in needs])


@of("weights")
def test_what_needs_weights_works_without_activations(layer, name):
    technique = REGISTRY[name]
    assert chosen(technique, without_loss(layer)) == chosen(technique, layer)


@of("statistics", "activations", "gates", "loss")
def test_what_needs_more_is_refused_without_activations(layer, name):
    needs = REGISTRY[name].needs
    message = f"{name} needs the {needs}, which fc1 does not offer here; give its activations"
    with pytest.raises(UserError, match=message):
        REGISTRY[name].prepared(without_loss(layer))


@of("weights", "statistics", "activations")
def test_what_needs_no_loss_works_on_units_that_have_none(layer, name):
    technique = REGISTRY[name]
    assert chosen(technique, without_loss(layer, layer.activations)) == chosen(technique, layer)


@of("loss")
def test_what_needs_the_loss_uses_it_and_is_refused_without(layer, name):
    technique, units = REGISTRY[name], without_loss(layer, layer.activations)
    with pytest.raises(UserError, match=f"{name} needs the loss, which fc1 does not offer here"):
        technique.prepared(units)
    with pytest.raises(AttributeError, match="'UnitLayer' object has no attribute"):
        technique.prepare(units)
    assert chosen(technique, layer)[1]


@of("gates")
def test_what_needs_gates_reads_nothing_else_of_the_loss(layer, name):
    technique, units = REGISTRY[name], without_loss(layer, layer.activations)
    with pytest.raises(UserError, match=f"{name} needs the gates, which fc1 does not offer here"):
        technique.prepared(units)
    gated = replace(units, measured_gates=layer.gates)
    assert gated.offers == "gates"
    assert chosen(technique, gated) == chosen(technique, layer)


@of("statistics")
def test_what_needs_statistics_depends_on_nothing_else(layer, name):
    other = of_equal_statistics(layer.activations)
    assert np.abs(other - layer.activations).max() > 0.05
    np.testing.assert_allclose(other.T @ other, layer.gram)
    technique = REGISTRY[name]
    assert chosen(technique, without_loss(layer, other)) == chosen(technique, layer)
    drawn = np.random.default_rng(1).random(other.shape) * np.linspace(0.02, 1.0, UNITS)
    assert chosen(technique, without_loss(layer, drawn)) != chosen(technique, layer)


@of("activations")
def test_what_needs_activations_depends_on_more_than_statistics(layer, name):
    other, technique = of_equal_statistics(layer.activations), REGISTRY[name]
    settings = {"epsilon": 0.45} if name == "apoz" else {}
    assert not np.allclose(
        technique(without_loss(layer, other), **settings), technique(layer, **settings)
    )


def test_a_setting_that_needs_more_is_refused_where_that_is_not_offered():
    technique = REGISTRY["distinctiveness"]
    assert technique.refusal_of_layer("fc1", "statistics", {"groups": "none"}) is None
    reason = technique.refusal_of_layer("fc1", "statistics", {"groups": "lossless"})
    assert reason.startswith("distinctiveness needs the activations, which fc1 does not offer")
    assert "no more than the statistics, for instance distinctiveness, l1 or random" in reason


def test_a_layer_that_offers_more_serves_what_needs_less():
    for place, offered in enumerate(NEEDS):
        met = [unmet_need("x", needed, offered, "fc1") is None for needed in NEEDS]
        assert met == [True] * (place + 1) + [False] * (len(NEEDS) - place - 1)


def test_layers_say_what_they_offer(layer):
    assert layer.offers == "loss"
    assert replace(layer, recorded=None).offers == without_loss(layer).offers == "weights"
    assert without_loss(layer, layer.activations).offers == "activations"


def test_a_technique_is_called_as_its_function_and_keeps_its_module(layer):
    @by_score(needs="weights", largest=True)
    def bias(layer: UnitLayer, *, power: float = 1.0):
        return layer.incoming.bias**power

    np.testing.assert_array_equal(bias(layer, power=2), layer.incoming.bias**2)
    assert (bias.name, bias.module, bias.settings) == ("bias", __name__, {"power": 1.0})
    assert bias.select(layer, 1).removed == (int(layer.incoming.bias.argmax()),)


def test_techniques_are_sorted_and_each_is_of_a_module_of_the_folder():
    assert techniques() == sorted(REGISTRY) and len(REGISTRY) == 32
    folder = "neuron_pruning.pruning.techniques."
    assert all(technique.module.startswith(folder) for technique in REGISTRY.values())
    assert REGISTRY["torch_pruning_taylor"].module != REGISTRY["taylor"].module


def test_techniques_are_found_without_torch():
    code = "import sys, neuron_pruning; neuron_pruning.techniques(); print('torch' in sys.modules)"
    assert run(code, Path(neuron_pruning.__file__).parents[1]).stdout.split() == ["False"]


def test_a_technique_is_one_file_and_a_name_is_taken_once(tmp_path):
    package = Path(neuron_pruning.__file__).parent
    shutil.copytree(package, tmp_path / "scripts" / package.name)
    path, source = documented_technique()
    (tmp_path / path).write_text(source)
    code = "import neuron_pruning; print(neuron_pruning.find_technique('bias_size').module)"
    found = run(code, tmp_path / "scripts")
    assert found.stdout.strip() == "neuron_pruning.pruning.techniques.bias_size"
    (tmp_path / path).with_name("other.py").write_text(source)
    assert "other both declare bias_size" in run(code, tmp_path / "scripts").stderr


def run(code, path):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(path)},
    )
