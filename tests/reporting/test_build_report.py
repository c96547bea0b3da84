"""Tests of the report page, built from small made-up results of any shape."""

import base64
import html
import io
import json
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from safetensors.numpy import save_file

import build_report as script
from make_table import make_table
from neuron_pruning.configuration.models_training import RECIPES
from neuron_pruning.configuration.validation import check_config
from neuron_pruning.core.errors import UserError
from neuron_pruning.pruning.selection import RULES
from neuron_pruning.reporting.findings import Guessing
from neuron_pruning.reporting.provenance import job_seconds
from neuron_pruning.reporting.results import layer_angles
from neuron_pruning.reporting.sample_images import spread_over_classes, thumbnail
from neuron_pruning.reporting.table_notes import page_table, read_tables
from neuron_pruning.reporting.templating import duration, environment
from neuron_pruning.statistics.resampling import packed
from runtime.job_adapter import Files

HOME = Path(script.__file__).parents[1]
UNITS, IMAGES, WIDTH = 6, 24, 12
COUNTS = [2, 4]
OWN = {"distinctiveness": "add", "random": "none", "obd_unit": "none", "a<b>c": "add"}
FREE = {("a<b>c", "lstsq"): 4, ("random", "lstsq"): 3}  # units that cost nothing; the others: 1
ALL = ("alexnet", "vgg")


class Page(HTMLParser):
    """Tags, attributes and text of a page; text of style and SVG stays out of ``words``."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words, self.silent = [], [], "", 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.silent += tag in ("style", "svg")

    def handle_endtag(self, tag):
        self.silent -= tag in ("style", "svg")

    def handle_data(self, data):
        self.words += "" if self.silent else data + " "

    def values(self, name):
        return [value for _, attribute, value in self.attributes if attribute == name]

    @property
    def text(self):
        return re.sub(r" (?=[.,;:])", "", " ".join(self.words.split()))


def make_config(models=ALL, seeds=(0, 1), untrained=True, angles=(15, 10, 5), samples=4):
    config = {
        "experiment": "made <up>",
        "dataset": {"path": None},
        "seeds": list(seeds),
        "run_models": list(models),
        "models": {
            name: {"channels": [2] * layers, "widths": [8, UNITS], "pruned_layer": "fc2"}
            for name, layers in (("alexnet", 6), ("vgg", 7))
        },
        "recipe": "plain",
        "recipes": {"plain": {}},
        "pruning": {"angles": list(angles)},
        "comparison": {"splits": ["random", "movie"]},
        "controls": {"untrained": untrained},
        "report": {"sample_images": samples},
    }
    checked = {**config, "experiment": "made-up"}
    check_config(checked)
    return {**checked, "experiment": config["experiment"]}


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_parquet(path)
    return path


def make_run(folder, keys, classes, angles, learned=False):
    """Files of one evaluated and pruned run, like those of the stages."""
    generator = np.random.default_rng([keys["seed"], len(keys["model"]), len(keys["state"])])
    labels = [classes[row % len(classes)] for row in range(IMAGES)]
    predicted = [classes[number] for number in generator.integers(0, len(classes), IMAGES)]
    predicted = labels if learned else predicted
    parts = [part_of(row) for row in range(IMAGES)]
    rows = [
        {**keys, "part": part, "position": row, "image": f"{label}/{row}.png", "label": label,
         "predicted": guess, **{f"p_{c}": 0.6 if c == guess else 0.1 for c in classes}}
        for row, (part, label, guess) in enumerate(zip(parts, labels, predicted, strict=True))
    ]  # fmt: skip
    counts = Counter((row["part"], row["label"], row["predicted"]) for row in rows)
    confusion = [
        {**keys, "part": part, "label": a, "predicted": b, "count": counts[part, a, b]}
        for part in ("train", "test") for a in classes for b in classes
    ]  # fmt: skip
    metrics = [
        {**keys, "part": "test", "class": name, "metric": metric, "value": 0.25, "images": 8}
        for metric in ("precision", "recall")
        for name in classes
    ] + [{**keys, "part": "test", "class": "all", "metric": "accuracy", "value": 0.25, "images": 8}]
    pruned = [
        {**keys, "layer": "fc2", "technique": technique, "compensation": "add", "fine_tuning": 0,
         "angle": angle, "count": number, "units_before": UNITS, "units_after": left,
         "test_images": 8, "test_accuracy_before": 0.25, "test_accuracy_after": 0.125,
         "lost": 1, "gained": 0,
         "parameters_after": 9, "multiply_adds_after": 9,
         **{f"removed_{rule}": 1 for rule in RULES}}
        for technique, angle, number, left in [
            *(("distinctiveness", float(angle), np.nan, 4) for angle in angles),
            ("obd_unit", np.nan, 5.0, 1),
        ]
    ]  # fmt: skip
    activations = folder / "activations.safetensors"
    activations.parent.mkdir(parents=True)
    layer = generator.uniform(0, 1, (IMAGES, UNITS)).astype(np.float32)
    save_file({"fc1": np.zeros((IMAGES, 2), np.float32), "fc2": layer}, activations)
    made = {"predictions": rows, "confusion": confusion, "metrics": metrics, "pruned": pruned,
            "compensations": list(make_compensations(keys, angles)),
            **{f"sweep {name}": list(make_sweep(keys, name)) for name in OWN}}  # fmt: skip
    files = {name: write(folder / f"{name}.parquet", found) for name, found in made.items()}
    return {**files, "activations": activations}


def make_sweep(keys, technique):
    """Rows of sweep_technique: accuracy falls off after a number of units, a little by seed."""
    own = OWN[technique]
    every = {**keys, "layer": "fc2", "technique": technique, "default_compensation": own,
             "units": UNITS, "test_images": 6, "test_loss": 1.0, "divergence": 0.1}  # fmt: skip
    angles = np.arange(0, 91, 15.0) if technique == "distinctiveness" else []
    amounts = [(np.nan, count) for count in range(UNITS)]
    amounts += [(angle, round(angle / 90 * (UNITS - 1))) for angle in angles]
    for angle, removed in amounts:
        for compensation in dict.fromkeys([own, "none", "lstsq"]):
            for draw in range(2 if technique == "random" else 1):
                lost = removed > FREE.get((technique, compensation), 1)
                accuracy = 0.5 - lost * (0.3 + 0.05 * keys["seed"])
                yield {**every, "compensation": compensation, "draw": draw, "angle": angle,
                       "removed": removed, "agreement": 1 - removed / UNITS / 2,
                       "test_accuracy": accuracy,
                       "correct": packed(np.arange(6) < round(6 * accuracy))}  # fmt: skip


def make_compensations(keys, angles):
    """Rows of compare_compensations."""
    for angle in angles:
        for compensation in ("none", "add"):
            yield {**keys, "layer": "fc2", "compensation": compensation, "angle": float(angle),
                   "fine_tuning": 0, "units": UNITS, "removed": 2, "test_images": 8,
                   "test_accuracy_before": 0.5, "test_accuracy_after": 0.25,
                   "random_accuracy": 0.25,
                   "test_loss_before": 1.0, "test_loss_after": 2.0, "agreement": 0.5,
                   "divergence": 0.1}  # fmt: skip


def make_comparisons(folder, runs, seeds):
    """Tables 5 and 6 and the sweeps."""
    splits = [folder / f"random{seed}.parquet" for seed in seeds]
    sweeps = [files[f"sweep {name}"] for _, files in runs for name in OWN]
    compare_techniques(sweeps, splits, folder / "table5.parquet", COUNTS)
    points = [files["compensations"] for _, files in runs]
    make_table("compensations", folder / "table6.parquet", [], points=points, splits=splits)
    return sweeps


def compare_techniques(sweeps, splits, table, counts):
    """Table 5."""
    make_table("techniques", table, [], {"counts": counts}, points=sweeps, splits=splits)


def make_splits(folder, classes, seeds):
    """Split files like those of the runs, and what the audit says of them."""
    leakage = []
    for split in ("random", "movie"):
        for seed in seeds:
            rows = [{"split": split, "protocol": split, "seed": seed, "part": part_of(row),
                     "position": row, "image": f"{row}.png",
                     "label": classes[row % len(classes)]} for row in range(IMAGES)]  # fmt: skip
            write(folder / f"{split}{seed}.parquet", rows)
            totals = {"train_total": 18, "validation_total": 0, "test_total": 6}
            for check, images in {"clip": 3, "movie": 6, "group": 0, "byte-identical": 0}.items():
                keys = {"split": split, "protocol": split, "seed": seed, "check": check}
                sets = 0 if check == "byte-identical" else 4
                found = images if split == "random" else 0
                leakage.append({**keys, "subject": "", "sets": sets, "leaking_sets": 1,
                                  "train_images": None, "validation_images": 0,
                                  "test_images": found, **totals})  # fmt: skip
    return write(folder / "leakage.parquet", leakage)


def part_of(row):
    return "test" if row % 4 == 0 else "train"


def make_classifiers(folder, runs, classes, seeds):
    """Tables 7 and 8: the networks of the runs, also under movie, and an SVM."""
    keys = {"experiment": "made", "baseline": "images", "crop": "face"}
    svms, metrics, selected, networks = [], [], [], []
    for split in ("random", "movie"):
        for seed in seeds:
            every = {**keys, "split": split, "seed": seed}
            rows = [{**every, "part": part_of(row), "position": row,
                     "label": classes[row % len(classes)], "predicted": classes[0]}
                    for row in range(IMAGES)]  # fmt: skip
            svms.append(write(folder / f"svm-{split}{seed}.parquet", rows))
            figures = [
                ("accuracy", "all"),
                *((m, c) for m in ("precision", "recall", "specificity") for c in classes),
            ]
            measured = [{**every, "part": "test", "metric": metric, "class": name, "value": 0.25,
                         "images": 6} for metric, name in figures]  # fmt: skip
            metrics.append(write(folder / f"measured-{split}{seed}.parquet", measured))
    for keys, files in runs:
        if keys["state"] == "trained":
            path = folder / f"movie-{keys['model']}{keys['seed']}.parquet"
            selected.append(files["predictions"])
            networks += [
                files["predictions"],  # a selected network may be one that the config names
                write(path, pd.read_parquet(files["predictions"]).assign(split="movie")),
            ]
    splits = [folder / f"{split}{seed}.parquet" for split in ("random", "movie") for seed in seeds]
    inputs = {"selected": selected, "networks": networks, "svms": svms, "splits": splits}
    inputs["published"] = HOME / "resources" / "published.yaml"
    make_table("models", folder / "table7.parquet", [], {"experiment": "made"}, **inputs)
    inputs = {"metrics": metrics, "baseline": published_of(folder, "baseline.yaml", classes)}
    make_table("svm", folder / "table8.parquet", [], **inputs)
    return [folder / "table7.parquet", folder / "table8.parquet"]


def make_boxes(folder, classes):
    """Three images, each found by a rule of its own, but for the last."""
    rules = ["frontal", "profile", "centre"]
    rows = []
    for number, rule in enumerate(rules):
        image = f"{number}.png"
        Image.new("RGB", (40, 30), (90 * number, 60, 60)).save(folder / image)
        rows.append({"image": image, "label": classes[number % len(classes)], "x": 8.0, "y": 5.0,
                     "width": 16.0, "height": 16.0, "angle": 0.0, "rule": rule, "score": 5.0,
                     "image_width": 40, "image_height": 30})  # fmt: skip
    return write(folder / "boxes.parquet", rows)


def make_results(folder, config, classes, learned=False):
    """Inputs, output and settings of build_report; where ``learned``, all predictions are right."""
    paper = published_of(folder, "paper.yaml", classes)
    states = ["trained", "untrained"] if config["controls"]["untrained"] else ["trained"]
    runs, histories, speeds, grid = [], [], [], []
    for model in config["run_models"]:
        cell = {"experiment": "made", "split": "random", "crop": "none", "recipe": "plain",
                "model": model, "learning_rate": 0.0005, "batch_size": 128}  # fmt: skip
        deviation = 0.05 if len(config["seeds"]) > 1 else None
        grid.append({**cell, "seeds": len(config["seeds"]), "test_images": 8, "selected": True,
                     "selected_on": "test", "best_on_test": True, "best_on_validation": False,
                     "train_accuracy_mean": 0.5, "train_accuracy_std": deviation,
                     "validation_accuracy_mean": None, "validation_accuracy_std": None,
                     "test_accuracy_mean": 0.25, "test_accuracy_std": deviation})  # fmt: skip
        for seed in config["seeds"]:
            epochs = [{**cell, "seed": seed, "epoch": epoch, "train_loss": 1.0, "test_loss": 1.5,
                       "train_accuracy": 0.5, "test_accuracy": 0.25}
                      for epoch in (1, 2)]  # fmt: skip
            histories.append(write(folder / f"{model}{seed}.parquet", epochs))
            fast = [
                {**cell, "seed": seed, "seconds": 90.0, "device": "cpu", "precision": "float32"}
                for _ in (1, 2)
            ]
            speeds.append(write(folder / f"{model}{seed}-speed.parquet", fast))
            for state in states:
                keys = {**cell, "seed": seed, "state": state}
                place = folder / f"{model}-{seed}-{state}"
                runs.append(
                    (keys, make_run(place, keys, classes, config["pruning"]["angles"], learned))
                )
    leakage = make_splits(folder, classes, config["seeds"])
    trained = [(keys, files) for keys, files in runs if keys["state"] == "trained"]
    selection = write(folder / "selection.parquet", grid)
    pruned = [files["pruned"] for _, files in runs]
    tables = [folder / f"table{n}.parquet" for n in (1, *range(2, 2 + len(grid)), 4)]
    splits = [folder / f"random{seed}.parquet" for seed in config["seeds"]]
    make_table("grid", tables[0], [], selection=selection, splits=splits, paper=paper)
    for number, model in enumerate(config["run_models"], 1):
        metrics = [files["metrics"] for keys, files in trained if keys["model"] == model]
        make_table("per_class", tables[number], [], metrics=metrics, paper=paper)
    make_table("pruning", tables[-1], [], metrics=pruned, splits=splits, paper=paper)
    sweeps = make_comparisons(folder, runs, config["seeds"])
    tables += [folder / "table5.parquet", folder / "table6.parquet"]
    tables += make_classifiers(folder, runs, classes, config["seeds"])
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, 10, WIDTH, 3), dtype=np.uint8)
    np.save(folder / "images.npy", pixels)
    audit = [{"check": "same image, two labels", "subject": "A/1.png", "detail": "B/1.png",
              "count": 2}]  # fmt: skip
    return {
        "array": folder / "images.npy",
        "leakage": leakage,
        "boxes": [make_boxes(folder, classes)],
        "folder": str(folder),
        "selection": selection,
        "history": histories,
        "speed": speeds,
        "predictions": [files["predictions"] for _, files in runs],
        "confusion": [files["confusion"] for _, files in trained],
        "activations": [files["activations"] for _, files in runs],
        "pruned": pruned,
        "sweeps": sweeps,
        "tables": tables,
        "audit": write(folder / "audit.parquet", audit),
        "paper": paper,
        "page": folder / "report.html",
        "config": config,
        "benchmarks": str(folder / "benchmarks"),
    }


def build_report(config, benchmarks, page, folder=None, paper=None, **inputs):
    """Run the script on :func:`make_results`."""
    files = Files(**inputs), Files(page=page)
    script.build_report(*files, config, benchmarks, paper, folder)


def published_of(folder, name, classes):
    """Published figures as if they were of these classes."""
    figures = yaml.safe_load((HOME / "resources" / name).read_text(encoding="utf-8"))
    for of in [figures, *figures.get("classes", {}).values()]:
        for metric in {"precision", "recall"} & set(of):
            of[metric] = dict(zip(classes, of[metric].values(), strict=False))
    path = folder / name
    path.write_text(yaml.safe_dump(figures))
    return path


def built(arguments):
    """The page of :func:`make_results`."""
    build_report(**arguments)
    return Page(arguments["page"].read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    """Two models, two seeds, two states; classes that HTML must not take for tags."""
    classes = ["Angry", "Joy & <b>pride</b>", "Sad"]
    return make_results(tmp_path_factory.mktemp("results"), make_config(), classes)


@pytest.fixture(scope="module")
def text(arguments):
    build_report(**arguments)
    return arguments["page"].read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_page_needs_no_network_and_no_script(text, page):
    links = [*page.values("src"), *page.values("href"), *page.values("xlink:href")]
    assert links and all(link.startswith(("#", "data:image/jpeg;base64,")) for link in links)
    assert not re.search(r"url\((?!#)|@import", text)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)


def test_links_lead_to_places_that_exist_once(page):
    names = page.values("id")
    assert len(names) == len(set(names))
    targets = [v[1:] for v in page.values("href") + page.values("xlink:href") if v[0] == "#"]
    assert set(targets) <= set(names) and "result" in targets


def test_page_has_every_table_with_caption_and_paper(page):
    assert [name for name in page.values("id") if re.fullmatch(r"table\d", name)] == [
        "table1", "table2", "table3", "table4", "table5", "table6", "table7", "table8"
    ]  # fmt: skip
    # Two are folded, two beside the networks; then relatives, audit, faces.
    assert page.tags.count("caption") == page.tags.count("table") == 8 + 2 + 2 + 3
    for expected in ("25.00 ± 5.00", "22.96", "2 ± 0", "AlexNet, untrained", "0.25 ± 0.00"):
        assert expected in page.text


def test_page_without_the_comparison_says_how_to_make_it(arguments, text, tmp_path):
    made = [path for path in arguments["tables"] if path.stem not in ("table7", "table8")]
    page = built({**arguments, "tables": made, "boxes": [], "page": tmp_path / "report.html"})
    assert "table6" in page.values("id") and not {"table7", "faces"} & set(page.values("id"))
    line = "Tables 7 and 8 compare networks with SVMs under 2 splits: snakemake comparison, with"
    assert line in page.text and line not in Page(text).text
    config = {**arguments["config"], "comparison": {"splits": []}}
    page = built({**arguments, "tables": made, "config": config, "page": tmp_path / "none.html"})
    assert "snakemake comparison" not in page.text


def test_summary_compares_with_paper_guessing_and_untrained(page):
    # Six test images of three classes show nothing; their largest training class is a third.
    assert "AlexNet is not significantly better than guessing." in page.text
    assert "95 % interval 6 to 64 % The paper" in page.text
    assert "2 ± 0 of the 6 units of its layer fc2 are removed, against 2 ± 0 from" in page.text
    assert "the paper removed 95 of 100" in page.text
    assert "33.33 %" in page.text and "21.48 %" in page.text


def test_every_figure_has_panels_with_descriptions(page):
    assert page.tags.count("svg") == 1 + 4 + 2 + 2 + 4 + 4 * 2
    labels = [v for tag, name, v in page.attributes if (tag, name) == ("div", "aria-label")]
    matrix = [label for label in labels if "confusion matrix of VGG" in label]
    assert len(matrix) == 1 and "of 12 test predictions" in matrix[0]  # 6 images, 2 seeds
    assert page.values("role").count("img") == page.tags.count("svg")
    assert re.findall(r"Figure (\d+)\.", page.text) == [str(number) for number in range(1, 11)]


def test_angles_of_the_summary_are_those_of_distinctiveness_alone(page):
    # obd_unit, which counts units, removes five of six.
    assert "5 ± 0 of the 6" not in page.text and "obd_unit, 5 units" in page.text


EFFECT = (  # at 2 units, the nearer of the compared numbers to half of six
    r"a<b>c with lstsq changes the test accuracy by 0.0 points \(95 % interval 0.0 to 0.0\), "
    r"random removal with the same compensation by 0.0 points \(95 % interval 0.0 to 0.0\): a "
    r"difference of 0.0 points \(95 % interval 0.0 to 0.0\), "
    r"p = 1.00 \(Holm over \d+ comparisons\), where "
    r"p = 1.00 is the smallest that so few differing images can give"
)


def test_summary_compares_with_random_removal_at_a_number_of_units(tmp_path):
    classes = ["Angry", "Joy & <b>pride</b>", "Sad"]
    page = built(make_results(tmp_path, make_config(), classes, learned=True))
    assert "has not learned" not in page.text and "shown to have learned" not in page.text
    summary = page.text.split("Table 1.")[0]
    assert len(re.findall(f"With 2 of the 6 units of layer fc2 removed, {EFFECT}", summary)) == 2
    assert "for which p is corrected and the intervals are not" in summary
    assert "less than one point" not in summary  # a number of units hangs on single images


def test_effects_have_their_intervals_and_tests(page):
    section = page.text.split("How many units can be removed?")[1].split("Figure")[0]
    own = section.split("; ")[1] if section.split("; ")[1].startswith("dist") else section
    assert re.search(
        r"distinctiveness with add changes the test accuracy by −[\d.]+ points \(95 % interval "
        r"−[\d.]+ to −?[\d.]+\), random removal without compensation by −[\d.]+ points", own
    )  # fmt: skip
    assert "random removal without compensation changes the test accuracy by" in section


@pytest.mark.parametrize(
    ("question", "finding"),
    [
        (
            "How many units can be removed?",
            "With 2 of 6 units removed, distinctiveness with add changes the test accuracy by",
        ),
        (
            "What does compensation contribute?",
            "With 3 of 6 units removed, the test accuracy is 50.0 % for random removal with lstsq, "
            "17.5 % for distinctiveness with add",
        ),
        (
            "Does the pruned network make the same predictions?",
            "With 3 of 6 units removed, the share of unchanged predictions is 75.0 % for",
        ),
        (
            "At which angle are units removed?",
            "At 15°, the widest threshold of Table 4, 1 of the trained and 1 of the untrained "
            "network's 6 units are removed. Half the layer is removed at 60° in the trained "
            "network and at 60° in the untrained network.",
        ),
    ],
)
def test_questions_have_one_finding_per_network(page, question, finding):
    section = page.text.split(question)[1].split("Figure")[0]
    assert section.count(finding) == 2 and "VGG, layer fc2: " in section


def test_curves_have_a_description(page):
    labels = [v for tag, name, v in page.attributes if (tag, name) == ("div", "aria-label")]
    curves = [label for label in labels if label.startswith("test accuracy in percent of VGG")]
    assert len(curves) == 2
    assert all("2 seeds" in label and "random, no compensation: 50.0 at 0" in label
               for label in curves)  # fmt: skip


def test_rest_of_the_comparisons_is_folded(arguments, text, monkeypatch):
    shown, folded = (text.split('id="table5"')[1].split("<details")[n] for n in (0, 1))
    # Eight lines of the trained network, four of the untrained one, then the majority class.
    assert "majority class" not in Page(shown).text and "majority class" in Page(folded).text
    assert "The other 2 lines of Table 5" in Page(folded).text
    monkeypatch.setattr("neuron_pruning.reporting.table_notes.FIRST_LINES", 3)
    table = shown_table(arguments, 5)
    assert [row[0] for row in table["rows"]] == ["AlexNet fc2"] * 3 + ["VGG fc2"] * 3
    everything = table["rows"] + table["rest"]
    assert len({tuple(row[:3]) for row in everything}) == len(everything) > 20


def table_of(arguments, number):
    """Rows of a table."""
    return read_tables(arguments["tables"])[number]


def shown_table(arguments, number):
    """A table as the page shows it."""
    return page_table(number, table_of(arguments, number))


def test_table6_folds_the_untrained_networks(arguments):
    table = shown_table(arguments, 6)
    assert {row[0] for row in table["rows"]} == {"AlexNet fc2", "VGG fc2"}
    assert {row[0] for row in table["rest"]} == {"AlexNet fc2, untrained", "VGG fc2, untrained"}


def test_several_pruned_layers_have_a_chart_each(tmp_path):
    config = make_config(("vgg",), (0,), untrained=False, samples=0)
    config["models"]["vgg"]["pruned_layer"] = ["fc1", "fc2"]
    arguments = make_results(tmp_path, config, ["A", "B"], learned=True)
    rows = pd.concat(pd.read_parquet(path) for path in arguments["sweeps"])
    both = pd.concat([rows.assign(layer=layer) for layer in ("fc1", "fc2")])
    arguments["sweeps"] = [write(tmp_path / "both.parquet", both)]
    splits, table = [tmp_path / "random0.parquet"], tmp_path / "table5.parquet"
    compare_techniques(arguments["sweeps"], splits, table, [2])
    page = built(arguments)
    assert (
        page.text.count("VGG, layer fc1") == 2 * 4 + 1
        and "With 2 of the 6 units of layer fc1" in page.text
    )


@pytest.fixture(scope="module")
def unusual(tmp_path_factory):
    """Page of real images, some for validation, and of a layer that Table 5 says nothing of."""
    folder, config = tmp_path_factory.mktemp("unusual"), make_config(("vgg",), (0,))
    config["dataset"]["path"] = "data/sfew"
    arguments = make_results(folder, config, ["A", "B"])
    table = folder / "table5.parquet"
    write(table, pd.read_parquet(table).assign(layer="fc1"))
    for path in arguments["predictions"]:
        rows = pd.read_parquet(path)
        rows.loc[rows["position"] == 1, "part"] = "validation"
        write(path, rows)
    return built(arguments)


def test_layer_smaller_than_every_number_of_table5_has_its_curves(unusual):
    assert (
        unusual.text.count("Does the pruned network make") == 1
        and "units of layer fc2 removed, a<b>c" not in unusual.text
    )


def test_section_on_evidence_has_statements_and_the_chart(page):
    section = page.text.split("What the test images can show")[2].split("Train/test leakage")[0]
    assert "One test image in 6 is 16.7 points" in section
    assert "distinctiveness: No significant difference at 15°, 10° and 5° (−12.5" in section
    assert "Network against network: No significant difference between AlexNet and VGG" in section
    assert "Networks against the SVM on LPQ and PHOG of the faces, split movie: No" in section
    assert "Split movie against random: Under movie, no movie" in section and "Figure 1." in section


def test_section_on_the_split_counts_relatives(page):
    section = page.text.split("Train/test leakage")[2].split("Tables")[0]
    assert "Under random, 3 of 6 test images (50 %) have a frame of the same clip" in section
    assert "Under movie, none of 6 test images has a frame of the same clip" in section
    assert "random random 18 6 3 (50 %) 6 (100 %) movie movie 18 6 0 (0 %) 0 (0 %)" in section


def test_section_on_faces_has_figures_and_a_contact_sheet(page):
    section = page.text.split("Face detection")[2].split("Sample images")[0]
    assert "A face was found in 2 of 3 images (66.7 %): 1 by the rule frontal" in section
    assert "Angry 1 0 1 0" in section and "F frontal" in section
    assert sum("Contact sheet: 3 images" in text for text in page.values("alt")) == 1


def test_tables_7_and_8_have_intervals_and_say_what_they_are(page):
    seventh, eighth = page.text.split("Table 7.")[-1].split("Table 8.")
    assert "always naming the largest training class (exact binomial test" in seventh
    assert "SVM on LPQ and PHOG of the faces 33.3 ± 0.0 [10, 70] 33.3 ± 0.0 [10, 70]" in seventh
    assert "AlexNet, plain, whole frames 25.0 ± 11.8 [6, 64]" in seventh
    assert "faces, random: accuracy 25.0 ± 0.0 [6, 64] Precision 0.25 ± 0.00" in eighth
    assert "Dhall et al. 2011, person-independent: accuracy 19.0 Precision 0.17" in eighth
    assert page.values("scope").count("rowgroup") == 3


def test_published_figures_of_table7_come_with_their_sources(arguments):
    rows = table_of(arguments, 7)
    note = {"kind": "published", "contender": "Z", "split": "any", "note": "a book, page 7"}
    both = pd.concat([rows, pd.DataFrame([note])], ignore_index=True)
    caption = page_table(7, both)["caption"]
    assert caption.endswith("Published figures: Z: a book, page 7.")
    assert "Published" not in page_table(7, rows)["caption"]


def test_page_without_classifiers_svms_and_faces(tmp_path):
    arguments = make_results(tmp_path, make_config(("vgg",), (0,)), ["A", "B", "C"])
    arguments["tables"] = arguments["tables"][:-2]
    arguments |= {"boxes": [], "folder": None}
    page = built(arguments)
    absent = r"Table 7|Table 8|Face detection|Contact sheet|Split movie"
    assert not re.search(absent, page.text)
    assert (
        "Tables 7 and 8 compare networks with SVMs under 2 splits: snakemake comparison"
        in page.text
    )
    assert "VGG is not significantly better than guessing." in page.text
    assert "VGG: " in page.text.split("What the test images can show")[2]
    assert re.findall(r"Figure (\d+)\.", page.text) == [str(number) for number in range(1, 9)]


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """Page without samples, Table 8 and figures of distinctiveness."""
    config = make_config(("vgg",), (0,), samples=0)
    arguments = make_results(tmp_path_factory.mktemp("bare"), config, ["A", "B"])
    arguments["tables"] = arguments["tables"][:-1]
    for path in [*arguments["pruned"], *arguments["tables"]]:
        rows = pd.read_parquet(path)
        if path in arguments["pruned"] or path.stem == "table4":
            write(path, rows[rows["technique"] == "obd_unit"])
    return built(arguments)


def test_page_without_figures_of_distinctiveness(bare):
    assert "units of its layer" not in bare.text and "obd_unit" in bare.text
    assert "Units that each threshold angle removes" not in bare.text


def test_page_with_table7_alone(bare):
    assert "Table 7." in bare.text and "Table 8" not in bare.text


def test_page_without_samples_has_no_image_of_the_data(bare):
    assert "img" not in bare.tags and "A face was found in 2 of 3 images" in bare.text


def test_validation_images_are_not_counted_as_learned_from(unusual):
    words = "was trained on 17 images and tested on 6 others; 1 more were used for selection"
    assert words in unusual.text


def test_no_sentence_has_a_space_before_its_punctuation(text):
    shown = re.sub(r"<(style|svg|pre).*?</\1>", "", text, flags=re.DOTALL)
    shown = " ".join(html.unescape(re.sub(r"<[^>]+>", "", shown)).split())
    assert not re.search(r" [.,;:)]|\( |\.\.|,,|[{}]", shown)


def test_headings_descend_one_level_at_a_time(page):
    levels = [int(tag[1]) for tag in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(low - high <= 1 for high, low in pairwise(levels))


def test_samples_are_images_of_all_classes_with_predictions(page):
    sheet, *sources = page.values("src")
    assert sheet.startswith("data:image/jpeg") and len(sources) == 4
    for source in sources:
        image = Image.open(io.BytesIO(base64.b64decode(source.split(",")[1])))
        assert image.size == (WIDTH, 10)
    alternatives = " ".join(page.values("alt"))
    assert all(f"class {name}" in alternatives for name in ("Angry", "Joy & <b>pride</b>", "Sad"))
    assert page.text.count("✓ correct") + page.text.count("✗ wrong") == 4 * 2


def test_text_from_the_data_is_escaped(text, page):
    assert "made <up>" in page.text and "made <up>" not in text
    assert "Joy & <b>pride</b>" in page.text and "<b>pride</b>" not in text
    assert "a<b>c, lstsq" in text.replace("&lt;", "<").replace("&gt;", ">") and "a<b>" not in text


def test_page_has_its_provenance_and_what_the_audit_found(page):
    assert "experiment: made <up>" in page.text and "angles: [15, 10, 5]" in page.text
    assert page.text.count("batch_sizes: [64, 128]") == 2
    assert "4 runs, 12 min 0 s in training passes" in page.text
    assert re.search(r"torch \d+\.\d+", page.text) and "Commit of the workflow" in page.text
    assert "same image, two labels A/1.png 2 B/1.png" in page.text
    assert "plain means: no normalisation, PyTorch's default weights, Adam" in page.text


def test_same_results_give_the_same_bytes(arguments, text):
    build_report(**arguments)
    assert arguments["page"].read_text(encoding="utf-8") == text


def test_one_model_seed_and_state_without_samples(tmp_path):
    config = make_config(["vgg"], [3], untrained=False, angles=(7.5,), samples=0)
    classes = [f"a class with quite a long name {number}" for number in range(12)]
    arguments = make_results(tmp_path, config, classes)
    page = built(arguments)
    assert page.tags.count("svg") == 1 + 2 + 1 + 1 + 2 + 4 and "img" not in page.tags
    assert "One network was trained on" in page.text and "Figures are of one seed." in page.text
    assert not re.search("nan|None|untrained network", page.text.split("Provenance")[0])
    assert "At 7.5°, 2 of the 6 units of its layer fc2 are removed." in page.text
    assert "panel wide" in page.values("class")


def test_real_images_come_with_a_note_on_their_licence(unusual):
    assert "licence of the data set" in unusual.text and "drawn faces" not in unusual.text


def test_layer_angles_are_those_of_the_training_images(tmp_path):
    rows = [{"model": "vgg", "state": "trained", "part": part, "position": n}
            for n, part in enumerate(["train", "train", "test"])]  # fmt: skip
    predictions = write(tmp_path / "p.parquet", rows)
    layer = np.array([[1.0, 0.5, 0.0], [0.5, 1.0, 0.5], [0.9, 0.9, 0.9]], np.float32)
    save_file({"fc2": layer}, tmp_path / "a.safetensors")
    config = make_config()
    found = layer_angles([predictions] * 2, [tmp_path / "a.safetensors"] * 2, config)
    assert found["vgg", "fc2", "trained"] == pytest.approx([90, 180, 90] * 2)


def test_damaged_activations_are_named(tmp_path):
    rows = [{"model": "vgg", "state": "trained", "part": "train", "position": 0}]
    damaged = tmp_path / "a.safetensors"
    damaged.write_bytes(b"not one")
    with pytest.raises(UserError, match=r"a\.safetensors.*delete it.*run again"):
        layer_angles([write(tmp_path / "p.parquet", rows)], [damaged], make_config())


def phrase(template, macro, argument):
    """What a macro of the templates makes of an argument, as text."""
    call = f'{{% from "report/{template}.html.j2" import {macro} %}}{{{{ {macro}(argument) }}}}'
    text = environment().from_string(call).render(argument=argument)
    return " ".join(html.unescape(text).split())


def recipe_text(recipe):
    """A recipe as the page words it."""
    return phrase("recipe", "recipe", recipe)


def test_recipes_in_words():
    recipes = {name: recipe.model_dump() for name, recipe in RECIPES.items()}
    assert recipe_text(recipes["stabilised"]) == (
        "batch normalisation in the convolutions, sigmoid layers with centred initialisation, "
        "Adam with smaller steps for fully connected weights with more than 100 inputs"
    )
    slow = {"name": "sgd", "warmup_steps": 20, "schedule": "cosine", "centred_gradients": True}
    assert recipe_text({**recipes["as_written"], "optimiser": slow}).endswith(
        "SGD with centred gradients and 20 steps of warm-up and a cosine schedule"
    )
    assert recipe_text(recipes["as_written"]).endswith("PyTorch's default weights, Adam")
    varied = {"flip": True, "rotation": 10.0, "grey": 0.25, "crop": 0.0}
    rich = {**recipes["as_written"], "augmentation": varied, "label_smoothing": 0.1, "epochs": 30,
            "initialisation": {"scheme": "default", "weights": "DEFAULT"}}  # fmt: skip
    assert recipe_text(rich).endswith(
        "PyTorch's default weights, convolutions with the pretrained weights DEFAULT, Adam, "
        "training images augmented: mirrored and rotated by up to 10° and 25 % of them grey, "
        "label smoothing 0.1, 30 epochs"
    )


@pytest.mark.parametrize(
    ("chance", "majority", "words"),
    [
        (0.01, 0.01, "significantly better than guessing"),
        (0.01, 0.2,
         "significantly better than chance, but not than always predicting one class"),
        (0.2, 0.01,
         "significantly better than always predicting one class, but not than chance"),
        (0.2, 0.05, "not significantly better than guessing"),
    ],
)  # fmt: skip
def test_standing_is_what_the_tests_against_guessing_show(chance, majority, words):
    guessing = Guessing("vgg", 0.5, 60, 0.4, 0.6, chance, majority, 0.25, 0.125, None)
    assert phrase("phrases", "standing", guessing) == words


def test_samples_take_turns_over_the_classes():
    labels = pd.Series(["B", "A", "A", "B", "A", "C"], index=[3, 5, 6, 8, 9, 11])
    assert spread_over_classes(labels, 3) == [5, 3, 11]
    assert spread_over_classes(labels, 5) == [5, 6, 3, 8, 11]
    assert len(spread_over_classes(labels, 99)) == 6 and spread_over_classes(labels, 0) == []


def test_thumbnails_are_small_and_keep_their_shape():
    uri = thumbnail(np.zeros((576, 720, 3), np.uint8))
    image = Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))
    assert uri.startswith("data:image/jpeg;base64,") and image.size == (240, 192)


def test_job_seconds_add_up_by_stage_and_leave_out_the_report_itself(tmp_path):
    for name, seconds in (("train/a/b.jsonl", 60), ("train/c.jsonl", 5.5), ("faces.jsonl", 2),
                          ("build_report.jsonl", 99),
                          ("build_comparison_report.jsonl", 9)):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"s": seconds, "io_in": 0}) + "\n", encoding="utf-8")
    assert job_seconds(tmp_path) == {"train": (2, 65.5), "faces": (1, 2.0)}
    (tmp_path / "faces.jsonl").write_text('{"s": 3')  # as a killed Snakemake leaves it
    assert job_seconds(tmp_path)["faces"] == (1, 0.0)
    assert job_seconds(tmp_path / "none") == {}


def test_durations_in_words():
    assert [duration(s) for s in (12.4, 200, 7500)] == ["12 s", "3 min 20 s", "2 h 5 min"]


def test_table_captions_say_what_the_figures_are(arguments):
    caption = shown_table(arguments, 2)["caption"]
    assert "AlexNet" in caption and "8 test images" in caption and "standard deviation" in caption


def test_building_the_page_never_loads_torch():
    code = "import build_report, sys; sys.exit('torch' in sys.modules)"
    folder = HOME / "scripts"
    assert subprocess.run([sys.executable, "-c", code], cwd=folder, check=False).returncode == 0


def test_nothing_that_the_paper_found_stands_beside_other_images(tmp_path):
    arguments = make_results(tmp_path, make_config(), ["Angry", "Joy", "Emotion"])
    for paper in (None, HOME / "resources" / "paper.yaml"):  # drawn faces; other classes
        arguments["paper"] = paper
        page = built(arguments)
        summary = page.text.split("Train/test leakage")[0]
        for words in ("figures of the paper", "the paper removed", "The paper", "SFEW"):
            assert words not in summary


def test_a_network_that_has_not_learned_is_called_that_first(page):
    found = re.findall(r"(AlexNet|VGG) is not significantly better than guessing", page.text)
    assert set(found) == {"AlexNet", "VGG"}
    assert "has not been shown to have learned" in page.text
    assert "Up to" not in page.text
