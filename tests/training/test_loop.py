import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from neuron_pruning import UserError
from neuron_pruning.core.resume import Resume
from neuron_pruning.data import images as images_module
from neuron_pruning.data.images import Patterns
from neuron_pruning.models.architectures import describe
from neuron_pruning.models.initialisation import InitialisationSettings, initialise_network
from neuron_pruning.training.callbacks import Callback, EpochLog, ProgressBar, TrainingCheckpoint
from neuron_pruning.training.loop import train_network
from neuron_pruning.training.sensitivity import Sensitivity
from neuron_pruning.training.settings import (
    AugmentationSettings,
    OptimiserSettings,
    TrainingSettings,
)

CPU = torch.device("cpu")
SETTINGS = TrainingSettings(learning_rate=0.01, batch_size=5, seed=3, epochs=2)


@pytest.fixture
def parts(images):
    classes = np.arange(12) % 3
    rows = np.arange(12)
    return Patterns(images, rows[:9], classes[:9]), Patterns(images, rows[9:], classes[9:])


def history(network, parts, settings):
    """History without its times."""
    epochs = train_network(network, *parts, settings, CPU)
    return [dataclasses.astuple(e)[:5] for e in epochs]


def start(architecture, seed=0, **settings):
    return initialise_network(architecture, InitialisationSettings(**settings), seed)


def test_same_seed_gives_identical_metrics_and_another_seed_others(small_vgg, parts):
    a = small_vgg.architecture
    first = history(start(a), parts, SETTINGS)
    assert first == history(start(a), parts, SETTINGS)
    assert first != history(start(a), parts, dataclasses.replace(SETTINGS, seed=4))
    assert [row[0] for row in first] == [1, 2]


def sizes_seen(network):
    """Batch sizes and dtypes of what passes through the output layer from now on."""
    seen = []
    network.linear("fc3").register_forward_hook(
        lambda layer, inputs, output: seen.append((len(output), output.dtype))
    )
    return seen


def test_micro_batches_pass_in_pieces(small_vgg, parts):
    seen = sizes_seen(small_vgg)
    settings = dataclasses.replace(SETTINGS, micro_batch=2, epochs=1)
    train_network(small_vgg, *parts, settings, CPU)
    assert [size for size, _ in seen] == [2, 2, 1, 2, 2, 2, 1]


def weights_after(network, parts, **optimiser):
    settings = dataclasses.replace(SETTINGS, epochs=1, optimiser=OptimiserSettings(**optimiser))
    start_again = start(network.architecture)
    train_network(start_again, *parts, settings, CPU)
    return start_again.linear("fc2").weight


@pytest.mark.parametrize(
    "changed",
    [
        {"centred_gradients": True},
        {"weight_decay": 0.1},
        {"linear_fan_in": 2},
        {"warmup_steps": 2},
        {"schedule": "cosine"},
        {"name": "adamw", "weight_decay": 0.1},
    ],
    ids=str,
)
def test_every_setting_of_the_optimiser_takes_effect(small_vgg, parts, changed):
    plain = weights_after(small_vgg, parts)
    assert not torch.equal(plain, weights_after(small_vgg, parts, **changed))


def test_momentum_takes_effect(small_vgg, parts):
    one, other = (weights_after(small_vgg, parts, name="sgd", momentum=m) for m in (0.0, 0.9))
    assert not torch.equal(one, other)


def test_micro_batches_give_the_batchs_gradient(small_vgg, parts):
    a = small_vgg.architecture
    whole = history(start(a), parts, SETTINGS)
    pieces = history(start(a), parts, dataclasses.replace(SETTINGS, micro_batch=2))
    np.testing.assert_allclose(pieces, whole, rtol=1e-3, atol=1e-3)


def test_training_fits_what_can_be_fitted(small_vgg, images):
    """Black and white images of two classes: after some steps the network tells them apart."""
    array = np.concatenate([np.zeros_like(images[:6]), np.full_like(images[:6], 255)])
    patterns = Patterns(array, np.arange(12), np.repeat([0, 1], 6))
    network = start(small_vgg.architecture, scheme="centred")
    settings = dataclasses.replace(SETTINGS, epochs=15)
    last = train_network(network, patterns, patterns, settings, CPU)[-1]
    assert last.test_accuracy == 1.0
    assert last.images_per_second == pytest.approx(12 / last.seconds)


def test_bfloat16_keeps_float32_weights(small_vgg, parts):
    network = start(small_vgg.architecture)
    seen = sizes_seen(network)
    history(network, parts, dataclasses.replace(SETTINGS, precision="bfloat16"))
    assert {dtype for _, dtype in seen} == {torch.bfloat16}
    assert {p.dtype for p in network.parameters()} == {torch.float32}


def test_training_on_a_device_that_holds_the_images_is_the_same(small_vgg, parts, monkeypatch):
    a = small_vgg.architecture
    streamed = history(start(a), parts, SETTINGS)
    monkeypatch.setattr(images_module, "_room_on", lambda device: float("inf"))
    assert history(start(a), parts, SETTINGS) == streamed


def test_no_value_is_read_from_the_device_inside_an_epoch(small_vgg, parts, tmp_path, monkeypatch):
    """Every such read would make a GPU wait; one per epoch and subset is enough."""
    reads = []
    for name in ("item", "tolist", "__float__", "__bool__", "cpu"):
        original = getattr(torch.Tensor, name)

        def spy(tensor, *arguments, name=name, original=original):
            reads.append(name)
            return original(tensor, *arguments)

        monkeypatch.setattr(torch.Tensor, name, spy)
    checkpoint = TrainingCheckpoint(Resume(tmp_path / "not yet due", 60, "this training"))
    callbacks = [Sensitivity(small_vgg), ProgressBar("title"), EpochLog(), checkpoint]
    train_network(small_vgg, *parts, SETTINGS, CPU, callbacks)
    assert reads == ["tolist", "tolist"] * SETTINGS.epochs


def test_divergence_is_an_error(small_vgg, parts):
    with torch.no_grad():
        small_vgg.linear("fc1").bias.fill_(float("nan"))
    with pytest.raises(UserError, match=r"diverged.*epoch 1.*below 0.01"):
        train_network(small_vgg, *parts, SETTINGS, CPU)


def test_a_network_that_breaks_in_its_very_last_step_has_diverged(small_vgg, parts):
    class BreakLast(Callback):
        """Two steps an epoch: the fourth ruins the network, after the last training loss."""

        def after_step(self, context):
            if (context.progress.epoch, context.progress.step) == (2, 2):
                context.state.network.linear("fc2").bias.data.fill_(float("nan"))

    with pytest.raises(UserError, match=r"diverged.*epoch 2 is nan.*below 0.01"):
        train_network(small_vgg, *parts, SETTINGS, CPU, [BreakLast()])


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_every_optimiser_moves_weights(small_vgg, parts, name):
    before = small_vgg.linear("fc2").weight.clone()
    settings = dataclasses.replace(SETTINGS, optimiser=OptimiserSettings(name=name))
    train_network(small_vgg, *parts, settings, CPU)
    assert not torch.equal(before, small_vgg.linear("fc2").weight)


def seen_images(network):
    """Batches that the convolutions get in training from now on."""
    seen = []
    network.register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0].clone()) if module.training else None
    )
    return seen


FLIPPED = dataclasses.replace(SETTINGS, augmentation=AugmentationSettings(flip=True, crop=0.2))


def test_training_images_alone_are_augmented(small_vgg, parts):
    plain, other = seen_images(small_vgg), []
    train_network(small_vgg, *parts, SETTINGS, CPU)
    network = start(small_vgg.architecture)
    other = seen_images(network)
    untouched = dataclasses.replace(FLIPPED, learning_rate=0.0)
    history_of = history(network, parts, untouched)
    assert [len(batch) for batch in other] == [len(batch) for batch in plain]
    assert not any(torch.equal(a, b) for a, b in zip(plain, other, strict=True))
    unmoved = history(start(small_vgg.architecture), parts, dataclasses.replace(untouched, seed=9))
    assert [row[3:] for row in history_of] == [row[3:] for row in unmoved]


def test_augmentation_follows_the_seed_and_not_the_pieces(small_vgg, parts):
    a = small_vgg.architecture
    first = history(start(a), parts, FLIPPED)
    assert first == history(start(a), parts, FLIPPED)
    pieces = history(start(a), parts, dataclasses.replace(FLIPPED, micro_batch=2))
    np.testing.assert_allclose(pieces, first, rtol=1e-3, atol=1e-3)


def test_augmentation_shifts_no_other_draw(small_vgg, parts):
    """The order of the images is that of a run without."""
    a, orders = small_vgg.architecture, []
    for settings in (SETTINGS, dataclasses.replace(FLIPPED, learning_rate=0.0)):
        seen = seen_images(network := start(a))
        network.eval()
        train_network(network, *parts, dataclasses.replace(settings, epochs=1), CPU)
        orders.append([batch.mean(dim=(1, 2, 3)) for batch in seen])
    for one, other in zip(*orders, strict=True):
        torch.testing.assert_close(one, other, atol=0.02, rtol=0)


def test_label_smoothing_changes_the_weights_and_not_the_reported_loss(small_vgg, parts):
    a = small_vgg.architecture
    smooth = dataclasses.replace(SETTINGS, label_smoothing=0.5)
    assert history(start(a), parts, smooth) != history(start(a), parts, SETTINGS)
    still = [dataclasses.replace(s, learning_rate=0.0, epochs=1) for s in (smooth, SETTINGS)]
    one, other = (history(start(a), parts, settings) for settings in still)
    assert one == other


def test_a_smoothed_network_is_less_sure(small_vgg, images):
    array = np.concatenate([np.zeros_like(images[:6]), np.full_like(images[:6], 255)])
    patterns = Patterns(array, np.arange(12), np.repeat([0, 1], 6))
    sure = []
    for smoothing in (0.0, 0.4):
        network = start(small_vgg.architecture, scheme="centred")
        settings = dataclasses.replace(SETTINGS, epochs=15, label_smoothing=smoothing)
        sure.append(train_network(network, patterns, patterns, settings, CPU)[-1].test_loss)
    assert sure[1] > sure[0]


def test_dropout_follows_the_seed_of_the_run_and_leaves_pytorchs_generator(images):
    patterns = Patterns(images, np.arange(8), np.arange(8) % 3)
    architecture = describe("torchvision/mobilenet_v3_small", (128, 130), [4, 3])
    settings, losses = dataclasses.replace(SETTINGS, epochs=1), []
    for seed in (1, 2):
        network = start(architecture)
        torch.manual_seed(seed)
        state = torch.random.get_rng_state()
        losses.append(train_network(network, patterns, patterns, settings, CPU)[0].train_loss)
        assert torch.equal(state, torch.random.get_rng_state())
    assert any(isinstance(module, nn.Dropout) for module in network.modules())
    assert losses[0] == losses[1]


@pytest.mark.parametrize(("precision", "tf32"), [("float32", False), ("tf32", True)])
def test_the_backward_pass_has_the_precision_of_the_forward_pass(small_vgg, parts, precision, tf32):
    seen = []

    def look(*_):
        cudnn = torch.backends.cudnn
        exact = torch.get_float32_matmul_precision() == "highest"
        seen.append((cudnn.allow_tf32, not exact, cudnn.benchmark))

    small_vgg.register_forward_hook(look)
    small_vgg.linear("fc1").weight.register_hook(look)  # when its gradient is there
    settings = dataclasses.replace(SETTINGS, precision=precision, autotune=True)
    train_network(small_vgg, *parts, settings, CPU)
    assert len(seen) == 10  # two epochs of two steps, and a test batch each
    assert set(seen) == {(tf32, tf32, True)}
