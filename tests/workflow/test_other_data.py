"""The same command on other images: ten handwritten digits, another size, another model.

Folders have names that no shell, table or page may take for anything else.
"""

import csv

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tests.project import copy_project

FOLDER = "my 'digits' $(touch gone)"
BOXES = "boxes of 'digits'.csv"
CLASSES = [
    "-rf", "a b", "it's \"it\"", "new\nline", "ü|&<b>_%$#~^\\", "{x}", "`touch gone`", "7",
    "; touch gone", "日本 🙂",
]  # fmt: skip
OVERLAY = {
    "experiment": "digits",
    "dataset": {"path": FOLDER, "input_size": [48, 40], "resize": "stretch", "boxes": BOXES},
    "seeds": [0],
    "split": "stratified",
    "splits": {"stratified": {"validation_fraction": 0.25}},
    "selection": {"subset": "validation"},
    "run_models": ["shuffle"],
    "models": {
        "shuffle": {
            "architecture": "torchvision/shufflenet_v2_x0_5",
            "widths": [20],
            "pruned_layer": "fc1",
            "learning_rates": [0.002, 0.004],
            "batch_sizes": [16],
        }
    },
    "recipe": "light",
    "recipes": {
        "light": {
            "initialisation": {"scheme": "centred"},
            "augmentation": {"flip": False, "crop": 0.1, "colour": 0.1},
            "label_smoothing": 0.1,
            "epochs": 3,
        }
    },
    "comparison": {
        "splits": ["stratified"],
        "networks": [
            {
                "model": "shuffle",
                "recipes": ["light"],
                "crops": ["none"],
                "learning_rate": 0.002,
                "batch_size": 16,
            }
        ],
    },
    "baseline": {"svm": {"c": [2.0], "gamma": [1.0], "folds": 2}},
    "pruning": {
        "counts": [5],
        "techniques_compared": ["distinctiveness", "l2"],
        "compensations": ["none"],
        "cuts": {},
    },
    "controls": {"untrained": True},
    "tracking": {"uri": None},
}


def write_digits(folder, per_class=12):
    """Images of scikit-learn's digits as a folder of class folders."""
    digits = load_digits()
    for digit in range(10):
        place = folder / CLASSES[digit]
        place.mkdir(parents=True)
        for n, pixels in enumerate(digits.images[digits.target == digit][:per_class]):
            image = Image.fromarray((pixels * 15).astype(np.uint8))
            image.resize((40 + n % 3, 44)).save(place / f"-{n} 'x'; touch gone.png")


def write_boxes(project):
    """Boxes of all faces but those of the first image of each class, which are looked for."""
    rows = [["image", "x", "y", "width", "height"]]
    for path in sorted((project.folder / FOLDER).glob("*/*.png")):
        if not path.name.startswith("-0 "):
            rows.append([f"{path.parent.name}/{path.name}", 2, 2, 36, 36])
    with (project.folder / BOXES).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The project after a complete run."""
    project = copy_project(tmp_path_factory.mktemp("digits"))
    write_digits(project.folder / FOLDER)
    write_boxes(project)
    ran = project.run("all", "comparison", "--resources", "gpu=2", overlay=OVERLAY)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-6000:]
    assert not list(project.folder.rglob("gone"))
    return project


@pytest.fixture
def place(finished):
    """Its results."""
    return finished.folder / "results" / "digits"


@pytest.fixture
def tables(place):
    """Tables of the finished experiment by number, and its report."""
    found = {path.stem: pd.read_parquet(path) for path in (place / "tables").glob("*.parquet")}
    return {**found, "report": (place / "report.html").read_text()}


def test_classes_come_from_the_data(tables):
    rows = tables["table2"]
    assert set(rows["class"]) == {*CLASSES, "all"} and rows["paper"].isna().all()
    assert set(rows["model"]) == {"shuffle"} and "ü|&amp;&lt;b&gt;" in tables["report"]
    assert "ü|&<b>" not in tables["report"]


def test_one_model_leaves_the_second_class_table_out(tables):
    assert "table3" not in tables and set(tables["table4"]["units"]) == {20}


def test_given_boxes_are_taken_and_the_other_faces_looked_for(place):
    boxes = pd.read_parquet(place / "dataset" / "boxes.parquet")
    assert len(boxes) == 120 and boxes["rule"].notna().all()
    assert (boxes["rule"] == "given").sum() == 110


def test_untrained_controls_are_measured_but_not_kept(place):
    assert len(list(place.glob("pruned/**/state~untrained/**/metrics.parquet"))) == 3
    assert not list(place.glob("pruned/**/state~untrained/**/network.safetensors"))


def test_untrained_networks_have_rows_of_their_own(place, tables):
    rows = tables["table4"]
    assert rows["state"].tolist() == ["trained"] * 3 + ["untrained"] * 3
    assert rows["angle"].tolist() == [15, 10, 5] * 2
    for row in rows.itertuples():
        files = place.glob(f"pruned/**/state~{row.state}/*/amount~{row.angle:g}/metrics.parquet")
        (frame,) = [pd.read_parquet(path) for path in files]
        removed = (frame["units_before"] - frame["units_after"]).item()
        assert removed == frame[[c for c in frame if c.startswith("removed_")]].sum(axis=1).item()
        assert row.removed_mean == pytest.approx(removed)
        smaller = frame["parameters_after"] < frame["parameters_before"]
        assert removed == 0 or smaller.all()
    for name in ("table5", "table6"):
        assert set(tables[name]["state"]) == {"trained", "untrained"}


def test_sweeps_agree_with_the_written_networks_of_both_states(place):
    points = pd.concat([pd.read_parquet(path) for path in place.glob("sweeps/**/*.parquet")])
    rows = pd.concat([pd.read_parquet(path) for path in place.glob("pruned/**/metrics.parquet")])
    own = (points["technique"] == "distinctiveness") & (points["compensation"] == "add")
    both = rows.merge(points[own], on=["state", "angle"], suffixes=("", "_swept"))
    assert len(both) == 6
    assert (both["units_before"] - both["units_after"] == both["removed"]).all()
    np.testing.assert_allclose(both["test_loss_after"], both["test_loss"], atol=1e-5)
    # One of 20 images may change sides: an untrained network's logits are equal but for rounding.
    np.testing.assert_allclose(both["agreement"], both["agreement_swept"], atol=0.051)


@pytest.mark.parametrize(
    ("pruning", "rerun"),
    [
        ({"angles": [15, 10, 7]}, {"prune": 1, "prune_untrained": 1, "table_pruning": 1}),
        (
            {"techniques": {"distinctiveness": {"compensation": "none"}}},
            {"prune": 3, "prune_untrained": 3, "table_pruning": 1}
            | {"sweep_technique": 2, "table_techniques": 1},
        ),
        (
            {"fine_tuning": {"epochs": 1}},
            {"fine_tune": 6, "prune_untrained": 3, "table_pruning": 1},
        ),
    ],
    ids=["angle", "compensation", "fine-tuning"],
)
def test_untrained_networks_are_pruned_again_with_the_trained(finished, pruning, rerun):
    found = finished.dry_run({**OVERLAY, "pruning": {**OVERLAY["pruning"], **pruning}})
    found.pop("build_report", None)
    assert found == rerun


def test_a_changed_module_prunes_networks_of_both_states_again(copied):
    module = copied.folder / "scripts" / "neuron_pruning" / "pruning" / "surgery.py"
    module.write_text(module.read_text() + "\nCHANGED = True\n")
    found = copied.dry_run(OVERLAY)
    found.pop("build_report", None)
    tables = dict.fromkeys(["table_pruning", "table_techniques", "table_compensations"], 1)
    pruned = {"prune": 3, "prune_untrained": 3, "sweep_technique": 6, "compare_compensations": 2}
    assert found == {**pruned, **tables}


def test_validation_images_select(tables):
    rows = tables["table1"]
    assert rows["validation_accuracy_mean"].notna().all()
    assert set(rows["selected_on"]) == {"validation"}
    assert rows[rows["selected"]]["best_on_validation"].all()


def test_published_figures_of_other_data_are_left_out(tables):
    assert set(tables["table7"]["kind"]) == {"network", "svm", "constant"}
    chance = tables["table7"].set_index("contender").loc["chance", "accuracy_mean"]
    assert chance == pytest.approx(0.1)
    assert "Zhang" not in set(tables["table7"]["contender"])
    assert set(tables["table8"]["class"]) >= set(CLASSES)


def test_svms_read_digits_better_than_chance(tables):
    row = tables["table7"][tables["table7"]["kind"] == "svm"].iloc[0]
    assert row["p_chance"] < 0.05 and row["accuracy_mean"] > 0.3
