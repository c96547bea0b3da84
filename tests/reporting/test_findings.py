"""Tests of the findings and of their words: evidence, leakage, sweeps, faces."""

import html
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from neuron_pruning.reporting.contact_sheet import contact_sheet
from neuron_pruning.reporting.findings import (
    Comparison,
    after_pruning,
    against_guessing,
    against_svm,
    between_networks,
    by_selection,
    evidence,
    leakage_by_split,
    of_ways,
    on_unseen_movies,
)
from neuron_pruning.reporting.found_faces import faces_by_class, faces_found, rules_found
from neuron_pruning.reporting.panels import classifier_panels, dots, in_words
from neuron_pruning.reporting.results import Results
from neuron_pruning.reporting.templating import p_value, percentage, points, render
from neuron_pruning.statistics.model_comparison import (
    comparison_columns,
    correct_predictions,
    right_by_seed,
)
from neuron_pruning.statistics.significance import paired_over_seeds

HARD = "\N{NO-BREAK SPACE}"
CELL = {"split": "random", "crop": "none", "recipe": "plain", "learning_rate": 0.001,
        "batch_size": 16}  # fmt: skip
PROTOCOLS = {"random": "random", "spi": "movie", "movie": "movie", "mine": "group"}
ALL = ("alexnet", "vgg")
CLASSES = ("A", "B")


def plain(text):
    """What a reader sees of HTML, in one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", text)).split())


def statements(**parts):
    """Subjects and sentences of the section on evidence that has these parts alone."""
    nothing = {"guessing": [], "prunings": [], "networks": [], "svms": [], "movies": None,
               "selections": []}  # fmt: skip
    figures, data = {"classifiers": []}, {"test_images": 60, "clips": True}
    context = {"evidence": nothing | parts, "data": data, "figures": figures}
    section = render("report/evidence.html.j2", context)
    items = re.findall(r"<li><b>(.*?)</b>:(.*?)</li>", section, re.DOTALL)
    return [(plain(subject), plain(sentence)) for subject, sentence in items]


def make_results(tables=None, predictions=None, selection=None, models=ALL):
    """Results with what the sentences read alone."""
    splits = {name: {"protocol": p, "folds": 2 if name == "spi" else None}
              for name, p in PROTOCOLS.items()}  # fmt: skip
    nothing = pd.DataFrame()
    return Results(
        config={"split": "random", "splits": splits, "run_models": list(models)},
        selection=selection if selection is not None else make_selection(),
        history=nothing,
        speed=nothing,
        predictions=predictions if predictions is not None else nothing,
        confusion=nothing,
        pruned=nothing,
        tables=tables or {},
        leakage=nothing,
        sweeps=nothing,
        angles={},
        paper={},
    )


def make_selection(cells=1, on="test", test=(0.5,), best=(0, None), models=ALL):
    """``best``: which cell is best on the test and on the validation images."""
    return pd.DataFrame(
        [
            {**CELL, "model": model, "batch_size": 16 * (cell + 1), "selected": cell == 0,
             "selected_on": on, "test_accuracy_mean": test[cell],
             "best_on_test": cell == best[0], "best_on_validation": cell == best[1]}
            for model in models for cell in range(cells)
        ]
    )  # fmt: skip


def make_predictions(right, models=("alexnet",), images=100):
    """Predictions of trained networks; ``right`` by model: for each seed, which test images."""
    rows = []
    for model in models:
        for seed, correct in enumerate(right[model]):
            for position in range(images + len(correct)):
                test = position >= images
                label = CLASSES[position % 2]
                good = correct[position - images] if test else True
                rows.append(
                    {
                        **CELL,
                        "model": model,
                        "seed": seed,
                        "state": "trained",
                        "part": "test" if test else "train",
                        "position": position,
                        "label": label,
                        "predicted": label if good else CLASSES[(position + 1) % 2],
                    }
                )
    return pd.DataFrame(rows)  # fmt: skip


def first(number, images=60):
    """The first so many of the images."""
    return np.arange(images) < number


def classifier(name, split="random", mean=0.5, kind="network", images=60, **columns):
    row = {**CELL, "kind": kind, "contender": name, "name": name.upper(), "split": split,
           "seeds": 3, "test_images": images, "accuracy_mean": mean, "low": mean - 0.1,
           "high": mean + 0.1, "p_chance": 0.01, "p_majority": 0.01, "reference": None,
           "difference": 0.0, "seeds_better": 0, "seeds_worse": 0, "p_seeds": 0.4}  # fmt: skip
    return {**row, **columns}


def against(name, difference, better=0, worse=0, p=0.4, split="random"):
    """A network of Table 7 that is compared with the SVM."""
    return classifier(name, split, reference="images", difference=difference, p_seeds=p,
                     seeds_better=better, seeds_worse=worse)  # fmt: skip


def table7(*rows, splits=("random",)):
    every = [
        classifier(name, split, mean, "constant", low=np.nan, high=np.nan)
        for split in splits
        for name, mean in (("chance", 0.25), ("majority class", 0.125))
    ]
    return pd.DataFrame([*every, *rows])


SVM = classifier("images", kind="svm")


def pruning(angle, after, worse=0, better=0, p=0.4, **columns):
    row = {**CELL, "model": "alexnet", "state": "trained", "technique": "distinctiveness",
           "angle": angle, "removed_mean": 10.0, "seeds": 3, "fine_tuning": 0,
           "test_accuracy_before_mean": 0.4, "test_accuracy_after_mean": after,
           "seeds_better": better, "seeds_worse": worse, "p_images": p}  # fmt: skip
    return {**row, **columns}


def pruning_statements(*rows):
    return statements(prunings=list(after_pruning(make_results({4: pd.DataFrame(rows)}))))


@pytest.mark.parametrize(
    ("chance", "majority", "verdict"),
    [
        (0.0004, 0.03, "significantly better than naming a class at random (25.0 %, p < 0.001) and "
         "than always naming the largest training class (12.5 %, p = 0.03)."),
        (0.01, 0.2, "significantly better than naming a class at random (25.0 %, p = 0.01), but "
         "not significantly better than always naming the largest training class (12.5 %, "
         "p = 0.20)."),
        (0.2, 0.01, "significantly better than always naming the largest training class (12.5 %, "
         "p = 0.01), but not significantly better than naming a class at random (25.0 %, "
         "p = 0.20)."),
        (0.3, 0.2, "not significantly better than naming a class at random (25.0 %, p = 0.30) or "
         "than always naming the largest training class (12.5 %, p = 0.20)."),
    ],
)  # fmt: skip
def test_network_against_guessing(chance, majority, verdict):
    row = classifier("vgg", p_chance=chance, p_majority=majority)
    found = against_guessing(make_results({7: table7(classifier("alexnet"), row)}), "vgg")
    start = "50.0 % of 60 test images are classified correctly (95 % interval 40 to 60 %), "
    assert statements(guessing=[found]) == [("VGG", start + verdict)]


def test_interval_keeps_clips_together():
    rows = make_predictions({"alexnet": [np.repeat([True, False] * 3, 10)] * 2})
    frames = [f"A/M_{p // 10}_{p}.png" for p in rows["position"]]
    clips = make_results({}, rows.assign(image=frames), models=("alexnet",))
    alone = make_results({}, rows.assign(image=[f"A/{p}.png" for p in rows["position"]]))
    found = against_guessing(clips, "alexnet")
    assert found.by_clips[0] < found.low - 0.1 and found.by_clips[1] > found.high + 0.1
    ((_, sentence),) = statements(guessing=[found])
    assert re.search(
        r"38 to 62 %; over seeds and whole clips 95 % interval \d+ to \d+ %\)", sentence
    )
    assert alone.interval_by_clips("alexnet") is None
    many = make_selection(4, test=(0.5,) * 4, models=("alexnet",))
    chosen = make_results({}, rows.assign(image=frames), many, models=("alexnet",))
    assert chosen.interval_by_clips("alexnet")[0] < found.by_clips[0]  # the best of four settings


def test_own_network_is_told_from_others_of_its_name():
    rows = [classifier("alexnet", mean=m, **c) for m, c in (
        (0.1, {"recipe": "other"}), (0.2, {"crop": "face"}), (0.3, {"batch_size": 4}), (0.5, {}),
    )]  # fmt: skip
    assert make_results({7: table7(*rows)}).standing("alexnet")["accuracy_mean"] == 0.5


@pytest.mark.parametrize("splits", [None, ("movie",)])
def test_guessing_without_a_table_of_the_own_split(splits):
    tables = {} if splits is None else {7: table7(splits=splits)}
    right = {"alexnet": [first(60), first(60)], "vgg": [first(20), first(20)]}
    results = make_results(tables, make_predictions(right, ALL))
    found = statements(guessing=[against_guessing(results, model) for model in ALL])
    (_, good), (_, bad) = found
    assert good.startswith(
        "100.0 % of 60 test images are classified correctly (95 % interval 94 to 100 %), signif"
    )
    assert "at random (50.0 %, p < 0.001) and than" in good
    assert "33.3 % of 60" in bad and "not significantly better than naming a class" in bad


def test_pruning_that_costs_is_told_from_what_shows_nothing():
    found = pruning_statements(
        pruning(15.0, 0.279, worse=2, p=0.0002),
        pruning(10.0, 0.39),
        pruning(7.5, 0.40),
        pruning(5.0, 0.4, p=1.0, removed_mean=0.0),
        pruning(15.0, 0.1, worse=3, state="untrained"),
    )
    assert found == [(
        "AlexNet, pruned",
        "At 15° it loses 12.1 points (2 of 3 seeds, p < 0.001). No significant difference at 10° "
        "and 7.5° (−1.0 and 0.0 points). No unit is removed at 5°, so nothing changes.",
    )]  # fmt: skip


def test_pruning_that_helps_and_seeds_that_disagree():
    found = pruning_statements(
        pruning(15.0, 0.45, better=1, p=0.04),
        pruning(10.0, 0.4, better=1, worse=1),
        pruning(5.0, 0.41, worse=1, p=0.01),
    )
    assert found[0][1] == (
        "At 15° it gains 5.0 points (1 of 3 seeds, p = 0.04). At 10° the seeds disagree (better "
        "in 1, worse in 1 of 3 seeds). At 5° the seeds disagree (better in 0, worse in 1 of 3 "
        "seeds)."
    )


def test_prunings_by_several_techniques_and_numbers_of_units():
    found = pruning_statements(
        pruning(15.0, 0.41, removed_mean=0.0, fine_tuning=10),
        pruning(10.0, 0.41, fine_tuning=10),
        pruning(np.nan, 0.2, worse=1, p=0.01, technique="obd_unit", removed_mean=50.0, seeds=1),
    )
    assert found[0] == (
        "AlexNet, pruned by distinctiveness and fine-tuned for 10 epochs",
        "No significant difference at 15° and 10° (+1.0 points).",
    )
    assert found[1] == (
        "AlexNet, pruned by obd_unit",
        "With 50 units removed it loses 20.0 points (1 of 1 seed, p = 0.01).",
    )


def network_statements(results):
    return statements(networks=list(between_networks(results)))


def test_network_against_network():
    """One seed's images tell them apart, the seeds do not: no claim about new networks."""
    right = {"alexnet": [first(50), first(48)], "vgg": [first(20), first(48)]}
    ((subject, sentence),) = network_statements(make_results({}, make_predictions(right, ALL)))
    assert subject == "Network against network"
    assert sentence.startswith(
        "No significant difference between AlexNet and VGG (+25.0 points; p = 0.62 over 2 seeds; "
        "by their own images better in 1, worse in 0)."
    )
    assert sentence.endswith("whether other training runs would too, 2 seeds do not show.")


def test_networks_that_differ_over_the_seeds_need_no_caution():
    right = {"alexnet": [first(n) for n in (50, 51, 50)], "vgg": [first(10)] * 3}
    ((_, sentence),) = network_statements(make_results({}, make_predictions(right, ALL)))
    assert sentence.startswith("AlexNet is significantly better than VGG by 67.2 points (p < 0.001")
    assert sentence.endswith("over 3 seeds; by their own images better in 3, worse in 0).")


def test_pairs_of_networks_are_corrected_for_their_number():
    models = ("alexnet", "vgg", "third")
    right = {m: [first(20 + 10 * k), first(24 + 9 * k)] for k, m in enumerate(models)}
    alone = make_results({}, make_predictions(right, models), models=ALL)
    all_pairs = make_results({}, make_predictions(right, models), models=models)
    (pair,), pairs = list(between_networks(alone)), list(between_networks(all_pairs))
    assert len(pairs) == 3 and pairs[0].p > pair.p


def test_predictions_are_paired_image_by_image_in_whatever_order_they_lie():
    rows_of_networks = make_predictions({"alexnet": [first(30)], "vgg": [first(30)]}, ALL)
    by_model = rows_of_networks.groupby("model")
    turned = pd.concat([rows[:: -1 if m == "vgg" else 1] for m, rows in by_model])
    ((_, sentence),) = network_statements(make_results({}, turned))
    assert "(0.0 points; no test over 1 seed)" in sentence
    rows = correct_predictions(make_results({}, turned).trained)
    ours, theirs = (right_by_seed(rows[rows["model"] == name]) for name in ("alexnet", "vgg"))
    assert (ours[0] == theirs[0]).all()


def test_networks_that_no_image_tells_apart():
    right = {model: [first(30)] for model in ALL}
    ((_, sentence),) = network_statements(make_results({}, make_predictions(right, ALL)))
    assert sentence == (
        "No significant difference between AlexNet and VGG (0.0 points; no test over 1 seed). "
        "One seed cannot show how another training run would compare."
    )
    alone = make_predictions({"vgg": [first(30)]}, ("vgg",))
    assert not list(between_networks(make_results({}, alone, models=("vgg",))))


def paired_predictions(both, first_only, second_only, neither):
    """Two vectors of correct predictions with these counts."""
    parts = [(True, True)] * both + [(True, False)] * first_only + [(False, True)] * second_only
    pairs = np.array(parts + [(False, False)] * neither)
    return pairs[:, 0], pairs[:, 1]


WORSE, EQUAL = paired_predictions(20, 0, 14, 101), paired_predictions(30, 3, 3, 99)


def pair_statement(*seeds):
    """The statement on two networks A and B with these predictions."""
    paired = paired_over_seeds([s[0] for s in seeds], [s[1] for s in seeds], 0.25)
    row = {**comparison_columns(paired), "seeds": len(seeds)}
    ((_, sentence),) = statements(networks=[of_ways("A", "B", row)])
    return sentence


def test_words_for_a_difference():
    better = pair_statement(WORSE[::-1], paired_predictions(20, 15, 0, 100))
    assert better == (
        "A is significantly better than B by 10.7 points (p = 0.03 over 2 seeds; by their own "
        "images better in 2, worse in 0)."
    )
    worse = pair_statement(WORSE, paired_predictions(20, 0, 15, 100))
    assert worse.startswith("A is significantly worse than B by 10.7 points (p = 0.03 over 2")


def test_words_for_no_difference():
    assert pair_statement(EQUAL).startswith(
        "No significant difference between A and B (0.0 points; no test over 1 seed)."
    )
    few = pair_statement(paired_predictions(20, 1, 4, 110), EQUAL)
    assert "No significant difference between A and B (−1.1 points; p = 0.56 over 2 seeds)" in few


@pytest.mark.parametrize(
    ("seeds", "figures"),
    [
        ((WORSE, WORSE, WORSE[::-1]), "better in 1, worse in 2)"),
        ((WORSE, WORSE[::-1]), "better in 1, worse in 1)"),
        ((WORSE, paired_predictions(40, 40, 24, 31), EQUAL), "better in 0, worse in 1)"),
    ],
)
def test_seeds_that_contradict_each_other(seeds, figures):
    sentence = pair_statement(*seeds)
    assert sentence.startswith("No significant difference between A and B")
    assert figures in sentence and "seeds do not show" in sentence


@pytest.mark.parametrize(("p", "direction"), [(0.04, -1), (0.06, 0), (np.nan, 0)])
def test_ways_of_making_networks_are_judged_over_the_seeds(p, direction):
    assert Comparison("net", -0.1, p, 0, 3, 3, over_seeds=True).direction == direction


@given(st.floats(-1, 1), st.integers(0, 5), st.integers(0, 5))
def test_a_direction_is_that_of_every_significant_seed_and_of_the_mean(difference, better, worse):
    direction = Comparison("net", difference, 0.0, better, worse).direction
    if direction is None:
        assert (better and worse) or np.sign(difference) != np.sign(better - worse)
    elif direction:
        assert (direction > 0) == (better > worse) == (difference > 0)
        assert not (better and worse)
    else:
        assert better == worse == 0


def test_networks_against_the_svm_split_by_split():
    rows = [
        SVM,
        against("a", 0.152, better=3, p=0.0001),
        against("b", -0.1, worse=1, p=0.02),
        against("c", 0.05, better=1, worse=1),
        *(against(name, d, worse=2) for name, d in (("d", -0.03), ("e", 0.01), ("f", 0.02))),
        classifier("images", "movie", kind="svm"),
        against("a", 0.01, split="movie"),
        against("b", -0.1, worse=1, p=0.34, split="movie"),
    ]
    results = make_results({7: table7(*rows, splits=("random", "movie"))})
    assert statements(svms=list(against_svm(results))) == [
        ("Networks against the IMAGES, split random",
         "1 of 6 networks is significantly better: A by 15.2 points (p < 0.001 over 3 seeds; by "
         "their own images better in 3, worse in 0). 1 of 6 networks is significantly worse: B by "
         "10.0 points (p = 0.02 over 3 seeds; by their own images better in 0, worse in 1). No "
         "significant difference for the other 4 (−3.0 to +5.0 points)."),
        ("Networks against the IMAGES, split movie",
         "No significant difference: A (+1.0 points, p = 0.40 over 3 seeds); B (−10.0 points, "
         "p = 0.34 over 3 seeds; by their own images better in 0, worse in 1)."),
    ]  # fmt: skip


def test_no_word_on_an_svm_that_is_not_there():
    assert not list(against_svm(make_results()))
    assert not list(against_svm(make_results({7: table7(classifier("a"))})))


def test_classifiers_are_told_apart_by_their_settings():
    rows = [classifier("a", split, mean, batch_size=size, images=135) for split, mean, size in (
        ("random", 0.9, 4), ("random", 0.5, 16), ("movie", 0.5, 16),
    )]  # fmt: skip
    tables = {7: table7(*rows, splits=("random", "movie"))}
    ((_, sentence),) = statements(movies=on_unseen_movies(make_results(tables)))
    assert "A (0.0 points, 50.0 instead of 50.0 %, p = 1.00)" in sentence


def unseen_movies(*pairs, splits=("random", "spi", "movie")):
    """The statement on classifiers with accuracies under random and movie."""
    rows = [
        classifier(f"n{number}", split, mean, images=135)
        for number, pair in enumerate(pairs)
        for split, mean in zip(("random", "movie"), pair, strict=True)
        if split in splits
    ]
    found = on_unseen_movies(make_results({7: table7(*rows, splits=splits)}))
    return statements(movies=found)


def test_figures_without_the_same_movie_on_both_sides():
    ((subject, sentence),) = unseen_movies((0.45, 0.2), (0.3, 0.28))
    assert subject == "Split movie against random"  # not spi, which trains on half
    assert sentence == (
        "Under movie, no movie and so hardly any person has images in two parts. 1 of 2 "
        "classifiers is significantly worse: N0 by 25.0 points (20.0 instead of 45.0 %, "
        "p < 0.001). No significant difference: N1 (−2.0 points, 28.0 instead of 30.0 %, "
        "p = 0.89). The two "
        "splits have other test images, which cannot be paired: this is Fisher's exact test of "
        "one test part each."
    )


def test_classifiers_are_corrected_for_their_number():
    (_, alone), (_, many) = unseen_movies((0.32, 0.2))[0], unseen_movies(*[(0.32, 0.2)] * 3)[0]
    assert "1 of 1 classifiers is significantly worse" in alone
    assert "for any of the 3 classifiers (−12.0 to −12.0 points)" in many and "worse" not in many


@pytest.mark.parametrize("splits", [("random", "mine"), ("movie",)])
def test_no_word_on_unseen_movies_without_both_splits(splits):
    assert unseen_movies((0.45, 0.2), splits=splits) == []
    assert on_unseen_movies(make_results()) is None


def selection_statements(**selection):
    rows = make_selection(models=("vgg",), **selection)
    found = by_selection(make_results(selection=rows, models=("vgg",)))
    return statements(selections=list(found))


def test_selection_bias_of_the_test_images():
    found = selection_statements(cells=2, on="validation", test=(0.42, 0.44), best=(1, 0))
    assert found == [(
        "Selection of VGG",
        "Selected on the validation images. The setting that the test images prefer classifies "
        "44.0 % of them correctly, the setting that the validation images prefer 42.0 %: choosing "
        "on the test images has a selection bias of 2.0 points.",
    )]  # fmt: skip
    same = selection_statements(cells=2, on="test", test=(0.42, 0.44), best=(1, 1))
    assert same[0][1] == (
        "Selected on the test images; the validation and the test images prefer the same of 2 "
        "settings."
    )


def test_selection_without_validation_images_has_a_bias_of_unknown_size():
    ((_, sentence),) = selection_statements(cells=2, test=(0.42, 0.44), best=(1, None))
    assert sentence.startswith("The best of 2 settings was selected on the test images themselves")
    assert "selection bias" in sentence and "validation_fraction" in sentence


def test_no_statement_where_nothing_was_selected():
    assert selection_statements() == []
    assert selection_statements(cells=2, on="fixed", test=(0.4, 0.5)) == []


def test_figures_stay_with_their_units():
    assert percentage(0.4) == f"40.0{HARD}%" and points(-0.05) == f"5.0{HARD}points"
    assert p_value(0.03) == f"p{HARD}={HARD}0.03" and p_value(0) == f"p{HARD}<{HARD}0.001"
    context = {"evidence": {"guessing": [], "prunings": list(after_pruning(make_results(
        {4: pd.DataFrame([pruning(15.0, 0.279, worse=2, p=0.0002), pruning(10.0, 0.39)])}
    ))), "networks": [], "svms": [], "movies": None, "selections": []},
        "data": {"test_images": 60, "clips": True}, "figures": {"classifiers": []}}  # fmt: skip
    section = html.unescape(render("report/evidence.html.j2", context))
    assert f"12.1{HARD}points (2 of 3 seeds, p{HARD}<{HARD}0.001)" in section
    assert f"(−1.0{HARD}points)" in section


def test_evidence_has_all_its_parts_in_order():
    rows = [SVM, against("alexnet", 0.1), against("vgg", 0.1), classifier("vgg", "movie")]
    predictions = make_predictions({model: [first(30)] for model in ALL}, ALL)
    selection = make_selection(2, test=(0.4, 0.5))
    tables = {7: table7(*rows, splits=("random", "movie")), 4: pd.DataFrame([pruning(15.0, 0.3)])}
    found = statements(**evidence(make_results(tables, predictions, selection)))
    assert all("50.0 %" in sentence for _, sentence in found[:2])
    assert [subject for subject, _ in found] == [
        "AlexNet", "VGG", "AlexNet, pruned", "Network against network",
        "Networks against the IMAGES, split random", "Split movie against random",
        "Selection of AlexNet", "Selection of VGG",
    ]  # fmt: skip


def leaks(check, images, seed=0, split="random", sets=4, validation=0):
    return {"split": split, "protocol": split, "seed": seed, "check": check, "subject": "",
            "sets": sets, "leaking_sets": 1, "test_images": images, "train_total": 60,
            "validation_total": validation, "test_total": 20}  # fmt: skip


def leakage_section(rows):
    """The sentence of the section on leakage, the headings and the rows of its table."""
    section = render("report/leakage.html.j2", {"leakage": leakage_by_split(pd.DataFrame(rows))})
    sentence = plain(re.split(r"unseen people\.|than others\.", section)[1].split("</p>")[0])
    head, *lines = re.findall(r"<tr>(.*?)</tr>", section, re.DOTALL)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line) for line in (head, *lines)]
    return sentence, cells[0], cells[1:]


def test_leakage_in_words_and_as_a_table():
    rows = [
        *(leaks("clip", 8 + 2 * seed, seed) for seed in (0, 1)),
        *(leaks("near-identical", seed, seed) for seed in (0, 1)),
        *(leaks("byte-identical", 0, seed, sets=0) for seed in (0, 1)),
        leaks("clip", 0, split="clip"),
        leaks("group", 9, split="clip"),
    ]
    sentence, head, table = leakage_section(rows)
    assert sentence == (
        "Under random, 9 of 20 test images (45 %) have a frame of the same clip and 0.5 (2 %) a "
        "near-identical image in the training part (mean of 2 seeds). Under clip, none of 20 test "
        "images has a frame of the same clip in the training part."
    )
    assert head == ["Split", "Protocol", "Training", "Test", "Same clip", "Near-identical"]
    assert table == [
        ["random", "random", "60", "20", f"9 (45{HARD}%)", f"0.5 (2{HARD}%)"],
        ["clip", "clip", "60", "20", f"0 (0{HARD}%)", "–"],
    ]


def test_leaking_images_are_printed_as_the_share_beside_them_has_them():
    rows = [
        {**leaks("clip", images, seed), "test_total": 54} for seed, images in ((0, 22), (1, 23))
    ]
    sentence, _, table = leakage_section(rows)
    assert "22.5 of 54 test images (42 %)" in sentence and table[0][4] == f"22.5 (42{HARD}%)"


def test_leakage_of_every_kind_and_of_none():
    numbers = {"random": (1.5, 2.5, 1), "movie": (0, 0, 0)}
    rows = [
        {**leaks(check, images, split=split), "test_total": 3.5 if images else 3}
        for split, of in numbers.items()
        for check, images in zip(("clip", "movie", "byte-identical"), of, strict=True)
    ]
    assert leakage_section(rows)[0] == (
        "Under random, 1.5 of 3.5 test images (43 %) have a frame of the same clip, 2.5 (71 %) a "
        "frame of the same movie and 1 (29 %) a byte-identical image in the training part. "
        "Under movie, none of 3 test images has a frame of the same clip, a frame of the same "
        "movie or a byte-identical image in the training part."
    )


def test_leakage_where_there_is_a_validation_part_and_where_there_are_no_relatives():
    sentence, head, table = leakage_section([leaks("clip", 0, validation=10, sets=0)])
    assert sentence == (
        "No two images come from one clip or movie or look the same, so no split can separate any."
    )
    assert head == ["Split", "Protocol", "Training", "Validation", "Test"]
    assert table == [["random", "random", "60", "10", "20"]]
    related = leakage_section([leaks("clip", 1, validation=10)])[0]
    assert related.endswith("in the training or validation part.")


def boxes(**rules):
    """Rows of boxes.parquet by rule; the classes take turns."""
    rows = [
        {"rule": rule.replace("_", " ")} for rule, number in rules.items() for _ in range(number)
    ]
    return pd.DataFrame(
        [
            {"image": f"{n}.png", "label": CLASSES[n % 2], "x": 8.0, "y": 5.0, "width": 16.0,
             "height": 16.0, "angle": 0.0, "score": 5.0, "image_width": 40, "image_height": 30,
             **row}
            for n, row in enumerate(rows)
        ]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        ({"frontal": 5, "mirrored_profile": 2, "centre": 1},
         "A face was found in 7 of 8 images (87.5 %): 5 by the rule frontal, 2 by the rule "
         "mirrored profile; in the other one the centre of the image is used instead."),
        ({"frontal": 5}, "A face was found in 5 of 5 images (100.0 %): 5 by the rule frontal."),
        ({"centre": 2}, "A face was found in 0 of 2 images (0.0 %); in the other 2 the centre of "
         "the image is used instead."),
        ({"given": 3, "profile": 1},
         "3 images came with a face box. A face was found in 1 of 1 image (100.0 %): 1 by the rule "
         "profile."),
        ({"given": 1}, "1 image came with a face box."),
    ],
)  # fmt: skip
def test_faces_found_in_words(rules, sentence):
    found = {"faces": rules_found(boxes(**rules))}
    assert plain(render("report/faces_found.html.j2", found)) == sentence


@given(st.dictionaries(st.sampled_from(["frontal", "profile", "centre", "given"]),
                       st.integers(1, 9), min_size=1))  # fmt: skip
def test_no_face_is_counted_twice_or_forgotten(rules):
    table = faces_by_class(boxes(**rules))
    counts = np.array([[int(cell) for cell in row[1:]] for row in table["rows"]])
    assert (counts[:, 0] == counts[:, 1:].sum(axis=1)).all()
    totals = dict(zip(table["head"][2:], counts.sum(axis=0)[1:], strict=True))
    assert totals == {rule.capitalize(): number for rule, number in rules.items()}


def test_contact_sheet_shows_images_only_where_the_page_may(tmp_path: Path):
    found = boxes(frontal=1, centre=1)
    assert faces_found(found, None)["sheet"] is None
    for number in range(2):
        Image.new("RGB", (40, 30), (90 * number, 60, 60)).save(tmp_path / f"{number}.png")
    sheet = faces_found(found, tmp_path)["sheet"]
    assert sheet["data"].startswith("data:image/jpeg;base64,")
    assert (sheet["images"], sheet["rules"]) == (2, {"frontal": "F", "centre": "C"})


def test_contact_sheet_draws_the_boxes_of_the_rows(tmp_path: Path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "neuron_pruning.reporting.found_faces.contact_sheet",
        lambda examples, columns, size, margin: seen.extend(examples) or "data:",
    )
    Image.new("RGB", (40, 30)).save(tmp_path / "0.png")
    faces_found(boxes(frontal=1), tmp_path)
    ((image, box, caption),) = seen
    assert (box.x, box.y, box.width, box.rule, caption) == (8.0, 5.0, 16.0, "frontal", "0.png")
    assert contact_sheet([(image, box, caption)]).startswith("data:")


def test_chart_of_table7_has_every_classifier_but_chance_in_words():
    rows = [
        classifier("alexnet", mean=0.42),
        classifier("zhang", mean=0.23, kind="published"),
        classifier("pretrained", "any", 0.3, "published", low=np.nan, high=np.nan),
        classifier("alexnet", "movie", mean=0.2),
    ]
    (panel,) = classifier_panels(make_results({7: table7(*rows, splits=("random", "movie"))}))
    assert panel.description == (
        "test accuracy in percent with 95 % intervals; chance 25.0; MAJORITY CLASS: random 12.5, "
        "movie 12.5; ALEXNET: random 42.0 (32 to 52), movie 20.0 (10 to 30); ZHANG: random 23.0 "
        "(13 to 33); PRETRAINED: 30.0"
    )
    assert "<svg" in panel.svg and not list(classifier_panels(make_results()))


def test_guessing_is_the_better_of_chance_and_the_largest_class():
    rows = table7()
    assert make_results({7: rows}).guessing == 0.25
    rows.loc[rows["contender"] == "majority class", "accuracy_mean"] = 0.3
    assert make_results({7: rows}).guessing == 0.3


def test_dots_of_a_classifier_lie_together():
    rows = [
        classifier("a"), classifier("b", kind="published"),
        classifier("c", "any", kind="published"), classifier("a", "movie", 0.2),
    ]  # fmt: skip
    found = dots(pd.DataFrame(rows))
    assert [(dot.row, dot.group, dot.hollow) for dot in found] == [
        ("A", "random", False), ("A", "movie", False), ("B", "random", True), ("C", "", True)
    ]  # fmt: skip
    assert (found[1].value, found[1].low, found[1].high) == pytest.approx((20, 10, 30))
    assert in_words(pd.DataFrame(rows[:1])) == "A: random 50.0 (40 to 60)"
