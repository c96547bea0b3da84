"""Prunings as others put them together, on networks that the package knows nothing of."""

import pytest
import torch
from torch import nn

from neuron_pruning.any_network.evaluation import predict
from neuron_pruning.any_network.network_rows import plan_rows
from neuron_pruning.any_network.peer_rows import peer_rows
from neuron_pruning.any_network.peers import OURS, PEERS

BUDGET = 0.5


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
