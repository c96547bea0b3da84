"""How fast pruned networks are, on networks that the package knows nothing of."""

import shutil

import pytest
from torch import nn

from neuron_pruning.any_network import running_times
from neuron_pruning.any_network.network_rows import plan_rows
from neuron_pruning.any_network.running_times import RUNTIMES, running_time_rows
from neuron_pruning.core.errors import UserError

BUDGETS = [0.75, 0.5]
COMPILER = pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")


def rows_of(network, runtimes, repeats=3):
    plan = list(plan_rows(network, 0, BUDGETS, pytest.fail))
    return list(running_time_rows(network, plan, runtimes, [1, 30], repeats, 1))


@pytest.mark.parametrize("runtime", ["eager", "onnx", pytest.param("compiled", marks=COMPILER)])
def test_every_size_is_timed_beside_the_whole_network(imported, runtime):
    rows = rows_of(imported, [runtime])
    assert [(row["images"], row["budget"]) for row in rows] == [
        (images, budget) for images in (1, 30) for budget in (1.0, *BUDGETS)
    ]
    for row in rows:
        assert 0 < row["lower"] <= row["median"] <= row["upper"]
        assert row["speed_up_low"] <= row["speed_up"] <= row["speed_up_high"]
        assert row["multiply_adds"] <= row["budget"]
        assert row["runtime"] == runtime and row["repeats"] == 3
    whole = [row for row in rows if row["budget"] == 1.0]
    assert all(row["speed_up"] == row["speed_up_low"] == row["parameters"] == 1.0 for row in whole)


class Doubled(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images):
        return 2.0 * self.network(images)


def refuses(network, images, folder):
    raise RuntimeError("no compiler here")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda network, images, folder: Doubled(network), "something else than the network"),
        (refuses, "no compiler here"),
    ],
)
def test_only_what_computes_the_same_is_timed(imported, monkeypatch, make, message):
    monkeypatch.setattr(running_times, "RUNTIMES", {**RUNTIMES, "other": make})
    with pytest.raises(UserError, match=message) as error:
        rows_of(imported, ["other"])
    assert "network_pruning.latency.runtimes" in str(error.value)
