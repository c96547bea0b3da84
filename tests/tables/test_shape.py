"""All tables have one shape, and what the tables share is right."""

from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest

from neuron_pruning import tables
from neuron_pruning.core.parquet import CELL
from neuron_pruning.statistics.significance import wilson_of_mean
from neuron_pruning.tables import compensations, grid, sizes, techniques
from neuron_pruning.tables.figures import class_figures, published_value, with_interval
from neuron_pruning.tables.rendering import display_name, network_name
from neuron_pruning.tables.table import Table

SHARED = {"__init__", "figures", "rendering", "table"}
MODULES = sorted({path.stem for path in Path(tables.__file__).parent.glob("*.py")} - SHARED)


def test_there_is_a_module_per_table():
    wanted = ["compensations", "grid", "models", "networks", "peers", "per_class", "pruning"]
    assert [*wanted, "running_times", "sizes", "svm", "techniques", "unit_layers"] == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_every_column_is_described_once(module):
    made = import_module(f"neuron_pruning.tables.{module}").TABLE
    assert isinstance(made, Table)
    assert len(set(made.schema.names)) == len(made.schema.names)
    assert all(field.metadata[b"description"] for field in made.schema)


def test_only_accuracies_have_an_interval():
    rows = pd.DataFrame({"metric": ["accuracy", "recall"], "mean": [0.5, 0.5], "test_images": 40})
    first, second = with_interval(rows, "mean")[["low", "high"]].to_numpy()
    assert tuple(first) == wilson_of_mean([0.5], 40) and pd.isna(second).all()
    assert with_interval(rows.drop(columns="metric"), "mean")["low"].notna().all()


@pytest.mark.parametrize(("images", "wanted"), [("max", 20), ("median", 12)])
def test_class_figures_are_means_of_the_test_images(images, wanted):
    rows = pd.DataFrame(
        {"part": ["test"] * 3 + ["train"], "metric": "accuracy", "class": "all",
         "value": [0.2, 0.4, 0.6, 1.0], "images": [10, 12, 20, 99]}
    )  # fmt: skip
    (row,) = class_figures(rows, ["metric", "class"], ["accuracy"], images).to_dict("records")
    assert row["mean"] == pytest.approx(0.4) and row["std"] == pytest.approx(0.2)
    assert (row["seeds"], row["test_images"]) == (3, wanted)
    assert (row["low"], row["high"]) == pytest.approx(wilson_of_mean([0.4], wanted))
    assert class_figures(rows, ["metric", "class"], ["recall"], images).empty


def test_published_values_are_of_a_class_or_of_all():
    published = {"accuracy": 0.2, "recall": {"Angry": 0.3}}
    asked = [("accuracy", "all"), ("recall", "Angry"), ("recall", "Sad"), ("accuracy", "Sad")]
    found = [published_value(published, *names) for names in [*asked, ("precision", "all")]]
    assert found[:2] == [0.2, 0.3] and pd.isna(found[2:]).all()


def test_names_of_networks():
    assert (display_name("vgg"), display_name("mine")) == ("VGG", "mine")
    assert network_name("alexnet", "trained") == "AlexNet"
    assert network_name("alexnet", "untrained", "fc2") == "AlexNet fc2, untrained"


@pytest.mark.parametrize("made", [techniques.TABLE, compensations.TABLE])
def test_captions_need_nothing_but_the_stored_columns(made):
    stored = pd.DataFrame({"seeds": [3]})
    fresh = stored.assign(test_images=40, draws=20)
    assert "of 40 test images" in made.caption(fresh)
    assert "test images" not in made.caption(stored)
    for rows in (stored, fresh):
        assert made.caption(rows).endswith("Figures are mean ± standard deviation over 3 seeds.")
    assert ("(20 draws)" in made.caption(fresh)) == (made is techniques.TABLE)


def test_the_star_of_table1_is_explained():
    rows = pd.DataFrame(
        {"seeds": 1, "test_images": [8, 9], "selected_on": ["test", "fixed"],
         "best_on_validation": False, "paper_test_accuracy": None}
    )  # fmt: skip
    assert "* selected on test images. Figures are of one seed, 8/9 test" in grid.caption(rows)
    assert "* fixed in the config." in grid.caption(rows[rows["selected_on"] == "fixed"])


def measured(seed, images, speed_up):
    """What measure_cut finds of one seed and batch size."""
    counts = {"parameters": 2_000_000, "multiply_adds": 8_000_000, "file_bytes": 4_000_000}
    return {
        **dict.fromkeys(CELL, "x"), "model": "vgg", "seed": seed, "cut": "half", "layer": "conv1",
        **{f"{name}_before": number for name, number in counts.items()},
        **{f"{name}_after": number // 2 for name, number in counts.items()},
        "compression": 2.0, "test_accuracy_before": 0.5, "test_accuracy_after": 0.25,
        "onnx_difference": 1e-6 * (1 + seed), "images": images, "median_before": 0.02,
        "median_after": 0.02 / speed_up, "speed_up": speed_up, "repeats": 9, "device": "cpu",
    }  # fmt: skip


def test_sizes_are_means_over_seeds_by_batch_size():
    rows = sizes.size_rows(
        pd.DataFrame([measured(s, n, 1.25 + 0.5 * s) for s in (0, 1) for n in (1, 64)])
    )
    assert set(sizes.SCHEMA.names) <= set(rows) and rows["images"].tolist() == [1, 64]
    assert rows["speed_up_mean"].tolist() == [1.5, 1.5] and rows["onnx_difference"].max() == 2e-6
    (line,) = sizes.display(rows).to_dict("records")
    assert line["Network"] == "VGG" and line["Cut"] == "half (conv1)"
    assert line["Parameters"] == "2 → 1 M (2.00 x)" and line["Accuracy"] == "50.0 → 25.0"
    assert line["1 image(s)"] == line["64 image(s)"] == "20 → 13.7 ms (1.50 ± 0.35 x)"
    assert "median of 9 forward passes on cpu" in sizes.caption(rows)
