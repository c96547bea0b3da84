import numpy as np
import pandas as pd
import pytest

from neuron_pruning.statistics.resampling import Resampling, packed
from neuron_pruning.statistics.significance import corrected_t, deviations_needed, majority_share
from neuron_pruning.statistics.technique_comparison import (
    compensation_table,
    of_all_seeds,
    per_seed,
    with_reference,
)
from neuron_pruning.statistics.technique_comparison import ranking as ranked
from neuron_pruning.statistics.technique_intervals import free_units
from neuron_pruning.tables import compensations, techniques

IMAGES = 100


def ranking(points, counts, clip=1, seeds=(0, 1)):
    """Table 5 of test images that lie in clips of ``clip`` frames; each seed tests others."""
    clips = {seed: np.arange(IMAGES) // clip + seed * IMAGES for seed in seeds}
    return ranked(points, counts, Resampling(clips))


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
        "test_images": IMAGES,
        "correct": packed(np.arange(IMAGES) < round(IMAGES * accuracy)),
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
    table = ranking(sample(), [2, 4])
    row = row_of(table, "l2", "none", 4)
    # Seed 0: 0.4 - 0.31; seed 1: 0.3 - 0.31.
    assert row["difference_mean"] == pytest.approx(0.04)
    assert row["difference_std"] == pytest.approx(np.std([0.09, -0.01], ddof=1))
    assert row["seeds"] == 2 and row["reference"] == "none"
    assert row_of(table, "l2", "lstsq", 4)["difference_mean"] == pytest.approx(0.1)


def test_differences_are_tested_on_the_images_and_corrected_for_the_family():
    table = ranking(sample(), [2, 4])
    found = row_of(table, "l2", "lstsq", 4)  # 10 images of each seed better, none worse
    # Three lines but random removal; 20 images turned round: p is 2 / 2 ** 20, below what is drawn.
    assert found["tests"] == 3 and found["p"] == pytest.approx(3 / 20_000)
    assert found["smallest_p"] == pytest.approx(3 / 20_000)
    assert 0.03 < found["difference_low"] < 0.1 < found["difference_high"] < 0.2
    assert table[table["technique"] == "random"]["p"].isna().all()
    shown = techniques.display(table).set_index(["Technique", "Compensation"])
    assert shown.loc[("l2", "lstsq"), "4"] == "60.0 ± 0.0 (+10.0*)"


def test_a_family_counts_what_cannot_remove_so_many():
    rows = sample()
    short = rows[~((rows["technique"] == "merge") & (rows["removed"] == 4))]
    found = row_of(ranking(short, [2, 4]), "l2", "lstsq", 4)
    assert found["tests"] == 3 and found["p"] == pytest.approx(3 / 20_000)


def test_frames_of_one_clip_are_one_image_to_the_test():
    rows = sample()
    found = row_of(ranking(rows, [2, 4], clip=10), "l2", "lstsq", 4)  # one clip of each seed
    assert found["smallest_p"] == 1.0 and found["p"] == 1.0
    alone = row_of(ranking(rows, [2, 4]), "l2", "lstsq", 4)
    width, narrow = (f["difference_high"] - f["difference_low"] for f in (found, alone))
    assert width > 2 * narrow
    shown = techniques.display(ranking(rows, [2, 4], clip=10)).set_index(
        ["Technique", "Compensation"]
    )
    assert shown.loc[("l2", "lstsq"), "4"] == "60.0 ± 0.0 (+10.0†)"


def test_losses_have_intervals_around_them():
    table = ranking(sample(), [2, 4])
    found = row_of(table, "random", "none", 4)  # 51 % before, 30 and 32 % after
    assert found["loss"] == pytest.approx(0.2)
    assert found["loss_low"] < 0.17 < 0.2 < 0.23 < found["loss_high"]
    kept = row_of(table, "random", "lstsq", 4)
    assert (kept["loss"], kept["loss_low"], kept["loss_high"]) == (0, 0, 0)


def test_what_random_removal_cannot_have_is_compared_with_bare_random_removal():
    found = with_reference(per_seed(sample()))
    row = row_of(found, "merge", "add", 4)
    assert row["reference"] == "none" and row["difference"] == pytest.approx(0.55 - 0.31)


def test_ranks_go_by_mean_accuracy_over_the_counts():
    table = ranking(sample(), [2, 4])
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
    table = ranking(short, [2, 4])
    assert table[table["technique"] == "merge"]["rank"].isna().all()
    assert table[table["technique"] == "l2"]["rank"].notna().all()


def test_what_only_some_seeds_reach_is_left_out():
    rows = sample()
    late = (rows["technique"] == "merge") & (rows["removed"] == 4) & (rows["seed"] == 1)
    table = ranking(rows[~late], [2, 4])
    merged = table[table["technique"] == "merge"]
    assert merged["removed"].tolist() == [2] and merged["rank"].isna().all()
    assert merged["free_units"].tolist() == [2]


def test_free_units_stop_at_the_first_loss_of_a_point():
    accuracies = [0.5] * 50 + [0.48] + [0.5] * 29 + [0.3] * 15 + [0.6] * 5
    rows = pd.DataFrame([point("l2", "none", n, a) for n, a in enumerate(accuracies)])
    # One image less at 50 is chance; from 80 on accuracy is lost, and seen from 78 on.
    found = free_units(rows, of_all_seeds(per_seed(rows)), Resampling({0: np.arange(IMAGES)}))
    assert found["free_units"].tolist() == [77]
    assert found["free_low"].item() < 77 <= found["free_high"].item()


def test_table5_shows_own_and_least_squares_and_the_controls():
    table = ranking(sample(), [2, 4])
    table = pd.concat([table, techniques.majority_rows(table, (0.148, 0.01))], ignore_index=True)
    shown = techniques.display(table)
    assert shown["Technique"].tolist()[0] == "l2"
    assert shown["Technique"].tolist()[-1] == "majority class"
    line = shown[(shown["Technique"] == "l2") & (shown["Compensation"] == "none")].iloc[0]
    assert line["4"] == "35.0 ± 7.1 (+4.0*)" and line["Free"].startswith("0 [0, ")
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


def test_table6_corrects_for_all_that_is_compared_at_an_angle():
    """The family is stated: compensations and epochs of an angle, where units are removed."""
    accuracies = {("add", 0): (0.3, 0.31), ("add", 5): (0.3, 0.3), ("lstsq", 0): (0.4, 0.3)}
    points = pd.DataFrame(
        [
            compensated(name, angle, epochs, value, seed, removed=2 if angle == 15 else 0)
            for angle in (15.0, 5.0)
            for name, epochs in [("none", 0), ("none", 5), *accuracies, ("lstsq", 5)]
            for seed, value in enumerate(accuracies.get((name, epochs), (0.2, 0.2)))
        ]
    )
    table = compensation_table(points, 0.25)
    at = table.set_index(["angle", "compensation", "fine_tuning"])
    raw = corrected_t([0.1, 0.11], 0.25).p
    # Four tests: one has no p (its seeds agree exactly), which makes the family no smaller.
    assert at.loc[(15, "add", 0), "p"] == pytest.approx(4 * raw)
    assert np.isnan(at.loc[(15, "add", 5), "p"]) and at.loc[(15, "add", 5), "tests"] == 4
    assert at.loc[(15, "add", 5), "needed"] == deviations_needed(2, 0.25, 4)
    assert at.sort_index().loc[(15, "none"), "p"].isna().all()
    assert at.sort_index().loc[5, "tests"].isna().all()  # nothing is removed: nothing is tested


def test_table6_says_how_large_a_difference_must_be():
    needed = deviations_needed(2, 0.25, 4)
    below, above = (
        corrected_t([d - 1, d + 1], 0.25).p for d in needed * 2**0.5 * np.array([0.99, 1.01])
    )
    assert 4 * above < 0.05 < 4 * below
    assert f"exceeds {needed:.1f} of its standard deviations" in compensations.power_in_words(
        needed
    )
    assert compensations.power_in_words(np.nan).startswith(" There is no test")
