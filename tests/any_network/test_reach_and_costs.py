"""Which channels reach what, and what they cost, where networks do odd things."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import VisionTransformer

from neuron_pruning.any_network import unit_layers
from neuron_pruning.any_network.costs import CostModel
from neuron_pruning.any_network.unit_layers import find_unit_layers


class Windows(nn.Module):
    """A Linear that is applied to windows of an image, which take the place of images."""

    def __init__(self):
        super().__init__()
        self.inside, self.head = nn.Linear(3, 6), nn.Linear(6, 2)

    def forward(self, images):
        windows = images.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 4, 5, 1)
        hidden = torch.relu(self.inside(windows.reshape(-1, 16, 3)))
        return self.head(hidden.reshape(len(images), -1, 6).mean(1))


class Twice(nn.Module):
    """A convolution that is called twice."""

    def __init__(self):
        super().__init__()
        self.first, self.again = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4, 2)

    def forward(self, images):
        hidden = torch.relu(self.again(torch.relu(self.first(images))))
        return self.head(torch.relu(self.again(hidden)).mean((2, 3)))


class Shared(nn.Module):
    """A layer that works on the image, and on half of its height and width; another behind it."""

    def __init__(self, conv):
        super().__init__()
        self.conv, self.shared = conv, nn.Conv2d(3, 6, 1) if conv else nn.Linear(3, 6)
        self.inside, self.head = nn.Linear(6, 4), nn.Linear(4, 2)

    def forward(self, images):
        found = torch.zeros(())
        for values in (images, images[..., ::2, ::2]):
            tokens = values if self.conv else values.flatten(2).mT
            found = found + torch.relu(self.shared(tokens)).mean((2, 3) if self.conv else 1)
        return self.head(torch.relu(self.inside(found)))


class Highest(nn.Module):
    """The largest value of each channel of a large map."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 8, 1), nn.Linear(8, 2)

    def forward(self, images):
        return self.head(torch.relu(self.conv(images)).amax((2, 3)))


class Table(nn.Module):
    """Offsets that a small network computes from a table, which is no batch of images."""

    def __init__(self):
        super().__init__()
        self.register_buffer("table", torch.rand(1, 5, 2))
        self.offsets = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3))
        self.head = nn.Linear(3, 2)

    def forward(self, images):
        return self.head(images.mean((2, 3)) + self.offsets(self.table).mean(1))


class Attention(nn.Module):
    """Values weighted by products of queries and keys; its own functions, without normalisation."""

    def __init__(self, width=64):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(3, width) for _ in range(3))
        self.out, self.head = nn.Linear(width, 6), nn.Linear(6, 2)

    def forward(self, images):
        tokens = images.flatten(2).movedim(1, -1)
        weights = (self.query(tokens) @ self.key(tokens).mT).softmax(-1)
        return self.head(torch.relu(self.out(weights @ self.value(tokens))).mean(1))


def counted(model, images):
    with FlopCounterMode(display=False) as counter:
        model(images)
    return counter.get_total_flops() // 2


@pytest.mark.parametrize(
    "model",
    [Windows(), Twice(), Attention(), VisionTransformer(16, 8, 1, 2, 16, 32, num_classes=3).eval()],
    ids=["windows", "twice", "attention", "vision transformer"],
)
def test_multiply_adds_are_those_that_pytorch_counts(model):
    images = torch.randn(1, 3, 16, 16)
    found = find_unit_layers(model, images)
    assert found.total_multiply_adds == counted(model, images)
    assert CostModel(model, found).size({}).multiply_adds == found.total_multiply_adds


def test_one_position_of_a_large_map_is_enough():
    assert find_unit_layers(Highest(), torch.randn(1, 3, 64, 64)).inner == ("conv",)


@pytest.mark.parametrize("conv", [True, False])
def test_layers_may_be_called_again_on_another_shape(conv):
    found = find_unit_layers(Shared(conv), torch.randn(1, 3, 8, 8))
    assert found.inner == ("inside",)
    assert "calls it 2 times" in found.refused["shared"].reason


def test_what_reads_no_images_has_units_too():
    assert find_unit_layers(Table(), torch.randn(1, 3, 8, 8)).layers["offsets.0"].units == 8


def test_values_go_only_with_queries_and_keys():
    found = find_unit_layers(Attention(), torch.randn(1, 3, 8, 8), verify=False)
    assert list(found.layers) == ["out"]
    assert "query writes the same units" in found.refused["value"].reason


def test_the_one_layer_that_cannot_go_is_found_by_halving(monkeypatch):
    model = nn.Sequential(*[m for _ in range(9) for m in (nn.Linear(4, 4), nn.Tanh())])
    asked = []

    def refuses_one(model, example, layers):
        asked.append(len(layers))
        return "odd" if any(layer.name == "10" for layer in layers) else None

    monkeypatch.setattr(unit_layers, "removed_as_masked", refuses_one)
    found = find_unit_layers(model, torch.randn(1, 4))
    assert list(found.layers) == ["0", "2", "4", "6", "8", "12", "14"]
    assert found.refused["10"].reason == "odd"
    assert asked[0] == 8 and len(asked) == 7
