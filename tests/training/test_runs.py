import numpy as np
import pytest
import torch

from neuron_pruning import save_network
from neuron_pruning.core.resume import Resume, StateKeeper
from neuron_pruning.data.split_file import Split
from neuron_pruning.training import runs
from neuron_pruning.training.runs import HISTORY_SCHEMA, SPEED_SCHEMA, train_run
from neuron_pruning.training.settings import TrainingSettings

SETTINGS = TrainingSettings(learning_rate=0.01, batch_size=5, seed=3, epochs=2)


@pytest.fixture
def run(small_vgg, images, tmp_path):
    """Function that trains a stored network; eight images train, four test."""
    save_network(small_vgg, tmp_path / "initial.safetensors", {})
    names = np.array([f"{n}.png" for n in range(12)])
    parts = np.repeat(["train", "test"], [8, 4])
    split = Split(("a", "b", "c"), tuple(names), np.arange(12) % 3, parts, names)
    place, cpu = tmp_path / "initial.safetensors", torch.device("cpu")
    return lambda resume=None, device=cpu: train_run(
        place, images, split, SETTINGS, device, "title", resume
    )


def test_a_run_leaves_a_network_figures_and_speeds(run, small_vgg):
    trained = run()
    weight = small_vgg.linear("fc2").weight
    assert not torch.equal(trained.network.linear("fc2").weight, weight)
    history, speed = (trained.rows(table, "this one") for table in (HISTORY_SCHEMA, SPEED_SCHEMA))
    assert [row["epoch"] for row in history] == [row["epoch"] for row in speed] == [1, 2]
    assert set(history[0]) == set(HISTORY_SCHEMA.names[-5:])
    assert set(speed[0]) == set(SPEED_SCHEMA.names[-6:])
    assert (speed[1]["device"], speed[1]["micro_batch"]) == ("this one", 5)
    assert speed[1]["precision"] == "float32"
    assert trained.series["test_loss"] == [row["test_loss"] for row in history]
    initial = {name: value.numpy() for name, value in small_vgg.state_dict().items()}
    scores = trained.sensitivity.scores(initial)
    assert all((values > 0).any() for values in scores.values())


def test_a_training_checkpoint_belongs_to_a_kind_of_device(run, tmp_path):
    place = tmp_path / "state"
    run(Resume(place, 0, "me"))
    assert StateKeeper(Resume(place, 0, "me cpu")).load() is not None
    assert StateKeeper(Resume(place, 0, "me")).load() is None


def test_a_training_checkpoint_belongs_to_a_model_of_gpu(run, monkeypatch, tmp_path):
    kept = []
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
    monkeypatch.setattr(runs, "TrainingCheckpoint", kept.append)
    monkeypatch.setattr(runs, "train_network", lambda *_: [])
    run(Resume(tmp_path / "state", 0, "me"), torch.device("cuda", 2))
    assert [resume.identity for resume in kept] == ["me GPU 2"]
