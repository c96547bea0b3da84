"""Table 10: differences from random removal, paired by image and draw."""

import numpy as np
import pandas as pd
import pytest

from neuron_pruning.statistics.resampling import packed
from neuron_pruning.tables.networks import TABLE

IMAGES = 200


def point(technique, draw, right, budget=0.5, labelled=True):
    share = float(right.mean())
    return {
        "network": "mine", "draw": draw, "budget": budget, "technique": technique,
        "compensation": "lstsq", "batch_norm": "keep", "order": "parallel", "removed": 3,
        "parameters": 0.6, "multiply_adds": 0.5, "agreement": share,
        "accuracy": share if labelled else None, "accuracy_before": 0.9 if labelled else None,
        "images": IMAGES, "correct": packed(right),
    }  # fmt: skip


def points(shares, **options):
    """Techniques that get so large a share of the images right, in two draws."""
    rng = np.random.default_rng(0)
    rows = [
        point(technique, draw, rng.random(IMAGES) < share, **options)
        for technique, share in shares.items()
        for draw in range(2)
    ]
    return pd.DataFrame(rows)


def by_technique(found):
    return TABLE.rows(found).set_index("technique").loc


def test_a_difference_is_that_of_the_means_and_lies_in_its_interval():
    found = points({"l1": 0.8, "variance": 0.5, "random": 0.5})
    rows, means = by_technique(found), found.groupby("technique")["accuracy"].mean()
    for name in ("l1", "variance"):
        row = rows[name]
        assert row["difference"] == pytest.approx(means[name] - means["random"], abs=1e-6)
        assert row["difference_low"] < row["difference"] < row["difference_high"]
    assert rows["l1"]["p"] < 0.001 and rows["variance"]["p"] > 0.05
    assert pd.isna(rows["random"]["difference"])


def test_p_values_are_corrected_for_all_lines_of_a_network():
    alone = by_technique(points({"l1": 0.56, "random": 0.5}))["l1"]
    rng = np.random.default_rng(0)
    found = points({"l1": 0.56, "random": 0.5})
    more = [
        point(f"other{n}", draw, rng.random(IMAGES) < 0.5) for n in range(4) for draw in range(2)
    ]
    beside = by_technique(pd.concat([found, pd.DataFrame(more)]))["l1"]
    assert alone["tests"] == 1 and beside["tests"] == 5
    assert beside["p"] >= alone["p"]


def test_without_labels_the_agreement_is_shown():
    shown = TABLE.display(TABLE.rows(points({"l1": 1.0, "random": 0.0}, labelled=False)))
    assert shown["Network"].tolist() == ["mine", "mine"]
    assert shown["0.5"].tolist() == ["100.0 ± 0.0 (+100.0 [+100.0, +100.0])*", "0.0 ± 0.0"]


def test_a_size_that_a_network_does_not_reach_has_a_dash():
    both = pd.concat([points({"l1": 0.8, "random": 0.5}), points({"random": 0.4}, budget=0.25)])
    shown = TABLE.display(TABLE.rows(both)).set_index("Technique")
    assert shown.loc["l1", "0.25"] == "–" and shown.loc["random", "0.25"] != "–"
