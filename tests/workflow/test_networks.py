"""A network that was trained elsewhere, through the whole target `networks`."""

import shutil

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from neuron_pruning.core.parquet import read_frame, read_rows
from tests.project import copy_project

FACTORY = """
import torch
from torch import nn


def build():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.Flatten(),
        nn.Linear(768, 16), nn.Sigmoid(), nn.Linear(16, 10),
    )
"""
NETWORK = {
    "source": "mynet:build",
    "calibration": "seen",
    "evaluation": "unseen",
    "input": {"size": [8, 8], "mean": [0.5], "std": [0.5]},
}
OVERLAY = {
    "experiment": "elsewhere",
    "networks": {"mine": NETWORK},
    "network_pruning": {
        "multiply_adds": [0.5, 0.00001],
        "techniques": ["l1"],
        "draws": 2,
        "calibration_images": 40,
        "latency": {"runtimes": ["eager", "onnx"], "batch_sizes": [4], "repeats": 2},
    },
    "tracking": {"uri": None},
}
ALL_JOBS = {
    "inspect_network": 1, "plan_network": 2, "prune_network": 4, "table_networks": 1,
    "table_unit_layers": 1, "time_network": 1, "table_running_times": 1,
    "build_networks_report": 1,
}  # fmt: skip
METHODS = 2 * 2 * 2  # techniques, compensations, rules of batch normalisation


def changed(**section):
    """The config with other keys in its section of the pruning."""
    return {**OVERLAY, "network_pruning": {**OVERLAY["network_pruning"], **section}}


def write_digits(project):
    digits = load_digits()
    for number, (pixels, label) in enumerate(zip(digits.images[:160], digits.target, strict=False)):
        place = project.folder / ("seen" if number < 80 else "unseen") / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 15).astype(np.uint8)).save(place / f"{number}.png")


@pytest.fixture(scope="module")
def pruned(tmp_path_factory):
    project = copy_project(tmp_path_factory.mktemp("networks"))
    write_digits(project)
    (project.folder / "mynet.py").write_text(FACTORY)
    ran = project.run("networks", overlay=OVERLAY)
    assert ran.returncode == 0, ran.stderr
    return project, ran


def test_every_method_is_judged_at_every_size_that_can_be_reached(pruned):
    project, ran = pruned
    results = project.folder / "results/elsewhere"
    points = read_frame(sorted(results.glob("imported/*/*/*/points.parquet")))
    assert len(points) == METHODS * 2 and set(points["budget"]) == {0.5}
    assert (points["multiply_adds"] <= 0.5).all() and (points["parameters"] < 1).all()
    assert points["accuracy"].between(0, 1).all() and points["images"].eq(80).all()
    assert "networks.mine, draw 0" in ran.stderr and "cannot be met" in ran.stderr


def test_tables_compare_with_random_removal(pruned):
    project, _ = pruned
    tables = project.folder / "results/elsewhere/tables"
    rows = read_rows(tables / "table10.parquet")
    assert len(rows) == METHODS and all(row["draws"] == 2 for row in rows)
    for row in rows:
        drawn = row["technique"] == "random"
        assert (row["p"] is None) == drawn and (row["difference_low"] is None) == drawn
    page = (tables.parent / "networks.html").read_text()
    assert "<svg" in page and "80 evaluation images" in page
    layers = read_rows(tables / "table9.parquet")
    assert [row["layer"] for row in layers] == ["0", "4"]
    assert all(0 <= row["error_50_compensated"] <= row["error_50"] + 1e-9 for row in layers)
    assert "mine" in (tables / "table9.md").read_text()


def test_the_sizes_are_timed(pruned):
    project, _ = pruned
    rows = read_rows(project.folder / "results/elsewhere/tables/table12.parquet")
    assert [(row["runtime"], row["images"], row["budget"]) for row in rows] == [
        (runtime, 4, budget) for runtime in ("eager", "onnx") for budget in (1.0, 0.5)
    ]
    assert all(row["median"] > 0 and row["multiply_adds"] <= row["budget"] for row in rows)
    assert "times faster" in (project.folder / "results/elsewhere/networks.html").read_text()
    plain = changed(latency={"runtimes": []})
    assert project.dry_run(plain, "networks") == {"build_networks_report": 1}


def test_only_what_a_change_concerns_runs_again(pruned):
    project, _ = pruned
    assert project.dry_run(OVERLAY, "networks") == {}
    more = changed(techniques=["l1", "variance"])
    timed = {"time_network": 1, "table_running_times": 1}
    behind = {"table_networks": 1, "build_networks_report": 1}
    assert project.dry_run(more, "networks") == {"prune_network": 2, **behind}
    drawn = project.dry_run(changed(draws=3), "networks")
    assert drawn == {"plan_network": 1, "prune_network": 2, **behind}
    sized = project.dry_run(changed(multiply_adds=[0.6]), "networks")
    assert sized == {"plan_network": 2, "prune_network": 4, **timed, **behind}
    looked_at = project.dry_run(changed(angles=[20]), "networks")
    kept = {"plan_network", *timed}
    assert looked_at == {rule: jobs for rule, jobs in ALL_JOBS.items() if rule not in kept}


@pytest.mark.parametrize("file", ["mynet.py", "unseen/3/83.png"])
def test_other_code_or_images_run_it_all_again(pruned, tmp_path, file):
    project, _ = pruned
    path = project.folder / file
    shutil.copy(path, tmp_path / "kept")
    content = FACTORY.replace("seed(0)", "seed(1)").encode() if file.endswith(".py") else b""
    path.write_bytes(content)
    try:
        assert project.dry_run(OVERLAY, "networks") == ALL_JOBS
    finally:
        shutil.copy(tmp_path / "kept", path)
    assert project.dry_run(OVERLAY, "networks") == {}


def test_a_config_without_networks_says_what_to_do(pruned):
    project, _ = pruned
    ran = project.run("-n", "networks", overlay={**OVERLAY, "networks": {}})
    assert ran.returncode == 1 and "configs/any_network.yaml" in ran.stderr + ran.stdout


def test_images_on_both_sides_are_refused(pruned):
    project, _ = pruned
    shutil.copytree(project.folder / "unseen", project.folder / "both")
    shared = {**NETWORK, "calibration": "both"}
    overlay = {**OVERLAY, "experiment": "shared", "networks": {"mine": shared}}
    ran = project.run("networks", overlay=overlay)
    assert ran.returncode == 1 and "both in calibration and in evaluation" in ran.stderr


def test_a_compensation_that_merges_has_its_random_control(pruned):
    project, _ = pruned
    section = {"techniques": ["noiseout"], "compensations": ["affine"], "draws": 1}
    overlay = {**changed(**section, multiply_adds=[0.5]), "experiment": "merged"}
    ran = project.run("networks", overlay=overlay)
    assert ran.returncode == 0, ran.stderr
    rows = read_rows(project.folder / "results/merged/tables/table10.parquet")
    assert {(row["technique"], row["compensation"]) for row in rows} == {
        ("noiseout", "affine"), ("random", "affine"),
    }  # fmt: skip
    assert all((row["p"] is None) == (row["technique"] == "random") for row in rows)


def test_prunings_of_others_stand_beside_ours_at_equal_size(pruned):
    project, _ = pruned
    section = {"peers": ["grail", "torch_pruning_magnitude"], "draws": 1, "multiply_adds": [0.5]}
    overlay = changed(**section)
    ran = project.run("networks", overlay=overlay)
    assert ran.returncode == 0, ran.stderr
    rows = read_rows(project.folder / "results/elsewhere/tables/table11.parquet")
    assert {row["technique"] for row in rows} == {"ours", *section["peers"]}
    assert all(0 < row["multiply_adds_mean"] <= 0.5 for row in rows)
    assert all((row["p"] is None) == (row["technique"] == "ours") for row in rows)
    page = (project.folder / "results/elsewhere/networks.html").read_text()
    assert "Torch-Pruning" in page and "Table 11" in page
    assert project.dry_run(overlay, "networks") == {}
    dropped = changed(**{**section, "peers": ["grail"]})
    assert project.dry_run(dropped, "networks") == {"table_peers": 1, "build_networks_report": 1}
