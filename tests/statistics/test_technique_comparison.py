import numpy as np
import pandas as pd
import pytest

from neuron_pruning.statistics.significance import corrected_t, majority_share
from neuron_pruning.statistics.technique_comparison import (
    compensation_table,
    free_units,
    per_seed,
    ranking,
    with_reference,
)
from neuron_pruning.tables import compensations, techniques

NETWORK = {
    "experiment": "e",
    "split": "random",
    "crop": "none",
    "recipe": "r",
    "model": "alexnet",
    "learning_rate": 0.1,
    "batch_size": 8,
    "state": "trained",
    "layer": "fc3",
}


def point(technique, compensation, removed, accuracy, seed=0, draw=0, default="none", angle=np.nan):
    return {
        **NETWORK,
        "technique": technique,
        "default_compensation": default,
        "compensation": compensation,
        "removed": removed,
        "seed": seed,
        "draw": draw,
        "angle": angle,
        "test_accuracy": accuracy,
        "test_loss": 1.0,
        "agreement": 1.0,
        "divergence": 0.0,
    }


def sample(between_seeds=0.1):
    rows = []
    for seed in (0, 1):
        for removed in (0, 2, 4):
            lost = 0.05 * removed
            for draw in (0, 1):
                rows.append(point("random", "none", removed, 0.5 - lost + 0.02 * draw, seed, draw))
                rows.append(point("random", "lstsq", removed, 0.5, seed, draw))
            rows.append(point("l2", "none", removed, 0.5 - lost / 2 - between_seeds * seed, seed))
            rows.append(point("l2", "lstsq", removed, 0.6, seed))
            rows.append(point("merge", "add", removed, 0.55, seed, default="add"))
    rows.append(point("merge", "add", 3, 0.9, default="add", angle=15.0))  # by angle: not counted
    return pd.DataFrame(rows)


def row_of(table, technique, compensation, removed):
    chosen = (table["technique"] == technique) & (table["compensation"] == compensation)
    return table[chosen & (table["removed"] == removed)].iloc[0]


def test_draws_are_averaged_before_seeds():
    found = per_seed(sample())
    assert row_of(found, "random", "none", 4)["test_accuracy"] == pytest.approx(0.31)
    assert not (found["removed"] == 3).any()


def test_differences_are_paired_by_seed_and_compensation():
    table = ranking(sample(), [2, 4], 0.25)
    row = row_of(table, "l2", "none", 4)
    # Seed 0: 0.4 - 0.31; seed 1: 0.3 - 0.31.
    assert row["difference_mean"] == pytest.approx(0.04)
    assert row["difference_std"] == pytest.approx(np.std([0.09, -0.01], ddof=1))
    assert row["seeds"] == 2 and row["reference"] == "none"
    assert row_of(table, "l2", "lstsq", 4)["difference_mean"] == pytest.approx(0.1)


def test_differences_are_tested_over_seeds_and_corrected():
    table = ranking(sample(between_seeds=0.01), [2, 4], 0.25)
    rows = table[table["removed"] == 4]
    raw = corrected_t([0.09, 0.08], 0.25).p
    # Third of five: two others differ alike on every seed, the two of random not at all.
    assert 3 * raw < 1
    assert row_of(table, "l2", "none", 4)["p"] == pytest.approx(3 * raw)
    equal = (rows["technique"] == "random") & (rows["compensation"] == "lstsq")
    assert rows[equal]["p"].tolist() == [1.0]


def test_what_random_removal_cannot_have_is_compared_with_bare_random_removal():
    found = with_reference(per_seed(sample()))
    row = row_of(found, "merge", "add", 4)
    assert row["reference"] == "none" and row["difference"] == pytest.approx(0.55 - 0.31)


def test_ranks_go_by_mean_accuracy_over_the_counts():
    table = ranking(sample(), [2, 4], 0.25)
    order = table.drop_duplicates(["technique", "compensation"])
    assert list(zip(order["technique"], order["compensation"], strict=True))[:3] == [
        ("l2", "lstsq"),
        ("merge", "add"),
        ("random", "lstsq"),
    ]
    assert order["rank"].tolist() == [1, 2, 3, 4, 5]


def test_who_cannot_remove_so_many_has_no_rank():
    rows = sample()
    short = rows[~((rows["technique"] == "merge") & (rows["removed"] == 4))]
    table = ranking(short, [2, 4], 0.25)
    assert table[table["technique"] == "merge"]["rank"].isna().all()
    assert table[table["technique"] == "l2"]["rank"].notna().all()


def test_what_only_some_seeds_reach_is_left_out():
    rows = sample()
    late = (rows["technique"] == "merge") & (rows["removed"] == 4) & (rows["seed"] == 1)
    table = ranking(rows[~late], [2, 4], 0.25)
    merged = table[table["technique"] == "merge"]
    assert merged["removed"].tolist() == [2] and merged["rank"].isna().all()
    assert merged["free_units"].tolist() == [2]


def test_free_units_stop_at_the_first_loss_of_a_point():
    accuracies = [0.5] * 50 + [0.48] + [0.5] * 29 + [0.3] * 15 + [0.6] * 5
    rows = pd.DataFrame([point("l2", "none", n, a) for n, a in enumerate(accuracies)])
    # One image less at 50 is chance; from 80 on accuracy is lost, and seen from 78 on.
    assert free_units(per_seed(rows))["free_units"].tolist() == [77]


def test_table5_shows_own_and_least_squares_and_the_controls():
    table = ranking(sample(), [2, 4], 0.25)
    table = pd.concat([table, techniques.majority_rows(table, (0.148, 0.01))], ignore_index=True)
    shown = techniques.display(table)
    assert shown["Technique"].tolist()[0] == "l2"
    assert shown["Technique"].tolist()[-1] == "majority class"
    line = shown[(shown["Technique"] == "l2") & (shown["Compensation"] == "none")].iloc[0]
    assert line["4"] == "35.0 ± 7.1 (+4.0)"
    assert shown.iloc[-1]["4"] == "14.8 ± 1.0"


def compensated(compensation, angle, epochs, accuracy, seed=0, removed=2):
    return {
        **NETWORK,
        "seed": seed,
        "units": 10,
        "compensation": compensation,
        "angle": angle,
        "fine_tuning": epochs,
        "removed": removed,
        "test_accuracy_before": 0.5,
        "test_accuracy_after": accuracy,
        "random_accuracy": 0.41,
        "test_loss_after": 1.0,
        "agreement": 1.0,
    }


def test_table6_pairs_with_no_compensation_and_with_random_removal():
    points = pd.DataFrame(
        [
            compensated(name, angle, epochs, accuracy + 0.1 * seed, seed)
            for seed in (0, 1)
            for angle in (15.0, 5.0)
            for epochs in (0, 5)
            for name, accuracy in (("none", 0.2), ("add", 0.3))
        ]
    )
    table = compensation_table(points, 0.25)
    row = table[(table["compensation"] == "add") & (table["angle"] == 15)].iloc[0]
    assert row["difference_mean"] == pytest.approx(0.1)
    assert row["random_difference_mean"] == pytest.approx(0.35 - 0.41)
    shown = compensations.display(table)
    assert list(shown.columns[-2:]) == ["After", "After, 5 epochs more"]
    assert shown["Angle"].tolist() == ["15°", "15°", "5°", "5°"]
    assert shown["Compensation"].tolist() == ["none", "add", "none", "add"]


def test_table6_says_once_where_nothing_goes():
    points = pd.DataFrame(
        [compensated(name, 15.0, 0, 0.5, removed=0) for name in ("none", "add", "lstsq")]
    )
    shown = compensations.display(compensation_table(points, 0.25))
    assert shown["Compensation"].tolist() == ["any: nothing goes"]


def test_majority_class_is_chosen_on_the_training_part():
    rows = pd.DataFrame(
        {"part": ["train"] * 3 + ["test"] * 4, "label": ["a", "a", "b", "a", "b", "b", "b"]}
    )
    assert majority_share([rows])[0] == 0.25
