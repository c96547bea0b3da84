"""A training that was stopped at any step ends as if it had not been."""

from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import neuron_pruning.training.loop as training
from neuron_pruning import UserError, build_network
from neuron_pruning.core.resume import Resume, StateKeeper
from neuron_pruning.data.images import Patterns
from neuron_pruning.training.augmentation import AugmentationSettings
from neuron_pruning.training.loop import (
    OptimiserSettings,
    TrainingSettings,
    train_network,
    within_memory,
)
from neuron_pruning.training.sensitivity import Sensitivity

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
    "dropout": ("torchvision/alexnet", "none", {"micro_batch": 3}),
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


def train(recipe, resume=None, stop_after=None):
    """Weights, history and sensitivity; ``stop_after`` so many images it is killed."""
    name, normalisation, options = RECIPES[recipe]
    size = (64, 64) if name.startswith("torchvision") else (48, 48)
    torch.manual_seed(0)
    network = build_network(name, size, [6, 3], None, normalisation)
    gathered = Sensitivity(network)
    initial = {n: t.clone().numpy() for n, t in network.state_dict().items()}
    seen = 0

    def progress(images):
        nonlocal seen
        seen += images
        if stop_after is not None and seen >= stop_after:
            raise Killed

    settings = TrainingSettings(0.01, 4, 3, epochs=3, **options)
    cpu = torch.device("cpu")
    epochs = train_network(network, *patterns(size), settings, cpu, progress, gathered, resume)
    rows = [{k: v for k, v in asdict(e).items() if "second" not in k} for e in epochs]
    weights = {n: t.clone() for n, t in network.state_dict().items()}
    return weights, rows, gathered.scores(initial), seen


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
    """Each time it gets a little further: progress counts the images from the first on."""
    whole = train("varied")
    for stop_after in (4, 12, 16, 32, 38):
        with pytest.raises(Killed):
            train("varied", place, stop_after)
    same(whole, train("varied", place))


def test_it_goes_on_where_it_was_and_does_not_begin_anew(place, monkeypatch):
    with pytest.raises(Killed):
        train("plain", place, 30)
    steps = []
    original = training._take_step
    monkeypatch.setattr(training, "_take_step", lambda *a: (steps.append(1), original(*a)))
    train("plain", place)
    assert len(steps) == 12 - 8  # killed in the ninth of twelve


@given(place=st.integers(0, 10**6), bit=st.integers(0, 7), cut=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_damaged_state_is_not_used(tmp_path_factory, place, bit, cut):
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


def test_a_state_of_other_settings_is_not_used(place, caplog):
    with pytest.raises(Killed):
        train("plain", place, 30)
    assert StateKeeper(replace(place, identity="another")).load() is None
    assert StateKeeper(place).load() is not None


def test_a_full_disk_costs_the_state_not_the_training(tmp_path, caplog):
    blocked = Resume(tmp_path / "file" / "state", 0, "x")
    (tmp_path / "file").write_text("no folder")
    same(train("plain"), train("plain", blocked))
    assert "the state of the training was not written" in caplog.text


def test_the_state_is_written_every_few_minutes(tmp_path, monkeypatch):
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


def test_a_full_card_gets_half_as_many_images_at_once(capsys):
    tried = []

    def attempt(wanted):
        tried.append(wanted.micro_batch or wanted.batch_size)
        if tried[-1] > 5:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return wanted

    assert within_memory(attempt, TrainingSettings(0.1, 20, 0)).micro_batch == 5
    assert tried == [20, 10, 5]
    assert "going on with 10 images at once" in capsys.readouterr().err


def test_a_card_without_room_for_one_image_is_an_error():
    def attempt(_):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(UserError, match="no memory for a single image"):
        within_memory(attempt, TrainingSettings(0.1, 2, 0))
