import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from neuron_pruning import UserError, recorded_activations, save_network
from neuron_pruning.pruning.network_source import NetworkSource, RunDescription
from neuron_pruning.pruning.scores import read_scores, scores_of_layer, write_scores

KEYS = {"experiment": "mine", "seed": 3}


@pytest.fixture
def stored(small_vgg, split_file, tmp_path):
    """Fields of the source of a network of the experiment mine: 8 training and 4 test images."""
    save_network(small_vgg, tmp_path / "network.safetensors", KEYS)
    draws = np.random.default_rng(0)
    sizes = {"features": 4, "fc1": 12, "fc2": 10, "fc3": 3}
    outputs = {n: draws.random((12, width), dtype=np.float32) for n, width in sizes.items()}
    save_file(outputs, tmp_path / "activations.safetensors")
    architecture = asdict(small_vgg.architecture)
    architecture["widths"] = architecture["widths"][:-1]
    return {
        "network": tmp_path / "network.safetensors",
        "split_file": split_file,
        "run": RunDescription(KEYS, KEYS, architecture),
        "activations": tmp_path / "activations.safetensors",
    }


def read_layer(stored, name="fc2", scores=()):
    return NetworkSource(**stored).layer(name, scores)


def test_a_layer_with_its_activations(stored, small_vgg, tmp_path):
    write_scores(tmp_path / "s.safetensors", {"karnin": {"fc1": np.ones(12), "fc2": np.ones(10)}})
    found = read_layer(stored, scores=[tmp_path / "s.safetensors"])
    assert found.layer.activations.shape == (8, 10) and found.test.activations.shape == (4, 10)
    assert found.layer.inputs.shape == (8, 12)
    weight = small_vgg.linear("fc2").weight.detach().numpy()
    np.testing.assert_array_equal(found.layer.incoming.weight, weight)
    assert found.layer.precomputed_scores["karnin"].shape == (10,)
    # Nothing in front of the layer was read.
    assert set(found.checkpoint.tensors) == {
        f"classifier.{name}.{kind}" for name in ("fc2", "fc3") for kind in ("weight", "bias")
    }


def test_a_network_of_another_experiment_is_refused(stored):
    with pytest.raises(
        UserError, match=r"does not belong to this config \(experiment: mine instead"
    ):
        other = replace(stored["run"], belongs={"experiment": "other"})
        read_layer({**stored, "run": other})


def test_activations_of_another_network_are_refused(stored):
    outputs = {n: np.zeros((12, 7), dtype=np.float32) for n in ("fc1", "fc2")}
    save_file(outputs, stored["activations"])
    with pytest.raises(UserError, match="fc2 has 10 units, not 7"):
        read_layer(stored)


def test_broken_numbers_and_missing_layers_are_refused(stored):
    with pytest.raises(UserError, match="has no layer 'fc9'"):
        read_layer(stored, "fc9")
    with pytest.raises(UserError, match="output layer"):
        read_layer(stored, "fc3")
    outputs = {"fc1": np.zeros((12, 12), np.float32), "fc2": np.full((12, 10), np.nan, np.float32)}
    save_file(outputs, stored["activations"])
    with pytest.raises(UserError, match="unit 0 are NaN or infinite"):
        read_layer(stored)
    stored["activations"].write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"activations\.safetensors does not hold"):
        read_layer(stored)


def test_scores_by_technique_and_layer(tmp_path):
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    write_scores(first, {"karnin": {"fc1": np.arange(3.0)}})
    write_scores(second, {"torch_pruning_lamp": {"fc1": np.ones(3), "fc2": np.ones(2)}})
    assert {t: sorted(by) for t, by in read_scores([first, second]).items()} == {
        "karnin": ["fc1"],
        "torch_pruning_lamp": ["fc1", "fc2"],
    }
    assert list(scores_of_layer(read_scores([first, second]), "fc2")) == ["torch_pruning_lamp"]


def test_a_description_that_is_none_is_told(stored):
    stored["network"].with_suffix(".json").write_text(json.dumps({"provenance": {}}))
    with pytest.raises(UserError, match="describes no network"):
        read_layer(stored)


def test_recorded_activations_are_of_the_training_images_alone(split_file, tmp_path):
    values = np.arange(24, dtype=np.float32).reshape(12, 2)
    save_file({"fc1": values}, tmp_path / "activations.safetensors")
    found = recorded_activations(tmp_path / "activations.safetensors", str(split_file), "fc1")
    np.testing.assert_array_equal(found, values[:8])
    test = recorded_activations(tmp_path / "activations.safetensors", split_file, "fc1", "test")
    np.testing.assert_array_equal(test, values[8:])
