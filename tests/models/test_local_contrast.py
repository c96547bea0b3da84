import numpy as np
import pytest
import torch

from neuron_pruning import build_network, load_network, save_network
from neuron_pruning.models.architectures import count_parameters, describe
from neuron_pruning.models.convolutions import blocks, run_block, run_features
from neuron_pruning.models.local_contrast import LocalContrast, gaussian_means
from neuron_pruning.models.sequential import plain_module
from neuron_pruning.pruning.channels import prune_channels
from neuron_pruning.pruning.selection import Removal, Selection

CHANNELS = (2, 3, 4, 3, 4, 3, 2, 5)


def images_of(count=4, size=(64, 48)):
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build_network("vgg8", (64, 48), [10, 3], CHANNELS, "contrast").eval()


def test_local_contrast_is_the_same_in_the_dark():
    """Light of another strength, and a ramp of light over the image, change little."""
    images = images_of(3) * 0.5 + 0.1
    contrast = LocalContrast((64, 48))
    even = contrast(images)
    assert even.shape == images.shape and even.abs().max() <= 1.0
    assert torch.equal(even[:, 0], even[:, 2])
    ramp = torch.linspace(-0.2, 0.2, 48)
    for other in (images * 0.5 - 0.4, images + ramp):
        assert (contrast(other) - even).abs().mean() < 0.2 * even.abs().mean()
    assert (contrast(images.flip(0)) - even).abs().mean() > 0.5 * even.abs().mean()


def test_gaussian_means_are_means_of_what_is_near():
    means = gaussian_means(50, 3.0)
    torch.testing.assert_close(means.sum(dim=1), torch.ones(50))
    places = torch.arange(50.0)
    inside = (means @ places)[15:35]
    torch.testing.assert_close(inside, places[15:35], atol=1e-3, rtol=0)
    spread = (means @ places.square() - (means @ places).square())[25].sqrt()
    assert spread == pytest.approx(3.0, rel=0.01)


def test_a_network_normalises_contrast_and_batches(network, tmp_path):
    images = images_of()
    assert [type(layer).__name__ for layer in network.features][:3] == [
        "LocalContrast",
        "Conv2d",
        "BatchNorm2d",
    ]
    torch.testing.assert_close(run_features(network.features, images), network.features(images))
    torch.testing.assert_close(plain_module(network)(images), network(images))
    assert count_parameters(network.architecture) == sum(p.numel() for p in network.parameters())
    save_network(network, tmp_path / "network.safetensors", {})
    stored = load_network(tmp_path / "network.safetensors")
    assert torch.equal(stored(images), network(images))


def test_the_first_block_alone_normalises_contrast(network):
    found = [block.contrast is not None for block in blocks(network.features)]
    assert found == [True] + [False] * 7
    first = next(blocks(network.features))
    torch.testing.assert_close(run_block(first, images_of()), network.features[:4](images_of()))


def test_its_channels_are_pruned(network):
    """A channel that its consumer ignores can be removed without any change."""
    convolutions = [block.convolution for block in blocks(network.features)]
    with torch.no_grad():
        convolutions[1].weight[:, 1] = 0.0
    removal = Selection(2, (Removal(1, "constant", None, 0.0),))
    smaller = prune_channels(network, "conv1", removal)
    assert smaller.architecture.channels == (1, *CHANNELS[1:])
    torch.testing.assert_close(smaller(images_of()), network(images_of()), atol=1e-5, rtol=1e-4)


def test_flat_size_of_the_small_network():
    architecture = describe("vgg8", (48, 48), normalisation="contrast")
    with torch.device("meta"):
        network = build_network("vgg8", (48, 48), [100, 7])
    assert architecture.channels == (32, 32, 64, 64, 128, 128, 128, 128)
    assert network.linear("fc1").in_features == 128 * 3 * 3
    assert np.prod(network.linear("fc1").weight.shape) == 115200
