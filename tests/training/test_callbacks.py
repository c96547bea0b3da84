import io
import sys

import numpy as np
import pytest
import torch

from neuron_pruning.data.images import Patterns
from neuron_pruning.training import callbacks as callbacks_module
from neuron_pruning.training.callbacks import Callback, EpochLog, ProgressBar
from neuron_pruning.training.loop import train_network
from neuron_pruning.training.settings import TrainingSettings

SETTINGS = TrainingSettings(learning_rate=0.01, batch_size=5, seed=3, epochs=2)
HOOKS = (
    "on_training_start",
    "on_epoch_start",
    "before_step",
    "after_step",
    "on_epoch_end",
    "on_training_end",
)


@pytest.fixture
def train(small_vgg, images):
    """Train the small network on nine images, two steps per epoch, with the given callbacks."""
    labels, rows = np.arange(12) % 3, np.arange(12)
    subsets = Patterns(images, rows[:9], labels[:9]), Patterns(images, rows[9:], labels[9:])
    return lambda *callbacks: train_network(
        small_vgg, *subsets, SETTINGS, torch.device("cpu"), callbacks
    )


class Recorder(Callback):
    """Notes every hook that is called, and what ``look`` finds in the context then."""

    def __init__(self, look=lambda context: None):
        self.calls = []
        for hook in HOOKS:
            setattr(self, hook, lambda context, hook=hook: self.calls.append((hook, look(context))))

    def at(self, hook):
        return [value for name, value in self.calls if name == hook]


class StopInSecondEpoch(Callback):
    def before_step(self, context):
        if context.progress.epoch == 2:
            raise KeyboardInterrupt


def test_hooks_are_called_in_the_order_of_the_loop(train):
    recorder = Recorder()
    train(recorder)
    epoch = ["on_epoch_start", *["before_step", "after_step"] * 2, "on_epoch_end"]
    expected = ["on_training_start", *epoch * 2, "on_training_end"]
    assert [hook for hook, _ in recorder.calls] == expected


def test_callbacks_are_called_in_their_order(train):
    calls = []
    train(*(Recorder(lambda _, name=name: calls.append(name)) for name in "ab"))
    assert calls == ["a", "b"] * (len(calls) // 2)


def test_a_step_changes_the_weights_between_its_hooks(train, small_vgg):
    weight = small_vgg.linear("fc2").weight
    recorder = Recorder(lambda _: weight.detach().clone())
    train(recorder)
    before, after = recorder.at("before_step"), recorder.at("after_step")
    assert not any(torch.equal(*pair) for pair in zip(before, after, strict=True))
    assert torch.equal(after[0], before[1])


def test_images_are_counted_over_all_epochs(train):
    recorder = Recorder(lambda context: context.images_done)
    train(recorder)
    assert recorder.at("after_step") == [5, 9, 14, 18]
    assert recorder.at("on_epoch_end") == [9, 18]


def test_a_failed_training_ends_for_its_callbacks_too(train):
    recorder = Recorder()
    with pytest.raises(KeyboardInterrupt):
        train(recorder, StopInSecondEpoch())
    assert recorder.calls[-1][0] == "on_training_end"


def test_every_epoch_is_a_line_in_the_log_as_soon_as_it_ends(train, caplog):
    caplog.set_level("INFO")
    lines = Recorder(lambda context: len(caplog.messages))
    history = train(EpochLog(), lines)
    assert lines.at("on_epoch_start") == [0, 1] and lines.at("on_epoch_end") == [1, 2]
    for number, (row, line) in enumerate(zip(history, caplog.messages, strict=True), 1):
        assert line == (
            f"epoch {number} of 2: train loss {row.train_loss:.3f}, "
            f"train accuracy {row.train_accuracy:.3f}, test loss {row.test_loss:.3f}, "
            f"test accuracy {row.test_accuracy:.3f}, {row.images_per_second:.1f} images/s"
        )


def test_a_killed_training_leaves_its_finished_epochs_in_the_log(train, caplog):
    caplog.set_level("INFO")
    with pytest.raises(KeyboardInterrupt):
        train(EpochLog(), StopInSecondEpoch())
    (line,) = caplog.messages
    assert line.startswith("epoch 1 of 2: train loss ")


class FakeBar:
    """Keeps what tqdm would draw."""

    def __init__(self, desc, total, **options):
        self.desc, self.total, self.n = desc, total, 0
        self.seen, self.closed = [], False

    def update(self, images):
        self.n += images
        self.seen.append(self.n)

    def close(self):
        self.closed = True


@pytest.fixture
def bars(monkeypatch):
    made = []
    monkeypatch.setattr(
        callbacks_module, "tqdm", lambda **options: made.append(FakeBar(**options)) or made[-1]
    )
    return made


def test_the_progress_bar_counts_every_image(train, bars):
    train(ProgressBar("vgg seed 0"))
    (bar,) = bars
    assert (bar.desc, bar.total, bar.closed) == ("vgg seed 0", 18, True)
    assert list(dict.fromkeys(bar.seen)) == [0, 5, 9, 14, 18]


def test_the_progress_bar_of_a_failed_training_is_closed(train, bars):
    with pytest.raises(KeyboardInterrupt):
        train(ProgressBar("title"), StopInSecondEpoch())
    assert bars[0].closed and bars[0].n == 9


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("stream", "drawn"), [(Terminal, True), (io.StringIO, False)])
def test_the_progress_bar_is_drawn_on_terminals_alone(train, monkeypatch, stream, drawn):
    monkeypatch.setattr(sys, "stderr", stream())
    train(ProgressBar("vgg seed 0"))
    assert ("vgg seed 0" in sys.stderr.getvalue()) == drawn
