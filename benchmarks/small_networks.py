"""Small networks that train in minutes on one core: trained here, to be pruned without training.

``lenet``: 784-300-100-10 with ReLU, on 4,000 digits of MNIST. ``vgg``: six convolutions with batch
normalisation, on 5,000 images of CIFAR-10. ``vit``: a vision transformer of four blocks, on
scikit-learn's digits of 8 x 8 pixels.

    python -m benchmarks.small_networks lenet mnist/train --seeds 3 --out networks

trains them on class folders and writes NAME_SEED.safetensors, which a config names as ``weights``
of ``benchmarks.small_networks:NAME``.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from neuron_pruning.any_network.images import image_batches
from neuron_pruning.any_network.preprocessing import Preprocessing
from neuron_pruning.any_network.saving import write_tensors

BATCH = 64  # images of a step
CIFAR = Preprocessing(32, 32, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class Examples(NamedTuple):
    """Images, N x channels x height x width, and their classes."""

    images: Tensor
    labels: Tensor

    def part(self, rows: NDArray[np.int64]) -> "Examples":
        """Some of them."""
        return Examples(self.images[rows], self.labels[rows])


class Recipe(NamedTuple):
    """A network, how long it trains, and whether mirrored images train it too."""

    build: Callable[[], nn.Module]
    epochs: int
    mirror: bool = False


def lenet() -> nn.Module:
    """784-300-100-10."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(),
        nn.Linear(100, 10),
    )  # fmt: skip


def vgg() -> nn.Module:
    """Six convolutions, 16 to 64 channels."""
    layers, inputs = list[nn.Module](), 3
    for place, width in enumerate((16, 16, 32, 32, 64, 64)):
        convolution = nn.Conv2d(inputs, width, 3, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(width), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if place % 2 else []
        inputs = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10))


def vit() -> nn.Module:
    """Four blocks of width 64 with four heads, on patches of 2 x 2 pixels."""
    from torchvision.models import VisionTransformer

    return VisionTransformer(8, 2, num_layers=4, num_heads=4, hidden_dim=64, mlp_dim=256,
                             num_classes=10)  # fmt: skip


RECIPES = {
    "lenet": Recipe(lenet, 20),
    "vgg": Recipe(vgg, 10, mirror=True),
    "vit": Recipe(vit, 25),
}
PREPROCESSING = {
    "lenet": Preprocessing(28, 28, (0.5,), (0.5,)),
    "vgg": CIFAR,
    "vit": Preprocessing(8, 8, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}


def examples(name: str, training: Path | None, test: Path | None) -> tuple[Examples, Examples]:
    """What a network is trained and tested on.

    Args:
        name: of the network.
        training: MNIST as a table of pixels and class, or a folder of CIFAR-10.
        test: the folder of CIFAR-10's test images.
    """
    if name == "vgg":
        assert training is not None and test is not None
        return of_folder(training, CIFAR), of_folder(test, CIFAR)
    if name == "lenet":
        table = pd.read_csv(training, header=None).to_numpy()
        pixels, labels, side, white = table[:, :-1], table[:, -1], 28, 255.0
    else:
        from sklearn.datasets import load_digits

        pixels, labels = load_digits(return_X_y=True)
        side, white = 8, 16.0
    images = torch.from_numpy(pixels).float().view(-1, 1, side, side) / white * 2.0 - 1.0
    if name == "vit":
        images = images.repeat(1, 3, 1, 1)
    every = Examples(images, torch.from_numpy(labels).long())
    order = np.random.default_rng(0).permutation(len(labels))
    count = len(labels) * 4 // 5
    return every.part(order[:count]), every.part(order[count:])


def of_folder(folder: Path, preprocessing: Preprocessing) -> Examples:
    """All images of class folders."""
    batches = list(image_batches(folder, preprocessing, batch_size=250, labelled=True))
    images, labels = zip(*((batch[0], batch[1]) for batch in batches), strict=True)
    return Examples(torch.cat(images), torch.cat(labels))


def trained(name: str, data: Examples, seed: int) -> nn.Module:
    """A network that a plain loop trained, in evaluation mode."""
    torch.manual_seed(seed)
    recipe = RECIPES[name]
    model, count = recipe.build(), len(data.labels)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    steps = recipe.epochs * -(-count // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    for _ in range(recipe.epochs):
        for rows in torch.randperm(count).split(BATCH):
            images = data.images[rows]
            if recipe.mirror and torch.rand(()) < 0.5:
                images = images.flip(-1)
            optimiser.zero_grad()
            functional.cross_entropy(model(images), data.labels[rows]).backward()
            optimiser.step()
            schedule.step()
    return model.eval()


def main() -> None:
    """Train one network for each seed, and write its weights."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("network", choices=RECIPES)
    parser.add_argument("folder", type=Path, help="class folders of training images")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path())
    given = parser.parse_args()
    data = of_folder(given.folder, PREPROCESSING[given.network])
    given.out.mkdir(parents=True, exist_ok=True)
    for seed in range(given.seeds):
        path = given.out / f"{given.network}_{seed}.safetensors"
        write_tensors(path, trained(given.network, data, seed))
        print(path)


if __name__ == "__main__":
    main()
