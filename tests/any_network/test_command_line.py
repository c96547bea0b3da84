import inspect
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
from neuron_pruning import prune as prune_network
from neuron_pruning.any_network import command_line, commands, network_images
from neuron_pruning.any_network.batches import unpacked
from neuron_pruning.any_network.command_line import main
from neuron_pruning.any_network.evaluation import predict
from neuron_pruning.any_network.preprocessing import Preprocessing
from neuron_pruning.any_network.sources import OpenedNetwork

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
ANGLE = [*PRUNE, "--technique", "distinctiveness", "--compensation", "add"]


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


def test_reasons_of_like_blocks_are_one(run, net):
    file = Path(f"{net.partition(':')[0]}.py")
    file.write_text(
        "from torch import nn\n"
        "def build():\n"
        "    blocks = [nn.Sequential(nn.Linear(192, 192), nn.LayerNorm(192)) for _ in range(3)]\n"
        "    return nn.Sequential(nn.Flatten(), *blocks, nn.Linear(192, 3))\n"
    )
    _, printed, _ = run("inspect", "NET", *PREPARED)
    assert "3 x LayerNorm *.* mixes its outputs: 1.0, 2.0, 3.0" in printed
    assert "1 x its outputs are those of the network: 4" in printed


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


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (["n02", "n07"], None), (["cat", "dog"], ("dog", "cat")), (["n02", "cat"], ("dog", "cat")),
        (["n02"], ("dog", "cat")), ([], ("dog", "cat")),
    ],
)  # fmt: skip
def test_as_many_folders_under_other_names_are_in_the_order_of_the_outputs(
    tmp_path, folders, expected
):
    for name in folders:
        (tmp_path / name).mkdir()
    prepared = Preprocessing(8, 8, (0.5,) * 3, (0.25,) * 3)
    opened = OpenedNetwork(torch.nn.Identity(), prepared, "a network", ("dog", "cat"))
    assert network_images.classes_of(opened, tmp_path) == expected


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
    assert code == 1
    assert "18 images are both in calibration and in evaluation" in told
    pruned = as_json(run, *budget[:-2], "--out", "b")
    assert pruned["multiply_adds"][1] <= 0.6 * pruned["multiply_adds"][0]


def test_the_angle_of_the_paper_and_settings_of_a_technique_are_passed_on(run):
    at = ["--angle", "15", "--setting", "centring=none", "--setting", "short_threshold=0"]
    pruned = as_json(run, *ANGLE, *at, "--out", "small")
    assert pruned["method"]["settings"] == {"centring": "none", "short_threshold": 0}
    assert pruned["goal"]["angle"] == 15.0
    wider = as_json(run, *ANGLE, "--layer", "0=80", *at[2:], "--out", "wider")
    removed = {row["layer"]: row["removed"] for row in pruned["layers"]}
    assert removed.keys() == {"0", "3", "7"}
    assert wider["layers"][0]["removed"] > removed["0"]


def test_json_of_a_pruning_is_whole(run):
    found = as_json(run, *PRUNE, "--amount", "0.5", "--seed", "3", "--out", "small")
    assert set(found) == {
        "format", "package", "input_shape", "source", "goal", "method", "parameters",
        "multiply_adds", "agreement", "accuracy", "accuracy_before", "images", "random",
        "difference", "p", "latency_ms", "layers", "batch_norm_shifts", "notes", "out",
    }  # fmt: skip
    assert set(found["layers"][0]) == {
        "layer", "units", "removed", "rules", "dead", "saturated", "error_without_compensation",
        "error",
    }  # fmt: skip
    assert found["goal"]["amount"] == 0.5
    assert found["method"]["seed"] == 3
    for name in ("agreement", "accuracy", "accuracy_before"):
        value, low, high = found[name]
        assert 0.0 <= low <= value <= high <= 1.0
    assert [row["dead"] for row in found["layers"]] == [0, 1, 0]
    assert [row["saturated"] for row in found["layers"]] == [0, 0, 1]
    assert set(found["batch_norm_shifts"]) == {"1"}
    slow, fast = found["latency_ms"]
    assert fast > 0.0 and slow > 0.0


def test_what_a_factory_prints_is_no_result(run, net):
    file = Path(f"{net.partition(':')[0]}.py")
    file.write_text(
        file.read_text().replace("    return net", "    print('hello')\n    return net")
    )
    code, printed, told = run("inspect", "NET", *PREPARED, "--json")
    assert code == 0
    assert json.loads(printed)["layers"]
    assert "hello" in told


def test_a_figure_is_drawn_for_those_who_ask(run, monkeypatch):
    run(*PRUNE, "--amount", "0.5", "--out", "small", "--figure", "pictures/why.png")
    with Image.open("pictures/why.png") as picture:
        assert picture.width > 1000
    monkeypatch.setattr(commands, "find_spec", lambda name: None)
    code, _, told = run(*PRUNE, "--amount", "0.5", "--out", "x", "--figure", "why.png")
    assert code == 1
    assert "--figure needs the extra: pip install 'neuron-pruning[networks]'" in told
    assert not Path("x").exists()


def test_a_format_that_matplotlib_does_not_write_is_refused_before_the_work(run):
    arguments = [*PRUNE, "--amount", "0.5", "--out", "x", "--figure", "why.doc"]
    refused(run, arguments, "--figure: why.doc: give a name that ends in .png, .pdf or .svg", 2)


def test_help_needs_no_torch():
    code = (
        "import sys\n"
        "from neuron_pruning.any_network.command_line import main\n"
        "try:\n    main(['prune', '--help'])\n"
        "finally:\n    assert not {'torch', 'scipy', 'pandas'} & set(sys.modules)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"--setting NAME=VALUE" in done.stdout


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


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (OSError("full"), 1)])
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
        (["prune", "NET", "--out", "x"], "--data"),
        ([*PRUNE, "--amount", "0.5"], "required: --out"),
        ([*PRUNE, "--out", "x"], "say how much to remove by one of"),
        (
            [*PRUNE, "--amount", "0.5", "--budget", "macs=0.5", "--out", "x"],
            "given: amount, budget",
        ),
        ([*PRUNE, "--amount", "0.5", "--technique", "luck", "--out", "x"], "luck"),
        ([*PRUNE, "--amount", "0.5", "--technique", "varience", "--out", "x"], "mean variance?"),
        ([*PRUNE, "--amount", "0.5", "--order", "odd", "--out", "x"], "invalid choice: 'odd'"),
        ([*PRUNE, "--layer", "0", "--out", "x"], "'0' is not NAME=NUMBER"),
        ([*PRUNE, "--layer", "0=1", "--layer", "0=2", "--out", "x"], "0 is given more than once"),
        ([*PRUNE, "--angle", "15", "--out", "x"], "l1 takes no angle"),
        ([*ANGLE, "--amount", "0.5", "--out", "x"], "give angle=15"),
        ([*ANGLE, "--angle", "95", "--out", "x"], "angle must be in (0, 90]"),
        ([*ANGLE, "--angle", "9", "--round-to", "8", "--out", "x"], "leave out round_to"),
        ([*ANGLE, "--angle", "9", "--setting", "x", "--out", "x"], "'x' is not NAME=VALUE"),
        (
            [*ANGLE, "--angle", "9", "--setting", "centering=mean", "--out", "x"],
            "no setting centering; known: centring, short_threshold, constant_threshold, "
            "complementary, groups; did you mean centring?",
        ),
        (
            [*ANGLE, "--angle", "9", "--setting", "short_threshold=low", "--out", "x"],
            "short_threshold must be a number of 0 or more; not 'low'",
        ),
    ],
)
def test_wrong_arguments_are_one_line_and_exit_code_2_before_torch_is_loaded(
    run, monkeypatch, arguments, message
):
    monkeypatch.setitem(sys.modules, "neuron_pruning.any_network.commands", None)
    refused(run, arguments, message, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["inspect", "nowhere:build", *PREPARED], "nowhere cannot be imported"),
        (["inspect", "NET"], "does not say how its images are prepared; give it: --size"),
        (["inspect", "NET", "--size", "8", "8"], "--size, --mean and --std go together"),
        (["inspect", "NET", *PREPARED, "--data", "absent"], "absent is no folder"),
        (["inspect", "NET", *PREPARED, "--weights", "absent.pth"], "absent.pth"),
        (["inspect", "torchvision/resnet1"], "did you mean"),
        ([*PRUNE, "--amount", "2e9", "--out", "x"], "cannot remove 2e+09 of 8 units"),
        ([*PRUNE, "--layer", "9=1", "--out", "x"], "9 cannot be pruned: its outputs are those"),
        ([*PRUNE, "--budget", "macs=1e-9", "--out", "x"], "cannot be met: the smallest network"),
        ([*PRUNE, "--amount", "0.5", "--out", "images"], "--out images holds other things"),
        ([*PRUNE, "--amount", "0.5", "--out", "names.txt/x"], "names.txt is no folder that can"),
        ([*PRUNE, "--amount", "0.5", "--class-names", "names.txt", "--out", "x"], "2 classes, but"),
        (["evaluate", "images", "--data", "images"], "images holds no plan.json"),
    ],
)
def test_what_the_user_can_mend_is_one_line_and_exit_code_1(run, arguments, message):
    Path("names.txt").write_text("ant\nbee\n")
    if "--class-names" in arguments:
        Path("images", "cat").rename("cat")
    refused(run, arguments, message, 1)


def refused(run, arguments, message, expected):
    code, printed, told = run(*arguments)
    assert (code, printed) == (expected, "")
    *_, last = told.splitlines()
    assert last.startswith("neuron-pruning: error: ")
    assert message in last
    assert not Path("x").exists()


def test_a_plan_without_its_source_asks_for_it(run, net):
    run(*PRUNE, "--amount", "0.5", "--out", "small")
    plan = json.loads(Path("small/plan.json").read_text())
    Path("small/plan.json").write_text(json.dumps(plan | {"source": None}))
    code, _, told = run("evaluate", "small", "--data", "images")
    assert code == 1
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

    monkeypatch.setattr(commands, "prune", prune)
    run("prune", "NET", "--data", "images", *PREPARED, "--amount", "0.5", "--out", "x")
    assert passed.pop("amount") == 0.5
    assert passed.pop("settings") == {}  # of the function None, which is the same
    known = {name: p.default for name, p in inspect.signature(prune_network).parameters.items()}
    del passed["progress"]
    assert passed == {name: known[name] for name in passed}
    assert {"technique", "compensation", "batch_norm", "order", "random_draws"} <= passed.keys()


def test_the_module_is_a_program(net):
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", command_line.__name__, "inspect", net],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
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
