"""The training that speed is measured against trains the same network the same way."""

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.plain_loop import (
    PLAIN,
    decoded_each_epoch,
    decoded_once,
    in_channels_last,
    train_plain,
)
from neuron_pruning import build_network
from neuron_pruning.core.seeds import derive_seed
from neuron_pruning.data.images import Patterns
from neuron_pruning.training.loop import train_network
from neuron_pruning.training.settings import TrainingSettings

CPU = torch.device("cpu")


@pytest.fixture
def pictures(tmp_path):
    """Four images in two class folders, and the same as an array."""
    array = np.random.default_rng(0).integers(0, 256, (4, 576, 720, 3), dtype=np.uint8)
    for row, pixels in enumerate(array):
        folder = tmp_path / "ab"[row // 2]
        folder.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{row}.png")
    return tmp_path, array


@pytest.mark.parametrize("tuned", [False, True])
def test_both_loops_have_one_loss_curve(pictures, tuned):
    folder, array = pictures
    torch.manual_seed(0)
    network, plain = build_network("alexnet", widths=(3072, 1526, 100, 2)), PLAIN["alexnet"](2)
    weights = network.state_dict().values()
    plain.load_state_dict(
        {name: value.clone() for name, value in zip(plain.state_dict(), weights, strict=True)}
    )
    settings = TrainingSettings(0.0005, 2, seed=0, epochs=2)
    patterns = Patterns(array, np.arange(4), np.array([0, 0, 1, 1]))
    history = train_network(network, patterns, patterns, settings, CPU)
    shuffle = np.random.default_rng(derive_seed(0, "shuffle"))
    orders = [shuffle.permutation(4).tolist() for _ in range(2)]
    images = decoded_once(folder) if tuned else decoded_each_epoch(folder)
    if tuned:
        plain = in_channels_last(plain, compiled=False)
    epochs = train_plain(plain, images, orders, 2, 0.0005, 0, CPU)
    np.testing.assert_allclose(
        [epoch.train_loss for epoch in history], [loss for loss, _ in epochs], atol=1e-4
    )


def test_the_plain_vgg_has_the_same_tensors():
    with torch.device("meta"):
        ours, plain = build_network("vgg"), PLAIN["vgg"](7)
    assert [p.shape for p in ours.parameters()] == [p.shape for p in plain.parameters()]
