"""A class, a split or a model may have any name: none is a name of the program's own."""

import itertools

import numpy as np
import pandas as pd
import pytest

from neuron_pruning.core.parquet import CELL
from neuron_pruning.data.split_file import Split
from neuron_pruning.evaluation.predictions import metric_rows, overall
from neuron_pruning.reporting.panels import dots, in_words
from neuron_pruning.reporting.table_notes import page_table
from neuron_pruning.statistics.metrics import PER_CLASS, class_metrics
from neuron_pruning.tables import models, per_class, svm
from neuron_pruning.tables.rendering import write_table

OWN = [
    "Emotion", "Precision", "Recall", "Accuracy", "all", "All", "Total", "SVM", "Split", "Metric",
    "Classifier", "Technique", "Compensation", "class", "metric", "value", "count", "index", "name",
    "accuracy", "_hidden", "nan", "None", "0",
]  # fmt: skip


def metrics_of(classes, shared):
    """Rows of metrics.parquet: every class has figures of its own."""
    rng, each = np.random.default_rng(0), 6
    labels = np.repeat(np.arange(len(classes)), each)
    predicted = np.where(rng.random(len(labels)) < 0.6, labels, rng.permutation(labels))
    rows = class_metrics(labels, predicted, classes)
    return pd.DataFrame([{**shared, "part": "test", "images": len(labels), **row} for row in rows])


def plain(classes):
    return [f"class {number}" for number in range(len(classes))]


def tables_of(module, shared, rows_of):
    """A table of classes with the names ``OWN``, and one with names that mean nothing."""
    return [module.TABLE.display(rows_of(metrics_of(names, shared))) for names in (OWN, plain(OWN))]


def class_table(metrics):
    return per_class.class_rows(metrics, {"classes": {}})


def svm_table(metrics):
    return svm.svm_rows(metrics, {})


SHARED = {
    per_class: {**dict.fromkeys(CELL, "x"), "learning_rate": 0.1, "batch_size": 1},
    svm: {"experiment": "x", "baseline": "images", "split": "movie"},
}
ROWS = {per_class: class_table, svm: svm_table}


@pytest.mark.parametrize("module", ROWS)
def test_names_of_classes_change_nothing_but_their_headings(module):
    own, other = tables_of(module, SHARED[module], ROWS[module])
    np.testing.assert_array_equal(own.to_numpy(), other.to_numpy())
    first = len(own.columns) - len(OWN)
    assert list(own.columns[first:]) == OWN
    assert list(own.columns[:first]) == list(other.columns[:first])


@pytest.mark.parametrize("module", ROWS)
def test_every_format_and_the_page_show_every_class(module, tmp_path):
    rows = ROWS[module](metrics_of(OWN, SHARED[module]))
    files = [tmp_path / f"t.{suffix}" for suffix in ("md", "tex", "html", "csv")]
    shown = module.TABLE.display(rows)
    write_table(rows[module.SCHEMA.names], shown, "x", module.SCHEMA, tmp_path / "t.parquet", files)
    markdown, latex, page = (path.read_text() for path in files[:3])
    assert {line.count("|") for line in markdown.splitlines()[2:]} == {len(shown.columns) + 1}
    lines = [line for line in latex.splitlines() if " & " in line]
    assert {line.count(" & ") for line in lines} == {len(shown.columns) - 1}
    assert page.count("<th ") == len(shown.columns)
    kept = pd.read_parquet(tmp_path / "t.parquet")
    assert not kept.duplicated(["metric", "class"]).any()
    assert set(kept.loc[kept["metric"] != "accuracy", "class"]) == set(OWN)
    number = 2 if module is per_class else 8
    table = page_table(number, rows)
    assert table["head"][-len(OWN) :] == OWN and table["text_columns"] == []
    groups = table["groups"] or [(None, table["rows"])]
    assert all(len(row) == len(table["head"]) for _, found in groups for row in found)


def test_figures_of_all_classes_are_known_by_their_metric():
    def figures(classes):
        labels = np.repeat(np.arange(len(classes)), 2)
        names = tuple(map(str, range(len(labels))))
        split = Split(tuple(classes), names, labels, np.array(["test"] * len(names)), names)
        return metric_rows(split, labels, np.eye(len(classes))[labels])

    assert overall(figures(OWN)) == overall(figures(plain(OWN)))
    assert set(overall(figures(OWN))) == {"test_accuracy", "test_loss"}
    assert not {"accuracy", "loss"} & set(PER_CLASS)


def compared(splits, networks=("vgg", "VGG")):
    """Rows of Table 7: networks under splits, and a published figure that no split concerns."""
    shared = {"recipe": "r", "crop": "none", "learning_rate": 0.1, "batch_size": 8}
    shared |= {
        "kind": "network",
        "accuracy_std": np.nan,
        "seeds": 1,
        "p_chance": 1.0,
        "p_majority": 1.0,
    }
    rows = [
        {**shared, "split": split, "contender": name, "accuracy_mean": 0.01 * number,
         "low": 0.1, "high": 0.2}
        for number, (split, name) in enumerate(itertools.product(splits, networks), 10)
    ]  # fmt: skip
    published = {"kind": "published", "contender": "P", "split": "any", "accuracy_mean": 0.9}
    return pd.DataFrame([*rows, {**published, "note": "n"}])


@pytest.mark.parametrize("name", ["any", "Classifier", "Technique", "name", "index"])
def test_names_of_splits_change_nothing_but_their_headings(name):
    own, other = (models.display(compared(["random", split])) for split in (name, "x"))
    np.testing.assert_array_equal(own.to_numpy(), other.to_numpy())
    assert list(own.columns) == ["Classifier", "random", name] and len(own) == 3
    assert not (own == "–").any().any()
    rows = compared(["random", name])
    rows["name"] = models.names_of(rows)
    assert [dot.group for dot in dots(rows)].count(name) == 2
    assert f"{name} 11.0" in in_words(rows) or f"{name} 12.0" in in_words(rows)
    assert page_table(7, rows)["text_columns"] == []
