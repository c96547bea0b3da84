"""What a user would write instead of this workflow: the reference that training is timed against.

``ImageFolder`` and ``DataLoader`` decode every image in every epoch; layers stand in their
textbook order, memory in its default format, and everything is float32, but for what the caller
lets cuDNN convolve in TF32. ``decoded_once`` and ``in_channels_last`` are what a user who knows
PyTorch well would add.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, SequentialSampler, Subset, TensorDataset
from torchvision import transforms
from torchvision.datasets import ImageFolder


def plain_alexnet(classes: int) -> nn.Sequential:
    """The paper's modified AlexNet for 576 x 720 images."""
    return nn.Sequential(
        nn.Sequential(
            nn.Conv2d(3, 96, 11, stride=4), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(96, 96, 11, stride=4), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(96, 256, 5, padding=2), nn.ReLU(),
            nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2),
        ),
        nn.Flatten(),
        nn.Linear(3072, 3072), nn.Sigmoid(), nn.Linear(3072, 1526), nn.Sigmoid(),
        nn.Linear(1526, 100), nn.Sigmoid(), nn.Linear(100, classes),
    )  # fmt: skip


def plain_vgg(classes: int) -> nn.Sequential:
    """The paper's modified VGG for 576 x 720 images."""
    layers: list[nn.Module] = []
    inputs = 3
    for outputs in (8, 16, 32, 64, 128, 256, 512):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, 2)]
        inputs = outputs
    return nn.Sequential(
        nn.Sequential(*layers),
        nn.Flatten(),
        nn.Linear(10240, 10240), nn.Sigmoid(), nn.Linear(10240, 5120), nn.Sigmoid(),
        nn.Linear(5120, 1000), nn.Sigmoid(), nn.Linear(1000, 100), nn.Sigmoid(),
        nn.Linear(100, classes),
    )  # fmt: skip


PLAIN = {"alexnet": plain_alexnet, "vgg": plain_vgg}


def decoded_each_epoch(folder: Path) -> Dataset:
    """Images of class folders, read from their files each time."""
    to_tensor = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)]
    )
    return ImageFolder(folder, to_tensor)


def decoded_once(folder: Path) -> Dataset:
    """The same images in memory."""
    images, labels = zip(*decoded_each_epoch(folder), strict=True)
    return TensorDataset(torch.stack(images), torch.tensor(labels))


def in_channels_last(network: nn.Module, compiled: bool) -> nn.Module:
    """The network with channels last, compiled if asked for."""
    network = network.to(memory_format=torch.channels_last)
    return torch.compile(network) if compiled else network


def train_plain(
    network: nn.Module,
    images: Dataset,
    orders: Sequence[Sequence[int]],
    batch_size: int,
    learning_rate: float,
    workers: int,
    device: torch.device,
) -> list[tuple[float, float]]:
    """Mean loss and seconds of every epoch; each visits ``images`` in its order."""
    network.to(device).train()
    optimiser = torch.optim.Adam(network.parameters(), lr=learning_rate)
    criterion = nn.CrossEntropyLoss()
    epochs = []
    for order in orders:
        started, total = time.perf_counter(), 0.0
        chosen = Subset(images, list(order))
        # In a given order rather than shuffled: both sides of the comparison see the same batches.
        for inputs, labels in DataLoader(
            chosen, batch_size, sampler=SequentialSampler(chosen), num_workers=workers,
            pin_memory=device.type == "cuda",
        ):  # fmt: skip
            inputs, labels = inputs.to(device), labels.to(device)
            optimiser.zero_grad()
            loss = criterion(network(inputs), labels)
            loss.backward()
            optimiser.step()
            total += loss.item() * len(labels)
        epochs.append((total / len(order), time.perf_counter() - started))
    return epochs
