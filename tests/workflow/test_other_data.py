"""The same command on other images: ten handwritten digits, another size, another model.

Folders have names that no shell, table or page may take for anything else.
"""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

FOLDER = "my 'digits' $(touch gone)"
CLASSES = [
    "-rf", "a b", "it's \"it\"", "new\nline", "ü|&<b>_%$#~^\\", "{x}", "`touch gone`", "7",
    "; touch gone", "日本 🙂",
]  # fmt: skip
OVERLAY = {
    "experiment": "digits",
    "dataset": {"path": FOLDER, "input_size": [48, 40], "resize": "stretch"},
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
    "controls": {"untrained": False},
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


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Tables of the finished experiment by number, and its report."""
    from tests.project import copy_project

    project = copy_project(tmp_path_factory.mktemp("digits"))
    write_digits(project.folder / FOLDER)
    ran = project.run("--resources", "gpu=2", overlay=OVERLAY)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-6000:]
    place = project.folder / "results" / "digits"
    found = {path.stem: pd.read_parquet(path) for path in (place / "tables").glob("*.parquet")}
    assert not list(project.folder.rglob("gone"))
    return {**found, "report": (place / "report.html").read_text()}


def test_classes_come_from_the_data(tables):
    rows = tables["table2"]
    assert set(rows["class"]) == {*CLASSES, "all"} and rows["paper"].isna().all()
    assert set(rows["model"]) == {"shuffle"} and "ü|&amp;&lt;b&gt;" in tables["report"]
    assert "ü|&<b>" not in tables["report"]


def test_one_model_leaves_the_second_class_table_out(tables):
    assert "table3" not in tables and set(tables["table4"]["units"]) == {20}


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
