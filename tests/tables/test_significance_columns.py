"""Intervals and tests in Tables 1, 4 and 8."""

import pandas as pd
import pytest

from make_table import make_table
from neuron_pruning.core.parquet import CELL, write_rows
from neuron_pruning.pruning.selection import RULES
from neuron_pruning.statistics.significance import discordant_p, wilson_of_mean
from neuron_pruning.tables import grid, per_class
from neuron_pruning.tables import pruning as pruning_table
from neuron_pruning.tables.pruning import summarise, with_tests
from neuron_pruning.tables.svm import SVM_METRICS, display, svm_rows

IMAGES = 40


def pruning(angle, seed, lost, gained, right=30, state="trained"):
    """Metrics of one pruning that loses ``lost`` of ``right`` predictions and gains ``gained``."""
    after = right - lost + gained
    return {
        **dict.fromkeys(CELL, "x"),
        "learning_rate": 0.1,
        "batch_size": 8,
        "seed": seed,
        "state": state,
        "layer": "fc3",
        "technique": "distinctiveness",
        "compensation": "add",
        "fine_tuning": 0,
        "angle": angle,
        "count": None,
        "units_before": 20,
        "units_after": 10,
        **{f"removed_{rule}": 2 for rule in RULES},
        "test_images": IMAGES,
        "test_accuracy_before": right / IMAGES,
        "test_accuracy_after": after / IMAGES,
        "parameters_after": 10,
        "multiply_adds_after": 10,
        "lost": lost,
        "gained": gained,
    }


def judged(*prunings):
    rows = pd.DataFrame(prunings).astype({"angle": float, "count": float})
    return with_tests(summarise(rows), rows, 0.25)


def test_pruning_is_tested_on_the_answers_that_changed():
    table = judged(*(pruning(15, s, 20, 0) for s in (0, 1)), *(pruning(5, s, 2, 1) for s in (0, 1)))
    wide, narrow = table.iloc[0], table.iloc[1]
    assert (wide["angle"], wide["seeds_worse"], wide["seeds_better"]) == (15, 2, 0)
    assert wide["p_images"] == pytest.approx(4 * discordant_p(0, 20))  # Holm over four tests
    assert (narrow["seeds_worse"], narrow["p_images"]) == (0, 1.0)
    assert (wide["low"], wide["high"]) == pytest.approx(wilson_of_mean([10 / IMAGES], IMAGES))


def test_the_same_change_counts_less_among_more_tests():
    alone = judged(pruning(15, 0, 6, 0))
    among = judged(*(pruning(angle, 0, 6, 0) for angle in (15, 10, 5)))
    assert alone["seeds_worse"].tolist() == [1] and alone["p_images"].iloc[0] == pytest.approx(
        1 / 32
    )
    assert among["seeds_worse"].sum() == 0


def test_prunings_that_remove_nothing_are_no_tests():
    nothing = [{**pruning(angle, 0, 0, 0), "units_after": 20} for angle in (10, 5)]
    found = judged(pruning(15, 0, 6, 0), *nothing)
    assert found["p_images"].tolist() == pytest.approx([1 / 32, 1, 1])
    tuned = [{**row, "fine_tuning": 5} for row in nothing]  # trained further: another network
    assert judged(pruning(15, 0, 6, 0), *tuned)["p_images"].max() == 1
    assert judged(pruning(15, 0, 6, 0), *tuned)["p_images"].min() == pytest.approx(3 / 32)


def test_units_counted_out_pair_with_their_own_rows():
    counted = {**pruning(None, 0, 12, 0), "count": 10}
    table = judged(pruning(15, 0, 0, 0), counted)
    by_count = table[table["count"] == 10].iloc[0]
    assert by_count["seeds_worse"] == 1 and table[table["angle"] == 15]["seeds_worse"].item() == 0


def svm_metrics():
    """Metrics of two seeds of one SVM with two classes."""
    rows = []
    for seed, shift in ((0, 0.0), (1, 0.1)):
        figures = {"precision": 0.5, "recall": 0.4, "specificity": 0.8}
        keys = {"experiment": "e", "baseline": "images", "split": "movie", "seed": seed}
        for name in ("Angry", "Sad"):
            rows += [
                {**keys, "part": "test", "class": name, "metric": metric, "value": value + shift}
                for metric, value in figures.items()
            ]
        rows.append({**keys, "part": "test", "class": "all", "metric": "accuracy", "value": 0.45})
        rows.append({**keys, "part": "train", "class": "all", "metric": "accuracy", "value": 0.99})
        rows.append({**keys, "part": "train", "class": "all", "metric": "c", "value": 2.0})
    return pd.DataFrame(rows).assign(images=IMAGES)


def test_table8_stands_class_by_class_beside_the_published_values():
    theirs = {"accuracy": 0.19, "recall": {"Angry": 0.21, "Sad": 0.16}}
    table = svm_rows(svm_metrics(), theirs)
    recall = table[(table["metric"] == "recall") & (table["class"] == "Sad")].iloc[0]
    assert recall["mean"] == pytest.approx(0.45) and recall["seeds"] == 2
    assert set(table["metric"]) == set(SVM_METRICS)
    shown = display(table)
    assert shown["Metric"].tolist() == ["Precision", "Recall", "Specificity", "Recall"]
    assert shown["Accuracy"].iloc[0] == "45.0 ± 0.0 [31, 60]"
    assert shown.iloc[-1].tolist() == [
        *("Dhall et al. 2011", "person-independent", "19.0", "Recall", "0.21", "0.16")
    ]


def test_table8_of_other_classes_has_no_published_row(tmp_path):
    rows = svm_metrics().replace({"Angry": "cat", "Sad": "dog"})
    from neuron_pruning.evaluation.baseline import SVM_METRICS_SCHEMA

    path, published = tmp_path / "m.parquet", tmp_path / "p.yaml"
    write_rows(path, rows.assign(crop="face").to_dict("records"), SVM_METRICS_SCHEMA)
    published.write_text("{accuracy: 0.19, recall: {Angry: 0.21}}")
    text = tmp_path / "t.md"
    make_table("svm", tmp_path / "table8.parquet", [text], metrics=[path], baseline=published)
    text = text.read_text()
    assert (
        text.startswith("Table 8. SVMs by class")
        and "| dog" in text
        and "Dhall et al. 2011 |" not in text
    )


PAPER = {
    "table1": [{"model": "vgg", "learning_rate": 0.1, "batch_size": 8, "test_accuracy": 0.25,
                "train_accuracy": 0.5}],
    "classes": {"vgg": {"accuracy": 0.2, "precision": {"Emotion": 0.1, "Sad": 0.3},
                        "recall": {"Emotion": 0.1, "Sad": 0.3}}},
    "table4": [{"model": "vgg", "angle": 15, "units": 20, "removed": 9, "before": 0.25,
                "after": 0.125}],
}  # fmt: skip


def three_tables(labels, paper):
    """Display, caption and Parquet values of Tables 1, 2 and 4 of a network ``vgg``."""
    splits = pd.DataFrame({"label": labels, "split": "x", "seed": 0, "part": ["train", "test"]})
    cell = {**dict.fromkeys(CELL, "x"), "model": "vgg", "learning_rate": 0.1, "batch_size": 8}
    grid_row = {**cell, "seeds": 1, "test_images": 9, "selected": True, "selected_on": "test",
                "best_on_test": True, "best_on_validation": False}  # fmt: skip
    for part in ("train", "validation", "test"):
        grid_row |= {f"{part}_accuracy_mean": 0.5, f"{part}_accuracy_std": None}
    metrics = [{**cell, "seed": 0, "part": "test", "class": name, "metric": metric, "value": 0.5,
                "images": 9} for metric, names in
               (("precision", labels), ("recall", labels), ("accuracy", ["all"]))
               for name in names]  # fmt: skip
    pruned = pd.DataFrame([{**pruning(15, 0, 2, 0), **cell}])
    yield grid.TABLE, grid.grid_rows(pd.DataFrame([grid_row]), splits, paper)
    yield per_class.TABLE, per_class.class_rows(pd.DataFrame(metrics), paper)
    yield pruning_table.TABLE, pruning_table.pruning_rows(pruned, splits, paper)


@pytest.mark.parametrize(
    ("labels", "paper", "beside"),
    [
        (["Emotion", "Sad"], PAPER, True),
        (["Emotion", "dog"], PAPER, False),
        (["Emotion", "Sad"], None, False),  # drawn faces
    ],
)
def test_the_papers_figures_stand_beside_its_own_classes_alone(labels, paper, beside):
    for table, rows in three_tables(labels, paper):
        own = [name for name in rows if name.startswith("paper")]
        assert own and rows[own].notna().any(axis=None) == beside
        shown, caption = table.display(rows), table.caption(rows)
        cells = [*shown.columns, *shown.iloc[:, 0]]
        assert any("paper" in str(cell).lower() for cell in cells) == beside
        assert ("paper" in caption) == beside


@pytest.mark.parametrize("paper", [PAPER, None])
def test_a_class_of_the_name_of_a_heading_keeps_its_column(paper):
    name = "Emotion" if paper else "Metric"
    labels = [name, "Sad"]
    _, (table, rows), _ = three_tables(labels, paper)
    shown = table.display(rows)
    assert list(shown.columns) == [name, name, "Sad"]
    assert {"Precision", "Recall", "Accuracy"} <= set(shown.iloc[:, 0])
