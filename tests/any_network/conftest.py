"""A network with its images as the workflow opens it, which tests of several files prune."""

import numpy as np
import pytest
from PIL import Image

from neuron_pruning.any_network.imported import ImportedNetwork

FACTORY = """
import torch
from torch import nn


def build():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(),
        nn.Conv2d(12, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(576, 20), nn.ReLU(),
        nn.Linear(20, 10),
    )
"""


@pytest.fixture
def imported(tmp_path, monkeypatch):
    (tmp_path / "peernet.py").write_text(FACTORY)
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    for part in ("seen", "unseen"):
        (tmp_path / part).mkdir()
        for number in range(24):
            pixels = generator.integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / part / f"{number}.png")
    section = {
        "source": "peernet:build", "weights": None, "classes": None, "class_names": None,
        "input": {"size": [8, 8], "mean": [0.5], "std": [0.5]}, "labelled": False,
        "calibration": "seen", "evaluation": "unseen",
    }  # fmt: skip
    return ImportedNetwork(section, 24, None)
