"""A training that was stopped at any step ends as if it had not been stopped."""

from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuron_pruning import build_network
from neuron_pruning.core.resume import Resume, StateKeeper
from neuron_pruning.data.images import Patterns
from neuron_pruning.training.callbacks import Callback, EpochLog, TrainingCheckpoint
from neuron_pruning.training.loop import train_network
from neuron_pruning.training.sensitivity import Sensitivity
from neuron_pruning.training.settings import (
    AugmentationSettings,
    OptimiserSettings,
    TrainingSettings,
)

IMAGES = 20
RECIPES = {
    "plain": ("vgg8", "none", {"optimiser": OptimiserSettings("adam", centred_gradients=True)}),
    "varied": (
        "vgg8",
        "batch",
        {
            "optimiser": OptimiserSettings(
                "adamw", weight_decay=0.05, warmup_steps=2, schedule="cosine", linear_fan_in=50
            ),
            "augmentation": AugmentationSettings(flip=True, crop=0.2, erase=0.3),
            "label_smoothing": 0.1,
        },
    ),
    "momentum": ("vgg8", "contrast", {"optimiser": OptimiserSettings("sgd")}),
    "dropout": ("torchvision/squeezenet1_1", "none", {"micro_batch": 3}),
}


@pytest.fixture(autouse=True)
def one_thread():
    """Small networks gain nothing from more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Killed(BaseException):
    """As abrupt as a signal: nothing catches it."""


def patterns(size):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (IMAGES, *size, 3), dtype=np.uint8)
    classes = np.arange(IMAGES) % 3
    return [
        Patterns(pixels, np.arange(*part), classes[slice(*part)]) for part in ((0, 14), (14, 20))
    ]


class KillAfter(Callback):
    """Kills the training when it has seen so many images, and counts its steps."""

    def __init__(self, images):
        self.images, self.steps = images, 0

    def after_step(self, context):
        self.steps += 1
        if self.images is not None and context.images_done >= self.images:
            raise Killed


def train(recipe, resume=None, stop_after=None):
    """Weights, history, sensitivity and number of steps; killed after ``stop_after`` images."""
    name, normalisation, options = RECIPES[recipe]
    size = (64, 64) if name.startswith("torchvision") else (48, 48)
    torch.manual_seed(0)
    network = build_network(name, size, [6, 3], None, normalisation)
    sensitivity, kill = Sensitivity(network), KillAfter(stop_after)
    initial = {n: t.clone().numpy() for n, t in network.state_dict().items()}
    settings = TrainingSettings(0.01, 4, 3, epochs=3, **options)
    callbacks = [sensitivity, kill, EpochLog()]
    if resume is not None:
        callbacks.append(TrainingCheckpoint(resume))
    epochs = train_network(network, *patterns(size), settings, torch.device("cpu"), callbacks)
    rows = [{k: v for k, v in asdict(e).items() if "second" not in k} for e in epochs]
    weights = {n: t.clone() for n, t in network.state_dict().items()}
    return weights, rows, sensitivity.scores(initial), kill.steps


def same(one, other):
    for name in one[0]:
        assert torch.equal(one[0][name], other[0][name]), name
    assert one[1] == other[1]
    for name in one[2]:
        assert np.array_equal(one[2][name], other[2][name])


@pytest.fixture
def place(tmp_path):
    return Resume(tmp_path / "state.safetensors", 0, "this training")


@pytest.mark.parametrize("recipe", RECIPES)
def test_stopped_anywhere_it_ends_as_if_it_had_not(recipe, place):
    whole = train(recipe)
    for stop_after in (14,) if recipe == "dropout" else (4, 14, 30):
        with pytest.raises(Killed):
            train(recipe, place, stop_after)
        assert (stop_after == 4) == (StateKeeper(place).load() is None)
        resumed = train(recipe, place)
        same(whole, resumed)
        StateKeeper(place).clear()


def test_stopped_again_and_again(place):
    """Each time it gets a little further: images are counted from the first epoch on."""
    whole = train("varied")
    for stop_after in (4, 12, 16, 32, 38):
        with pytest.raises(Killed):
            train("varied", place, stop_after)
    same(whole, train("varied", place))


def test_it_resumes_where_it_was_and_does_not_start_from_scratch(place):
    with pytest.raises(Killed):
        train("plain", place, 30)
    *_, steps = train("plain", place)
    assert steps == 12 - 8  # killed in the ninth of twelve


def test_the_log_of_a_resumed_training_is_complete(place, caplog):
    caplog.set_level("INFO")
    with pytest.raises(Killed):
        train("plain", place, 30)
    caplog.clear()
    train("plain", place)
    assert caplog.messages[0] == "resuming in epoch 2 after step 4"
    assert [line[:12] for line in caplog.messages[1:]] == [f"epoch {n} of 3" for n in (1, 2, 3)]


@given(place=st.integers(0, 10**6), bit=st.integers(0, 7), cut=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_damaged_checkpoint_is_not_used(tmp_path_factory, place, bit, cut):
    path = tmp_path_factory.mktemp("state") / "s.safetensors"
    keeper = StateKeeper(Resume(path, 0, "me"))
    arrays = {"a": np.arange(50, dtype=np.float32), "b": np.ones((2, 3))}
    keeper.save(arrays, {"step": 1})
    found, about = keeper.load()
    assert about == {"step": 1} and all(np.array_equal(found[n], arrays[n]) for n in arrays)
    data = bytearray(path.read_bytes())
    place %= len(data)
    if cut:
        path.write_bytes(data[:place])
    else:
        data[place] ^= 1 << bit
        path.write_bytes(data)
    loaded = keeper.load()
    if loaded is not None:  # a flip in a space of the header changes nothing
        assert loaded[1] == about and all(np.array_equal(loaded[0][n], arrays[n]) for n in arrays)


def test_a_checkpoint_of_other_settings_is_not_used(place, caplog):
    with pytest.raises(Killed):
        train("plain", place, 30)
    assert StateKeeper(replace(place, identity="another")).load() is None
    assert StateKeeper(place).load() is not None


def test_a_full_disk_costs_the_checkpoint_not_the_training(tmp_path, caplog):
    blocked = Resume(tmp_path / "file" / "state", 0, "x")
    (tmp_path / "file").write_text("no folder")
    same(train("plain"), train("plain", blocked))
    assert "the training checkpoint was not written" in caplog.text


def test_the_checkpoint_is_written_every_few_minutes(tmp_path, monkeypatch):
    clock = SimpleNamespace(monotonic=lambda: now[0])
    now = [0.0]
    monkeypatch.setattr("neuron_pruning.core.resume.time", clock)
    keeper = StateKeeper(Resume(tmp_path / "s", 2, "x"), saved=clock.monotonic())
    now[0] = 119.0
    assert not keeper.due
    now[0] = 120.0
    assert keeper.due
    keeper.save({"a": np.zeros(1)}, {})
    assert not keeper.due
    keeper.clear()
    assert list(tmp_path.iterdir()) == []
