"""Which cell of the grid goes on, and on which images that is decided."""

import pandas as pd
import pytest

from neuron_pruning.core.parquet import read_rows, write_rows
from neuron_pruning.evaluation.predictions import METRICS_SCHEMA
from neuron_pruning.statistics.hyperparameter_selection import SELECTION_SCHEMA
from neuron_pruning.tables.grid import display, selection_bias
from select_hyperparameters import select_hyperparameters

KEYS = {"experiment": "e", "split": "random", "crop": "none", "recipe": "r", "model": "net"}
TEST = {0.1: (0.5, 0.7), 0.2: (0.6, 0.4), 0.3: (0.6, 0.6)}  # by learning rate, one figure per seed
VALIDATION = {0.1: (0.4, 0.4), 0.2: (0.5, 0.5), 0.3: (0.3, 0.3)}


@pytest.fixture
def metrics(tmp_path):
    """Files of three cells and two seeds."""
    paths = []
    for rate in TEST:
        for seed in (0, 1):
            figures = {"train": 1.0, "validation": VALIDATION[rate][seed], "test": TEST[rate][seed]}
            rows = [
                {"part": part, "class": "all", "metric": "accuracy", "value": value, "images": 10}
                for part, value in figures.items()
            ]
            keys = {**KEYS, "learning_rate": rate, "batch_size": 8, "seed": seed}
            paths.append(tmp_path / f"{rate}-{seed}.parquet")
            write_rows(paths[-1], rows, METRICS_SCHEMA, {**keys, "state": "trained"})
    return paths


def selected(metrics, tmp_path, on, fixed=None):
    path = tmp_path / "selection.parquet"
    select_hyperparameters(metrics, path, on, fixed or {})
    rows = pd.DataFrame(read_rows(path))
    assert list(rows.columns) == SELECTION_SCHEMA.names
    return rows


@pytest.mark.parametrize(("on", "rate"), [("test", 0.1), ("validation", 0.2)])
def test_the_best_mean_on_the_chosen_part_is_selected(metrics, tmp_path, on, rate):
    rows = selected(metrics, tmp_path, on)
    assert rows[rows["selected"]]["learning_rate"].tolist() == [rate]  # 0.3 is as good on test
    assert rows[rows["best_on_test"]]["learning_rate"].tolist() == [0.1]
    assert rows[rows["best_on_validation"]]["learning_rate"].tolist() == [0.2]
    assert set(rows["selected_on"]) == {on}


def test_a_fixed_cell_wins_over_both(metrics, tmp_path):
    rows = selected(metrics, tmp_path, "test", {"net": {"learning_rate": 0.3, "batch_size": 8}})
    assert rows[rows["selected"]]["learning_rate"].tolist() == [0.3]
    assert set(rows["selected_on"]) == {"fixed"}


def test_table1_says_how_large_the_selection_bias_is(metrics, tmp_path):
    rows = selected(metrics, tmp_path, "validation")
    assert selection_bias(rows) == (
        " net: 60.0 where the test images select, 50.0 where the validation images do, "
        "+10.0 points."
    )
    shown = display(rows.assign(low=0.1, high=0.2, paper_train_accuracy=None).assign(
        paper_test_accuracy=None
    ))  # fmt: skip
    assert shown["Average Validation Acc."].tolist()[0].startswith("40.00")


def test_without_validation_images_there_is_no_word_of_them(metrics, tmp_path):
    for path in metrics:
        frame = pd.read_parquet(path)
        rows = frame[frame["part"] != "validation"]
        write_rows(path, rows.to_dict("records"), METRICS_SCHEMA)
    rows = selected(metrics, tmp_path, "test")
    assert not rows["best_on_validation"].any() and selection_bias(rows) == ""
    assert rows["validation_accuracy_mean"].isna().all()
