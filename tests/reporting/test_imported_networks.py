"""The page of networks that were trained elsewhere."""

import numpy as np
import pandas as pd
import pytest

from neuron_pruning.reporting.imported_networks import lines, page_context
from neuron_pruning.reporting.templating import render
from neuron_pruning.statistics.resampling import packed
from neuron_pruning.tables.networks import TABLE

IMAGES = 100
METHODS = [("none", "keep"), ("lstsq", "keep"), ("none", "reestimate"), ("lstsq", "reestimate")]
SHARES = {"l1": 0.7, "variance": 0.6, "random": 0.4}


def points(labelled=True):
    rng, rows = np.random.default_rng(0), []
    for technique, share in SHARES.items():
        for compensation, rule in METHODS:
            for budget in (0.75, 0.5):
                for draw in range(2):
                    gain = 0.1 * (compensation == "lstsq") + 0.1 * (rule == "reestimate")
                    right = rng.random(IMAGES) < share + gain
                    rows.append(
                        {
                            "network": "mine", "draw": draw, "budget": budget,
                            "technique": technique, "compensation": compensation,
                            "batch_norm": rule, "order": "parallel", "removed": 3,
                            "parameters": budget, "multiply_adds": budget,
                            "agreement": float(right.mean()),
                            "accuracy": float(right.mean()) if labelled else None,
                            "accuracy_before": 0.95 if labelled else None,
                            "images": IMAGES, "correct": packed(right),
                        }
                    )  # fmt: skip
    return pd.DataFrame(rows)


def context_of(found):
    config = {"experiment": "elsewhere", "networks": {"mine": {}}, "network_pruning": {}}
    return page_context(found, {10: TABLE.rows(found)}, config)


def test_the_best_method_of_each_size_stands_beside_its_own_random_removal():
    (network,) = context_of(points())["networks"]
    assert [size["row"]["budget"] for size in network["sizes"]] == [0.75, 0.5]
    for size in network["sizes"]:
        row, random = size["row"], size["random"]
        assert row["technique"] != "random" and random["technique"] == "random"
        assert all(row[name] == random[name] for name in ("budget", "compensation", "batch_norm"))
        apart = row["accuracy_mean"] - random["accuracy_mean"]
        assert row["difference"] == pytest.approx(apart, abs=1e-6)


def test_a_chart_has_every_technique_at_its_most_and_the_first_at_its_least():
    keys = [key for key, _ in lines(points(), "accuracy")]
    assert keys == [
        ("l1", "none", "keep"), ("l1", "lstsq", "reestimate"),
        ("variance", "lstsq", "reestimate"), ("random", "lstsq", "reestimate"),
    ]  # fmt: skip


@pytest.mark.parametrize("labelled", [True, False])
def test_the_page_says_what_was_measured(labelled):
    found = points(labelled)
    page = render(
        "report/networks.html.j2",
        {**context_of(found), "commit": "abc", "packages": {"torch": "2.13.0"}},
    )
    assert ("evaluation images without labels" in page) != labelled
    assert ("Accuracy against" in page) == labelled
