"""Table 7: who is compared with whom, on which images, and what the stars mean."""

import numpy as np
import pandas as pd
import pytest

from neuron_pruning.statistics.model_comparison import compare_classifiers, correct_predictions
from neuron_pruning.statistics.significance import wilson_of_mean
from neuron_pruning.tables.models import display, name_of

CLASSES = ["cat", "cow", "dog"]
TEST = 60
PUBLISHED = {
    "classes": ["dog", "cat", "cow"],
    "figures": [
        {"name": "Elsewhere", "split": "random", "accuracy": 0.3, "images": 50, "note": "a book"},
        {"name": "Untrained", "split": "any", "accuracy": 0.4, "images": None, "note": ""},
        {"name": "Other", "split": "spi", "accuracy": 0.5, "images": 10, "note": ""},
    ],
}


def parts(seeds=(0, 1), split="random"):
    """Training part with twice as many cats; test part with as many of each."""
    labels = ["cat"] * 40 + ["cow"] * 20 + ["dog"] * 20
    test = [CLASSES[n % 3] for n in range(TEST)]
    rows = [{"part": "train", "label": label} for label in labels]
    rows += [{"part": "test", "label": label} for label in test]
    return pd.DataFrame([{**row, "split": split, "seed": seed} for seed in seeds for row in rows])


def predictions(right, seeds=(0, 1), split="random", **keys):
    """Predictions of one classifier with the first ``right`` test images right."""
    rows = []
    for seed in seeds:
        for position in range(TEST):
            label = CLASSES[position % 3]
            wrong = CLASSES[(position + 1) % 3]
            rows.append(
                {
                    **dict.fromkeys(["model", "recipe", "learning_rate", "batch_size", "baseline"]),
                    "crop": "none",
                    **keys,
                    "split": split,
                    "seed": seed,
                    "part": "test",
                    "position": position,
                    "label": label,
                    "predicted": label if position < right else wrong,
                }
            )
        rows.append({**rows[-1], "part": "train", "position": 999, "predicted": "none of them"})
    return pd.DataFrame(rows)


def network(right, **keys):
    return predictions(right, model="net", recipe="plain", learning_rate=0.1, batch_size=8, **keys)


def svm(right, **keys):
    return predictions(right, baseline="images", **keys)


def compare(*predictions, divided=None, published=PUBLISHED, tried=None):
    both = correct_predictions(pd.concat(predictions, ignore_index=True))
    divided = parts() if divided is None else divided
    return compare_classifiers(both, divided, published, tried or {})


def row_of(table, name, split="random"):
    return table[(table["contender"] == name) & (table["split"] == split)].iloc[0]


def test_accuracy_is_that_of_the_test_part_with_its_interval():
    row = row_of(compare(network(45), svm(30)), "net")
    assert row["accuracy_mean"] == 0.75 and row["accuracy_std"] == 0 and row["seeds"] == 2
    assert row["test_images"] == TEST
    assert (row["low"], row["high"]) == pytest.approx(wilson_of_mean([0.75], TEST))
    assert row["recall_mean"] == pytest.approx(0.75)


def test_chance_and_the_majority_class_of_the_training_part():
    table = compare(network(45), svm(30))
    assert row_of(table, "chance")["accuracy_mean"] == pytest.approx(1 / 3)
    assert row_of(table, "majority class")["accuracy_mean"] == pytest.approx(1 / 3)
    lopsided = parts()
    lopsided.loc[(lopsided["part"] == "test") & (lopsided["label"] == "cow"), "label"] = "cat"
    table = compare(network(45), divided=lopsided)
    assert row_of(table, "majority class")["accuracy_mean"] == pytest.approx(2 / 3)


def test_p_values_are_corrected_for_the_rows_of_a_split():
    alone = row_of(compare(network(29)), "net")["p_majority"]
    both = compare(network(29), svm(20))
    assert row_of(both, "net")["p_majority"] == pytest.approx(2 * alone)
    assert row_of(both, "images")["p_majority"] > 0.5


def test_the_best_of_four_settings_pays_for_the_choice():
    fixed, chosen = (row_of(compare(network(28), tried=t), "net") for t in ({}, {"net": 4}))
    assert chosen["p_majority"] == pytest.approx(4 * fixed["p_majority"])
    assert (chosen["low"], chosen["high"]) == wilson_of_mean([28 / TEST], TEST, 1 - 0.05 / 4)
    assert chosen["low"] < fixed["low"] and chosen["high"] > fixed["high"]
    svms = compare(network(28), svm(28), tried={"net": 4})
    assert row_of(svms, "images")["low"] == fixed["low"]


def test_networks_are_paired_with_the_svm_on_the_same_images():
    table = compare(network(50), svm(30))
    row = row_of(table, "net")
    assert row["reference"] == "images" and row["difference"] == pytest.approx(20 / TEST)
    assert (row["seeds_better"], row["seeds_worse"]) == (2, 0)
    assert row["p_images"] == pytest.approx(2 * 2 * 0.5**20)  # two tests, Holm
    assert pd.isna(row_of(table, "images")["reference"])
    worse = row_of(compare(network(10), svm(30)), "net")
    assert (worse["seeds_better"], worse["seeds_worse"]) == (0, 2)


def test_ways_of_making_networks_are_corrected_for_their_number():
    networks = [
        pd.concat([network(50 + n, seeds=(0,)), network(40, seeds=(1,))]).assign(batch_size=n)
        for n in range(3)
    ]
    alone = row_of(compare(networks[0], svm(30)), "net")["p_seeds"]
    rows = compare(*networks, svm(30))
    found = rows[rows["batch_size"] == 0]["p_seeds"].item()
    assert 0.05 < alone < 0.4 and found == pytest.approx(min(1, 3 * alone))


def test_answers_pair_by_position_whatever_their_order():
    shuffled = svm(30).sample(frac=1, random_state=0)
    assert row_of(compare(network(50), shuffled), "net")["seeds_better"] == 2


def test_without_an_svm_nothing_is_paired():
    row = row_of(compare(network(50)), "net")
    assert pd.isna(row["reference"]) and row["p_majority"] < 0.05


def test_splits_stand_side_by_side():
    divided = pd.concat([parts(), parts(split="movie")])
    table = compare(network(50), svm(30), network(25, split="movie"), divided=divided)
    assert row_of(table, "net", "movie")["accuracy_mean"] == pytest.approx(25 / TEST)
    shown = display(table)
    assert list(shown.columns) == ["Classifier", "random", "movie"]
    line = shown[shown["Classifier"] == "net, plain, whole frames"].iloc[0]
    assert line["random"] == "83.3 ± 0.0 [72, 91] *" and line["movie"].startswith("41.7")
    assert not line["movie"].endswith("*")
    lines = shown.set_index("Classifier")
    assert lines.loc["SVM on LPQ and PHOG of the faces", "movie"] == "–"
    assert lines.loc["Elsewhere (published)"].tolist() == ["30.0 [19, 44]", "–"]
    assert lines.loc["Untrained (published)"].tolist() == ["40.0", "40.0"]


def test_two_cells_of_a_network_keep_their_own_rows():
    table = compare(network(50), network(30).assign(batch_size=16))
    names = display(table)["Classifier"].tolist()
    assert names[:2] == ["chance", "majority class"]
    assert {"net, plain, whole frames, 0.1 / 8", "net, plain, whole frames, 0.1 / 16"} < set(names)


def test_who_beats_an_empty_class_alone_has_no_star():
    rare = parts()
    rare.loc[(rare["part"] == "train"), "label"] = "cow"
    rare.loc[(rare["part"] == "test") & (rare["label"] == "cow"), "label"] = "dog"
    table = compare(network(22), divided=rare)
    assert row_of(table, "net")["p_majority"] < 0.001 < 0.05 < row_of(table, "net")["p_chance"]
    cell = display(table).set_index("Classifier").loc["net, plain, whole frames"].item()
    assert cell.startswith("36.7") and not cell.endswith("*")


def test_figures_from_elsewhere_need_the_same_classes_and_a_split_that_is_shown():
    table = compare(network(45))
    assert "Other" not in set(table["contender"]) and "Elsewhere" in set(table["contender"])
    foreign = compare(network(45), published={**PUBLISHED, "classes": ["cat", "dog"]})
    assert set(foreign["kind"]) == {"network", "constant"}


def test_names_say_recipe_and_crop():
    keys = {"kind": "network", "contender": "alexnet", "recipe": "r", "crop": "face"}
    assert name_of(keys) == "AlexNet, r, face crops"
    assert name_of({"kind": "constant", "contender": "chance", "recipe": np.nan}) == "chance"
