import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from neuron_pruning import image_batches, load_pruned
from neuron_pruning.any_network import command_line
from neuron_pruning.any_network.batches import unpacked
from neuron_pruning.any_network.command_line import main
from neuron_pruning.any_network.evaluation import predict
from neuron_pruning.any_network.preprocessing import Preprocessing

ROOT = Path(__file__).parents[2]
FACTORY = """
import torch
from torch import nn

def build():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(6, 8), nn.Sigmoid(), nn.Linear(8, 3),
    )
    with torch.no_grad():
        net[3].weight[0], net[3].bias[0] = 0.0, -1.0  # dead
        net[7].bias[0] = 6.0  # saturated
    return net
"""
PREPARED = ["--size", "8", "8", "--mean", *["0.5"] * 3, "--std", *["0.25"] * 3]
PRUNE = ["prune", "NET", "--data", "images", *PREPARED, "--draws", "1"]


def draw_images(side, count):
    """Images of noise in three class folders."""
    rng = np.random.default_rng(0)
    for kind in ("ant", "bee", "cat"):
        Path("images", kind).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(f"images/{kind}/{number}.png")


@pytest.fixture
def net(tmp_path, monkeypatch):
    """Source of a network in the current folder, which holds images as well."""
    name = f"net_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(FACTORY)
    monkeypatch.chdir(tmp_path)
    draw_images(8, 6)
    return f"{name}:build"


@pytest.fixture
def run(net, capsys):
    """Runs a command: exit code, what it printed, what it told."""

    def run(*arguments):
        code = main([net if argument == "NET" else str(argument) for argument in arguments])
        return (code, *capsys.readouterr())

    return run


def as_json(run, *arguments):
    code, printed, told = run(*arguments, "--json")
    assert code == 0, told
    return json.loads(printed)


def test_inspect_lists_unit_layers_and_why_the_others_are_none(run):
    code, printed, _ = run("inspect", "NET", *PREPARED)
    assert code == 0
    assert "22 units in 3 unit layers" in printed
    assert "1 x its outputs are those of the network: 9" in printed
    found = as_json(run, "inspect", "NET", *PREPARED)
    assert [(row["layer"], row["units"]) for row in found["layers"]] == [
        ("0", 8),
        ("3", 6),
        ("7", 8),
    ]
    assert found["layers"][0]["normalisation"] == "1"
    assert found["layers"][2]["activation"] == "sigmoid"
    assert found["parameters"] == 8 * 28 + 16 + 6 * 73 + 8 * 7 + 3 * 9
    assert found["refused"][0]["name"] == "9"


def test_inspect_with_images_counts_idle_units_and_says_what_each_share_costs(run):
    rows = as_json(run, "inspect", "NET", *PREPARED, "--data", "images")["layers"]
    assert [row["dead"] for row in rows] == [0, 1, 0]
    assert [row["saturated"] for row in rows] == [0, 0, 1]
    for row in rows:
        for share in ("25", "50", "75"):
            assert row[f"{share}_percent_lstsq"] <= row[f"{share}_percent_none"]
        assert row["25_percent_none"] < row["75_percent_none"]


def test_a_network_is_pruned_saved_and_evaluated(run, net):
    pruned = as_json(run, *PRUNE, "--amount", "0.5", "--technique", "apoz", "--out", "small")
    assert [row["removed"] for row in pruned["layers"]] == [4, 3, 4]
    assert pruned["method"]["technique"] == "apoz"
    assert len(pruned["random"]) == 1
    plan = json.loads(Path("small/plan.json").read_text())
    assert plan["source"]["source"] == net
    assert plan["source"]["class_names"] == ["ant", "bee", "cat"]
    code, printed, told = run("evaluate", "small", "--data", "images")
    assert code == 0, told
    assert "(18 images)" in printed
    found = as_json(run, "evaluate", "small", "--data", "images")
    factory = sys.modules[net.partition(":")[0]].build
    model = load_pruned("small", factory)
    assert sum(p.numel() for p in model.parameters()) == found["parameters"][1]
    assert found["parameters"][1] < 0.6 * found["parameters"][0]
    images = image_batches(Path("images"), Preprocessing(**plan["source"]["preprocessing"]))
    assert found["accuracy"][0] == predict(model, unpacked(images)).right.mean()
    assert found["accuracy"][1] < found["accuracy"][0] < found["accuracy"][2]


def test_labels_may_be_left_out_and_keep_their_places_when_a_class_is_absent(run):
    run(*PRUNE, "--amount", "0.5", "--out", "small")
    unlabelled = as_json(run, "evaluate", "small", "--data", "images/bee")
    assert unlabelled["accuracy"] is None
    assert "has no labels" in run("evaluate", "small", "--data", "images", "--no-labels")[1]
    whole = as_json(run, "evaluate", "small", "--data", "images")["accuracy"][0]
    shares = []
    for kind in ("ant", "bee", "cat"):
        Path("one", kind).parent.mkdir(exist_ok=True)
        Path("images", kind).rename(f"one/{kind}")
        shares.append(as_json(run, "evaluate", "small", "--data", "one")["accuracy"][0])
        Path("one", kind).rename(f"images/{kind}")
    assert np.mean(shares) == pytest.approx(whole)


def test_the_names_of_the_classes_may_have_another_order(run):
    Path("names.txt").write_text("cat\nbee\nant\n")
    run(*PRUNE, "--amount", "0.5", "--class-names", "names.txt", "--out", "small")
    assert json.loads(Path("small/plan.json").read_text())["source"]["class_names"] == [
        "cat", "bee", "ant",
    ]  # fmt: skip


def test_layers_budgets_and_losses_are_passed_on(run):
    by_layer = [*PRUNE, "--layer", "0=2", "--layer", "7=0.25", "--order", "sequential"]
    pruned = as_json(run, *by_layer, "--out", "a")
    assert {row["layer"]: row["removed"] for row in pruned["layers"]} == {"0": 2, "7": 2}
    assert pruned["method"]["order"] == "sequential"
    budget = [*PRUNE, "--budget", "macs=0.6", "--max-loss", "1000", "--evaluation", "images"]
    code, _, told = run(*budget, "--out", "b")
    assert code == 2
    assert "18 images are both in calibration and in evaluation" in told
    pruned = as_json(run, *budget[:-2], "--out", "b")
    assert pruned["multiply_adds"][1] <= 0.6 * pruned["multiply_adds"][0]


def test_exports_are_written_and_only_json_is_printed(run):
    as_json(run, *PRUNE, "--amount", "0.5", "--out", "deep/small", "--onnx", "--pt2")
    assert {file.name for file in Path("deep/small").iterdir()} == {
        "plan.json", "model.safetensors", "model.onnx", "model.pt2",
    }  # fmt: skip
    assert [file.name for file in Path("deep").iterdir()] == ["small"]


def test_a_folder_of_ours_is_written_again_and_other_files_in_it_stay(run):
    run(*PRUNE, "--amount", "0.5", "--out", "small", "--pt2")
    Path("small/notes.txt").write_text("mine")
    code, _, told = run(*PRUNE, "--amount", "0.25", "--out", "small")
    assert code == 0, told
    assert {file.name for file in Path("small").iterdir()} == {
        "plan.json", "model.safetensors", "notes.txt",
    }  # fmt: skip
    assert len(json.loads(Path("small/plan.json").read_text())["layers"][0]["kept"]) == 6


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (OSError("full"), 2)])
def test_nothing_is_left_of_an_interrupted_pruning(run, monkeypatch, error, code):
    def fail(*arguments, **options):
        raise error

    before = set(Path().iterdir())
    monkeypatch.setattr("neuron_pruning.any_network.saving.write_json", fail)
    found, printed, _ = run(*PRUNE, "--amount", "0.5", "--out", "small")
    assert (found, printed) == (code, "")
    assert set(Path().iterdir()) - before <= {Path("__pycache__")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "COMMAND"),
        (["shrink"], "invalid choice: 'shrink'"),
        (["inspect", "nowhere:build", *PREPARED], "nowhere cannot be imported"),
        (["inspect", "NET"], "does not say how its images are prepared; give it: --size"),
        (["inspect", "NET", "--size", "8", "8"], "--size, --mean and --std go together"),
        (["inspect", "NET", *PREPARED, "--data", "absent"], "absent is no folder"),
        (["inspect", "NET", *PREPARED, "--weights", "absent.pth"], "absent.pth"),
        (["inspect", "torchvision/resnet1"], "did you mean"),
        (["prune", "NET", "--out", "x"], "--data"),
        ([*PRUNE, "--amount", "0.5"], "required: --out"),
        ([*PRUNE, "--out", "x"], "say how much to remove by one of"),
        (
            [*PRUNE, "--amount", "0.5", "--budget", "macs=0.5", "--out", "x"],
            "given: amount, budget",
        ),
        ([*PRUNE, "--amount", "2e9", "--out", "x"], "cannot remove 2e+09 of 8 units"),
        ([*PRUNE, "--amount", "0.5", "--technique", "luck", "--out", "x"], "luck"),
        ([*PRUNE, "--amount", "0.5", "--order", "odd", "--out", "x"], "invalid choice: 'odd'"),
        ([*PRUNE, "--layer", "0", "--out", "x"], "'0' is not NAME=NUMBER"),
        ([*PRUNE, "--layer", "0=1", "--layer", "0=2", "--out", "x"], "0 is given more than once"),
        ([*PRUNE, "--layer", "9=1", "--out", "x"], "9 cannot be pruned: its outputs are those"),
        ([*PRUNE, "--budget", "macs=1e-9", "--out", "x"], "cannot be met: the smallest network"),
        ([*PRUNE, "--amount", "0.5", "--out", "images"], "--out images holds other things"),
        ([*PRUNE, "--amount", "0.5", "--out", "names.txt/x"], "names.txt is no folder that can"),
        ([*PRUNE, "--amount", "0.5", "--class-names", "names.txt", "--out", "x"], "2 classes, but"),
        (["evaluate", "images", "--data", "images"], "images holds no plan.json"),
    ],
)
def test_what_the_user_can_mend_is_one_line_and_exit_code_2(run, arguments, message):
    Path("names.txt").write_text("ant\nbee\n")
    if "--class-names" in arguments:
        Path("images", "cat").rename("cat")
    code, printed, told = run(*arguments)
    assert (code, printed) == (2, "")
    *_, last = told.splitlines()
    assert last.startswith("neuron-pruning: error: ")
    assert message in last
    assert not Path("x").exists()


def test_a_plan_without_its_source_asks_for_it(run, net):
    run(*PRUNE, "--amount", "0.5", "--out", "small")
    plan = json.loads(Path("small/plan.json").read_text())
    Path("small/plan.json").write_text(json.dumps(plan | {"source": None}))
    code, _, told = run("evaluate", "small", "--data", "images")
    assert code == 2
    assert "does not say which network was pruned: give its source behind the folder" in told
    found = as_json(run, "evaluate", "small", "NET", "--data", "images", *PREPARED)
    assert found["images"] == 18
    Path("small/plan.json").write_text(json.dumps(plan | {"source": {"source": net}}))
    assert "plan.json is damaged" in run("evaluate", "small", "--data", "images")[2]


def test_every_option_of_the_function_has_the_same_default(monkeypatch, run):
    passed = {}

    def prune(model, calibration, **options):
        passed.update(options)
        raise KeyboardInterrupt

    monkeypatch.setattr(command_line, "prune", prune)
    code, _, told = run("prune", "NET", "--data", "images", *PREPARED, "--out", "x")
    assert (code, told.splitlines()[-1]) == (130, "neuron-pruning: interrupted")
    del passed["progress"]
    assert passed == {name: command_line.DEFAULTS[name] for name in passed}
    assert {"technique", "compensation", "batch_norm", "order", "random_draws"} <= passed.keys()


def test_the_module_is_a_program(net):
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", command_line.__name__, "inspect", net],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    assert "\nneuron-pruning: error: preprocessing: " in done.stderr
    assert "Traceback" not in done.stderr


def test_the_how_to_page_works_as_it_stands(tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs" / "how-to" / "prune-my-network.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(python|sh)\n(.*?)^```", page, re.M | re.S)
    factory, *programs = [code for kind, code in blocks if kind == "python"]
    commands = [
        line.split()[1:] for kind, code in blocks if kind == "sh" for line in code.splitlines()
        if line.startswith("neuron-pruning ")
    ]  # fmt: skip
    assert [command[0] for command in commands] == ["inspect", "prune", "evaluate"]
    (tmp_path / "mynet.py").write_text(factory)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mynet", raising=False)
    build = {}
    exec(factory, build)
    save_file(build["build"]().state_dict(), "w.safetensors")
    draw_images(32, 10)
    for command in commands:
        assert main(command) == 0, capsys.readouterr().err
    names = {}
    for program in programs:
        exec(program, names)
    assert isinstance(names["smaller"], torch.nn.Module)
    assert Path("tuned/plan.json").is_file()
