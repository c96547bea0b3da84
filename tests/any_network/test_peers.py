"""Prunings as others put them together, on networks that the package knows nothing of."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from neuron_pruning.any_network.evaluation import predict
from neuron_pruning.any_network.imported import ImportedNetwork
from neuron_pruning.any_network.network_rows import plan_rows
from neuron_pruning.any_network.peer_rows import peer_rows
from neuron_pruning.any_network.peers import OURS, PEERS

BUDGET = 0.5
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


def rows_of(imported, name, budget=BUDGET, warn=pytest.fail, rules=("keep", "reestimate")):
    plan = list(plan_rows(imported, 0, [BUDGET], pytest.fail))
    plan = [{**row, "budget": budget} for row in plan]
    before = predict(imported.opened.module, imported.evaluation.labelled())
    return list(peer_rows(imported, 0, plan, before, PEERS[name], rules, warn))


@pytest.mark.parametrize("name", PEERS)
def test_every_recipe_meets_the_budget_and_no_more(imported, name):
    rows = rows_of(imported, name)
    assert [row["batch_norm"] for row in rows] == ["keep", "reestimate"]
    for row in rows:
        assert BUDGET - 0.12 < row["multiply_adds"] <= BUDGET, row
        assert 0 <= row["agreement"] <= 1 and row["accuracy"] is None and row["images"] == 24


def test_the_unpruned_network_stays_as_it_is(imported):
    state = {n: t.clone() for n, t in imported.opened.module.state_dict().items()}
    random = torch.random.get_rng_state()
    for name in (OURS, "torch_pruning_taylor", "torch_pruning_random"):
        rows_of(imported, name)
    assert torch.equal(random, torch.random.get_rng_state())
    for name, tensor in imported.opened.module.state_dict().items():
        assert torch.equal(tensor, state[name]), name
    assert all(p.grad is None for p in imported.opened.module.parameters())
    assert not any(isinstance(m, nn.Linear) and m.out_features < 10
                   for m in imported.opened.module)  # fmt: skip


def test_a_budget_that_no_share_meets_has_no_row_and_is_told(imported):
    told = []
    assert rows_of(imported, "grail", budget=1e-6, warn=told.append) == []
    assert len(told) == 1 and "GRAIL" in told[0] and "cannot meet 1e-06" in told[0]


def test_a_rule_without_meaning_here_leaves_the_statistics(imported):
    assert [row["batch_norm"] for row in rows_of(imported, OURS, rules=["rescale"])] == ["keep"]
