import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from neuron_pruning import UserError
from neuron_pruning.any_network.costs import CostModel
from neuron_pruning.any_network.pruning import prune
from neuron_pruning.any_network.saving import PLAN, WEIGHTS, load_pruned
from neuron_pruning.core.errors import NotFinite
from tests.any_network.networks import cut, found_in, images, loader

FACTORY = """
from torch import nn

def build(width=8):
    return nn.Sequential(
        nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.PReLU(width),
        nn.Conv2d(width, width, 3, padding=1, groups=width), nn.Conv2d(width, 6, 1),
        nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3),
    )
"""


def build(width=8):
    scope: dict = {}
    exec(FACTORY, scope)  # the same text as in the other process
    return scope["build"](width)


@pytest.fixture
def result():
    torch.manual_seed(0)
    return prune(build(), [(x.float(),) for (x,) in loader(40)], amount=0.5, random_draws=1, seed=2)


def test_another_process_loads_the_same_network(result, tmp_path):
    result.save(tmp_path / "small")
    (tmp_path / "mine.py").write_text(FACTORY)
    torch.save(images(4).float(), tmp_path / "images.pt")
    program = (
        "import torch, mine\n"
        "from neuron_pruning.any_network.saving import load_pruned\n"
        "torch.set_num_threads(1)\n"
        "model = load_pruned('small', mine.build)\n"
        "assert not model.training\n"
        "torch.save(model(torch.load('images.pt')).detach(), 'logits.pt')\n"
    )
    paths = os.pathsep.join([str(Path("scripts").resolve()), str(tmp_path)])
    subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, check=True,
        env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    expected = result.model(images(4).float())
    assert torch.equal(torch.load(tmp_path / "logits.pt"), expected)


def test_the_plan_says_what_was_done(result, tmp_path):
    result.save(tmp_path)
    plan = json.loads((tmp_path / PLAN).read_text())
    assert [layer["name"] for layer in plan["layers"]] == ["0", "4"]
    assert [len(layer["kept"]) for layer in plan["layers"]] == [4, 3]
    assert plan["method"]["technique"] == "l1"
    assert plan["method"]["seed"] == 2
    assert plan["input_shape"] == [1, 3, 8, 8]
    assert plan["parameters"][1] == sum(p.numel() for p in result.model.parameters())


def test_the_loaded_network_learns(result, tmp_path):
    result.save(tmp_path)
    model = load_pruned(tmp_path, build)
    model.train()
    model(images(4).float()).sum().backward()
    assert all(p.grad is not None and p.grad.shape == p.shape for p in model.parameters())


def test_a_module_under_two_names_is_loaded(tmp_path):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.flatten, self.a, self.b = nn.Flatten(), nn.Linear(192, 6), nn.Linear(6, 3)
            self.again = self.a

        def forward(self, x):
            return self.b(self.again(self.flatten(x)).relu())

    result = prune(Twice().double(), loader(40), amount=0.5, random_draws=1)
    result.save(tmp_path)
    assert torch.equal(load_pruned(tmp_path, Twice)(images(3)), result.model(images(3)))


def test_a_plan_of_another_network_is_refused_by_its_first_tensor(result, tmp_path):
    result.save(tmp_path)
    with pytest.raises(
        UserError, match=r"another network: 0\.weight is \[9, 3, 3, 3\].*\[8, 3, 3, 3\]"
    ):
        load_pruned(tmp_path, lambda: build(9))
    with pytest.raises(UserError, match=r"the factory of the network fails: ZeroDivisionError"):
        load_pruned(tmp_path, lambda: 1 / 0)
    with pytest.raises(UserError, match=r"makes a int, not a torch\.nn\.Module"):
        load_pruned(tmp_path, lambda: 1)


def test_damaged_folders(result, tmp_path):
    with pytest.raises(UserError, match=r"holds no plan\.json"):
        load_pruned(tmp_path, build)
    result.save(tmp_path)
    whole = (tmp_path / WEIGHTS).read_bytes()
    (tmp_path / WEIGHTS).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        UserError, match=r"model\.safetensors cannot be read as weights.*prune again"
    ):
        load_pruned(tmp_path, build)
    (tmp_path / WEIGHTS).write_bytes(whole)
    (tmp_path / PLAN).write_text("{}")
    with pytest.raises(UserError, match="no plan of this version"):
        load_pruned(tmp_path, build)


def test_weights_of_another_pruning_or_with_nan(result, tmp_path):
    result.save(tmp_path)
    tensors = load_file(tmp_path / WEIGHTS)
    save_file({**tensors, "0.bias": tensors["0.bias"][:2].clone()}, tmp_path / WEIGHTS)
    with pytest.raises(UserError, match=r"not the tensors of its plan \(0\.bias\)"):
        load_pruned(tmp_path, build)
    tensors["8.bias"][0] = float("nan")
    save_file(tensors, tmp_path / WEIGHTS)
    with pytest.raises(NotFinite, match=r"8\.bias holds NaN.*prune again"):
        load_pruned(tmp_path, build)


@pytest.mark.parametrize("kind", ["exported", "onnx"])
def test_exports_are_checked_and_leave_the_network_as_it_is(kind, tmp_path):
    if kind == "onnx" and not all(map(importlib.util.find_spec, ["onnxruntime", "onnxscript"])):
        pytest.skip("the extra for ONNX is not installed")
    torch.manual_seed(0)
    result = prune(build().double(), loader(40), amount=0.5, random_draws=1)
    result.save(tmp_path, **{kind: True})
    assert (tmp_path / ("model.pt2" if kind == "exported" else "model.onnx")).stat().st_size > 0
    assert all(p.dtype == torch.float64 for p in result.model.parameters())


def test_costs_are_those_of_the_network_that_is_cut():
    model = build().double().eval()
    found = found_in(model)
    costs = CostModel(model, found)
    for counts in ({}, {"0": 3}, {"4": 2}, {"0": 5, "4": 1}):
        smaller = cut(model, counts, compensation="none").model
        size = costs.size(counts)
        assert size.parameters == sum(p.numel() for p in smaller.parameters())
        assert size.multiply_adds == found_in(smaller).total_multiply_adds
