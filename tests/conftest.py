import numpy as np
import pytest
import torch
from hypothesis import settings

from neuron_pruning import build_network
from neuron_pruning.core.parquet import write_rows
from neuron_pruning.data.split_file import SPLIT_SCHEMA

torch.set_num_threads(1)  # small networks gain nothing from more, and threads that wait cost time
settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")

SMALL = {
    "alexnet": {"channels": (4, 4, 4, 4, 4, 4), "widths": (12, 10, 3), "input_size": (300, 300)},
    "vgg": {"channels": (2, 2, 2, 2, 2, 2, 4), "widths": (12, 10, 3), "input_size": (128, 130)},
}


@pytest.fixture(params=["alexnet", "vgg"])
def small_network(request):
    """Network of each kind with fc1 of 12 and fc2 of 10 units, three classes."""
    torch.manual_seed(0)
    return build_network(request.param, **SMALL[request.param]).eval()


@pytest.fixture
def images():
    """Twelve random images for the small vgg, uint8, N x H x W x 3."""
    return np.random.default_rng(0).integers(0, 256, (12, 128, 130, 3), dtype=np.uint8)


@pytest.fixture
def small_vgg():
    torch.manual_seed(0)
    return build_network("vgg", **SMALL["vgg"]).eval()


@pytest.fixture
def split_file(tmp_path):
    """A stored split: of twelve images of three classes eight train and four test."""
    rows = [
        {"position": n, "image": f"{n}.png", "group": f"{n}", "label": "abc"[n % 3]}
        | {"part": "train" if n < 8 else "test"}
        for n in range(12)
    ]
    shared = {"seed": 3, "split": "random", "protocol": "random"}
    write_rows(tmp_path / "split.parquet", rows, SPLIT_SCHEMA, shared)
    return tmp_path / "split.parquet"
