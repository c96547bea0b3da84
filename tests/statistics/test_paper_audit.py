from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_paper import audit_paper
from neuron_pruning.core.errors import UserError
from neuron_pruning.reporting.templating import fill_markdown
from neuron_pruning.statistics.paper_audit import (
    as_count,
    at_least_one_of,
    best_of,
    confusion_margins,
    flattened_alexnet,
    pairing_bounds,
    parameters,
    share_of_whole_means,
    smallest_loss_interval,
    unit_parameters,
    unpaired_p,
)
from neuron_pruning.statistics.significance import discordant_p

HOME = Path(__file__).resolve().parents[2]
PAPER, AUDIT = HOME / "resources" / "paper.yaml", HOME / "resources" / "audit.yaml"
FIGURES = yaml.safe_load(PAPER.read_text(encoding="utf-8"))


def test_the_committed_page_is_the_one_that_its_sources_give(tmp_path):
    mirrored = audit_paper(PAPER, AUDIT, tmp_path / "page.md")
    committed = (HOME / "docs" / "PAPER_AUDIT.md").read_text(encoding="utf-8")
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == committed, (
        "docs/PAPER_AUDIT.md is stale; run the rule audit_paper"
    )
    assert mirrored.metrics["contradictions"] == committed.count(".**\n\n> “")


def test_every_table_of_the_page_is_whole():
    lines = (HOME / "docs" / "PAPER_AUDIT.md").read_text(encoding="utf-8").split("\n")
    bars = [line.replace(r"\|", "").count("|") if line.startswith("|") else 0 for line in lines]
    assert sum(map(bool, bars)) > 60
    assert all(a == b for a, b in pairwise(bars) if a and b)


# By hand: 31 / 135 = 22.963, 22 / 135 = 16.296, 25 / 135 = 18.519, 145 / 540 = 26.852
@pytest.mark.parametrize(
    ("share", "images", "right", "fit"),
    [
        (0.2296, 135, 31, "rounded"),
        (0.1629, 135, 22, "truncated"),
        (0.1630, 135, 22, "rounded"),
        (0.1851, 135, 25, "truncated"),
        (0.1852, 135, 25, "rounded"),
        (0.2685, 540, 145, "rounded"),
        (0.2300, 135, 31, "none"),
        (0.0, 135, 0, "rounded"),
        (1.0, 135, 135, "rounded"),
    ],
)
def test_counts_behind_shares(share, images, right, fit):
    count = as_count(share, images)
    assert (count.right, count.fit) == (right, fit)
    assert count.error == pytest.approx(share - right / images)
    assert count.interval[0] <= count.share <= count.interval[1]


@given(st.integers(1, 700).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_rounded_count_is_found_again(count):
    right, images = count
    found = as_count(round(right / images, 4), images)
    assert (found.right, found.fit) == (right, "rounded")


def test_a_third_of_the_means_of_three_print_like_whole_counts():
    """136 of 406 multiples of 1/405 are multiples of 1/135; no other prints like one."""
    assert share_of_whole_means(135, 3) == pytest.approx(136 / 406)
    assert share_of_whole_means(540, 3) == pytest.approx(541 / 1621)
    assert share_of_whole_means(135, 1) == 1
    assert share_of_whole_means(2, 3, digits=0) == 1  # printed as 0 or 1, all look whole
    odds = 1 / (share_of_whole_means(135, 3) * share_of_whole_means(540, 3)) ** 8
    assert 3.9e7 < odds < 3**16


def test_all_of_table_1_are_whole_counts():
    fits = [
        as_count(row[f"{part}_accuracy"], images).fit
        for row in FIGURES["table1"]
        for part, images in (("train", 540), ("test", 135))
    ]
    assert sorted(fits) == 15 * ["rounded"] + ["truncated"]


def test_bounds_of_pairs_by_hand():
    """31 to 20 of 135: 11 lost and none gained, or 31 lost and 20 gained."""
    assert pairing_bounds(31, 20, 135) == pytest.approx((2 / 2**11, discordant_p(31, 20)))
    assert pairing_bounds(31, 30, 135)[0] == 1
    assert pairing_bounds(9, 10, 10) == (1, 1)  # one image is free, nine predictions are fixed


@given(st.integers(1, 12), st.data())
def test_bounds_hold_for_every_pairing(images, data):
    predictions = st.lists(st.booleans(), min_size=images, max_size=images)
    first, second = np.array(data.draw(predictions)), np.array(data.draw(predictions))
    low, high = pairing_bounds(int(first.sum()), int(second.sum()), images)
    p = discordant_p(int((first & ~second).sum()), int((second & ~first).sum()))
    assert low <= p <= high
    assert (low, high) == pairing_bounds(int(second.sum()), int(first.sum()), images)


def test_other_tests_by_hand():
    assert unpaired_p(2, 0, 2) == pytest.approx(2 / 6)
    assert at_least_one_of(4, 4, 0.5, 2) == pytest.approx(2 / 16)
    assert at_least_one_of(0, 4, 0.5, 2) == 1
    low, high = smallest_loss_interval(1, 135)
    assert 1 - (1 - low) ** 135 == pytest.approx(0.025)  # one loss or more
    assert (1 - high) ** 135 + 135 * high * (1 - high) ** 134 == pytest.approx(0.025)


def test_the_best_of_equals():
    """Two fair coins of one toss: the larger count is 1 three times of four."""
    best = best_of([1, 0], 1)
    assert (best.best, best.mean, best.expected) == (1, 0.5, pytest.approx(0.75))
    assert best_of([30, 30], 135).p_alike == pytest.approx(1)
    assert best_of([60, 20], 135).p_alike < 1e-6


def printed(values):
    return [round(v + 1e-12, 2) for v in values]


@settings(max_examples=25)
@given(st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=3, max_size=3))
def test_a_real_confusion_matrix_is_possible(rows):
    matrix = np.array(rows) + np.eye(3, dtype=int)
    right, of_class, predictions = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    figures = printed(right / predictions), printed(right / of_class)
    margins = tuple(zip(right, of_class, predictions, strict=True))
    for printing in ("rounded", "either"):
        assert margins in set(confusion_margins(*figures, int(matrix.sum()), printing))


def test_margins_by_hand():
    """Of three images, recalls 0.5 and 1 and precisions 1 and 0.5 leave one matrix."""
    assert list(confusion_margins([1.0, 0.5], [0.5, 1.0], 3)) == [((1, 2, 1), (1, 1, 2))]
    assert list(confusion_margins([1.0, 1.0], [0.5, 1.0], 3)) == []
    assert list(confusion_margins([0.0, 0.5], [0.0, 1.0], 2)) == [((0, 1, 0), (1, 1, 2))]


def test_cut_figures_need_leave():
    """2 of 3 is 0.67 rounded and 0.66 cut."""
    assert list(confusion_margins([0.66], [0.66], 3)) == []
    assert list(confusion_margins([0.66], [0.66], 3, "either")) == [((2, 3, 3),)]
    assert list(confusion_margins([0.67], [0.67], 3)) == [((2, 3, 3),)]


@pytest.mark.parametrize(("model", "right"), [("alexnet", {31, 32}), ("vgg", {29})])
def test_tables_2_and_3(model, right):
    published = FIGURES["classes"][model]
    figures = [list(published[metric].values()) for metric in ("precision", "recall")]
    assert not list(confusion_margins(*figures, 135))
    assert {sum(r for r, _, _ in m) for m in confusion_margins(*figures, 135, "either")} == right


def test_sizes_by_hand():
    assert [flattened_alexnet(576, 720, stride) for stride in (3, 4, 5)] == [5120, 3072, 1536]
    small = {"convolutions": [[2, 3, 1]], "flattened": 8, "widths": [5, 4, 3], "pruned": 4}
    assert parameters(small) == (2 * 9 + 2) + (8 * 5 + 5) + (5 * 4 + 4) + (4 * 3 + 3)
    assert unit_parameters(small) == 5 + 1 + 3
    assert parameters(FIGURES["networks"]["alexnet"]) == pytest.approx(19.15e6, abs=5e3)
    assert parameters(FIGURES["networks"]["vgg"]) == pytest.approx(164.10e6, abs=5e3)


def test_fixed_sentences_of_the_page_hold():
    """Sentences of the template that are not computed where they stand."""
    best = {"alexnet": 0.2296, "vgg": 0.2148}
    for row in FIGURES["table4"]:
        assert row["before"] == best[row["model"]] > row["after"]
        assert row["removed"] > {15: 90, 10: 50, 5: 50}[row["angle"]]
    for model, published in FIGURES["classes"].items():
        assert round(best[model], 2) == published["accuracy"]
        recall = list(published["recall"].values())
        assert np.mean(recall) == pytest.approx(published["accuracy"])
    text = (HOME / "docs" / "PAPER_AUDIT.md").read_text(encoding="utf-8")
    for claim in (
        "once in 41 million times",
        "5 of the 6 numbers of removed units are odd",
        "Of the sets of Table 2 none has the class sizes of one of Table 3",
        "31 → 20",
        "(p = 0.14 and 0.26)",
        "The selected cells have the highest test accuracy",
    ):
        assert claim in " ".join(text.split())


def changed(tmp_path, change):
    findings = yaml.safe_load(AUDIT.read_text(encoding="utf-8"))
    change(findings)
    path = tmp_path / "audit.yaml"
    path.write_text(yaml.safe_dump(findings), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.pop("conclusions"), "lacks conclusions"),
        (lambda f: f["conclusions"][1].pop("verdict"), "number 2 of conclusions lacks verdict"),
        (lambda f: f["contradictions"][0].update(weight="heavy"), "'heavy' .* is no weight"),
    ],
)
def test_findings_that_cannot_be_shown_are_refused(tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        audit_paper(PAPER, changed(tmp_path, change), tmp_path / "page.md")
    assert not (tmp_path / "page.md").exists()


def test_missing_and_broken_sources_are_named(tmp_path):
    with pytest.raises(UserError, match=r"gone\.yaml does not exist"):
        audit_paper(tmp_path / "gone.yaml", AUDIT, tmp_path / "page.md")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [", encoding="utf-8")
    with pytest.raises(UserError, match=r"broken\.yaml is not valid YAML"):
        audit_paper(PAPER, broken, tmp_path / "page.md")


def test_new_findings_reach_the_page(tmp_path):
    path = changed(tmp_path, lambda f: f["conclusions"][0].update(runs="Seventeen | percent."))
    audit_paper(PAPER, path, tmp_path / "page.md")
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "Seventeen | percent." in page and page.index("## 8.") < page.index("Seventeen")


def test_lines_of_the_page():
    text = "## A long heading that stays\n\none\ntwo three\n\n- four\n  five\n- six\n\n> as  it\n"
    wanted = "## A long heading that stays\n\none two\nthree\n\n- four\n  five\n- six\n\n> as  it\n"
    assert fill_markdown(text, 8) == wanted
    assert fill_markdown("left-hand side", 9) == "left-hand\nside\n"


def test_a_bar_in_a_cell_does_not_end_it(tmp_path):
    path = changed(tmp_path, lambda f: f["unstated"][0].update(what="a | b"))
    audit_paper(PAPER, path, tmp_path / "page.md")
    assert r"| a \| b |" in (tmp_path / "page.md").read_text(encoding="utf-8")
