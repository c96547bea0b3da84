"""One page that shows an experiment: what ran, the tables, the charts, the data."""

import base64
import io
import json
import platform
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError, safe_open

from adapter import Mirrored, git_commit, run_job
from neuron_pruning.angles import pairwise_angles
from neuron_pruning.errors import UserError
from neuron_pruning.figures import (
    against_angle,
    angle_histogram,
    confusion_matrix,
    learning_curves,
    own_names,
    pair_angles,
)
from neuron_pruning.files import write_text
from neuron_pruning.records import read_many, read_rows
from neuron_pruning.tables import DISPLAY_NAMES, count, degrees, over_seeds, percent
from table1 import display as display_settings
from table4 import display as display_prunings
from table_classes import display as display_classes

PACKAGES = (
    "snakemake",
    "torch",
    "numpy",
    "pandas",
    "pyarrow",
    "safetensors",
    "mlflow",
    "matplotlib",
    "jinja2",
)
THUMBNAIL = (240, 192)  # pixels at most: sharp at the size shown, a few kB each
CELL = ["learning_rate", "batch_size"]


@dataclass(frozen=True)
class Results:
    """What the earlier stages found, as frames; ``angles``: pairs by model and state, degrees."""

    config: Mapping[str, Any]
    selection: pd.DataFrame
    history: pd.DataFrame
    predictions: pd.DataFrame
    confusion: pd.DataFrame
    pruned: pd.DataFrame
    angles: Mapping[tuple[str, str], NDArray[np.float64]]
    paper: Mapping[str, Any]

    @property
    def models(self) -> list[str]:
        """Networks in the order of the config."""
        return list(self.config["run_models"])

    @property
    def classes(self) -> list[str]:
        """Classes in the order of the data."""
        return list(dict.fromkeys(self.confusion["label"]))

    @property
    def largest_class(self) -> float:
        """Share of the images that always naming the largest class gets right."""
        images = self.predictions.drop_duplicates("position")
        return float(images["label"].value_counts(normalize=True).max())

    def selected(self, model: str) -> pd.Series:
        """Row of the selected hyper-parameters."""
        rows = self.selection
        return rows[rows["selected"] & (rows["model"] == model)].iloc[0]

    def published(self, model: str) -> pd.DataFrame:
        """The paper's prunings of a model: angle, units, removed, before, after."""
        columns = ["model", "angle", "units", "removed", "before", "after"]
        rows = pd.DataFrame(self.paper["table4"], columns=columns)
        return rows[rows["model"] == model]


@dataclass(frozen=True)
class Panel:
    """One chart of a figure: a name for the page, its heading, itself in words, and the SVG."""

    name: str
    title: str
    description: str
    chart: str
    wide: bool = False

    @property
    def svg(self) -> Markup:
        """The chart with ids that no other chart of the page has."""
        return Markup(own_names(self.chart, self.name))


def build_report(
    array: Path,
    selection: Path,
    histories: list[Path],
    predictions: list[Path],
    confusion: list[Path],
    activations: list[Path],
    pruned: list[Path],
    tables: list[Path],
    audit: Path,
    paper: Path,
    template: Path,
    page: Path,
    config: dict[str, Any],
    benchmarks: str,
) -> Mirrored:
    """Write the page; ``predictions`` and ``activations`` belong together, run by run."""
    results = Results(
        config=config,
        selection=pd.DataFrame(read_rows(selection)),
        history=pd.DataFrame(read_many(histories)),
        predictions=pd.DataFrame(read_many(predictions)),
        confusion=pd.DataFrame(read_many(confusion)),
        pruned=pd.DataFrame(read_many(pruned)),
        angles=layer_angles(predictions, activations, config),
        paper=yaml.safe_load(paper.read_text(encoding="utf-8")),
    )
    context = {
        "config": config,
        "config_text": config_text(config),
        "recipe_text": recipe_text(config["recipes"][config["recipe"]]),
        "data": data_facts(results),
        "models": [model_summary(results, model) for model in results.models],
        "facts": list(run_facts(results.history, Path(benchmarks))),
        "tables": [table_of(path) for path in tables],
        "figures": figures(results),
        "audit": read_rows(audit),
        "samples": list(samples(results, array)),
    }
    write_text(page, render(template, context))
    return Mirrored()


def render(template: Path, context: Mapping[str, Any]) -> str:
    """The page; every text from the data is escaped, charts alone are not."""
    environment = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template.name).render(context)


def layer_angles(
    predictions: Sequence[Path], activations: Sequence[Path], config: Mapping[str, Any]
) -> dict[tuple[str, str], NDArray[np.float64]]:
    """Angles in degrees of all pairs of units of the pruned layer over the training images.

    The seeds of a model and state lie in one array.
    """
    found: dict[tuple[str, str], list[NDArray[np.float64]]] = defaultdict(list)
    centring = config["pruning"]["distinctiveness"]["centring"]
    for answers, outputs in zip(predictions, activations, strict=True):
        rows = pd.DataFrame(read_rows(answers, ["model", "state", "part", "position"]))
        model, state = rows.loc[0, ["model", "state"]]
        layer = read_layer(outputs, config["models"][model]["pruned_layer"])
        training = layer[rows.loc[rows["part"] == "train", "position"]]
        found[model, state].append(pair_angles(pairwise_angles(training, centring)))
    return {key: np.concatenate(angles) for key, angles in found.items()}


def read_layer(path: Path, layer: str) -> NDArray[np.float32]:
    """Activations of one layer, N images x H units; the others stay on the disk."""
    try:
        with safe_open(path, framework="numpy") as file:
            return file.get_tensor(layer)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} cannot be read ({error}); delete it and run again") from error


# What ran


def recipe_text(recipe: Mapping[str, Any]) -> str:
    """A recipe in a sentence."""
    normalisations = {
        "none": "no normalisation",
        "batch": "batch normalisation in the convolutions",
    }
    schemes = {
        "default": "PyTorch's default weights",
        "centred": "sigmoid layers that start centred",
        "standardised": "every unit standardised on training images at the start",
    }
    normalisation, scheme = recipe["normalisation"], recipe["initialisation"]["scheme"]
    parts = [normalisations.get(normalisation, normalisation), schemes.get(scheme, scheme)]
    return ", ".join([*parts, optimiser_text(recipe["optimiser"])])


def optimiser_text(optimiser: Mapping[str, Any]) -> str:
    """An optimiser and what it does beyond its name."""
    limits = {"fully connected": "linear_fan_in", "convolution": "convolution_fan_in"}
    scaled = [
        f"{layers} weights with more than {optimiser[key]:g} inputs"
        for layers, key in limits.items()
        if optimiser.get(key)
    ]
    extras = [
        f"smaller steps for {' and for '.join(scaled)}" if scaled else "",
        "centred gradients" if optimiser.get("centred_gradients") else "",
        f"{optimiser.get('warmup_steps')} steps of warm-up"
        if optimiser.get("warmup_steps")
        else "",
        "a cosine schedule" if optimiser.get("schedule") == "cosine" else "",
    ]
    name = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD"}.get(optimiser["name"])
    listed = " and ".join(filter(None, extras))
    return f"{name} with {listed}" if listed else str(name)


def config_text(config: Mapping[str, Any]) -> str:
    """The configuration as YAML, short lists and mappings on one line."""
    unshared = json.loads(json.dumps(config))  # else YAML writes a list met twice as a reference
    return yaml.safe_dump(
        unshared, sort_keys=False, allow_unicode=True, width=90, default_flow_style=None
    )


def data_facts(results: Results) -> dict[str, Any]:
    """Numbers about the data that the top of the page quotes."""
    seeds = results.predictions["seed"].unique()
    first = results.predictions[results.predictions["seed"] == seeds[0]]
    images = first.drop_duplicates("position")
    return {
        "images": len(images),
        "test_images": int((images["part"] == "test").sum()),
        "classes": len(results.classes),
        "seeds": len(seeds),
        "untrained": "untrained" in set(results.predictions["state"]),
        "largest_class": percent(results.largest_class),
        "drawn": results.config["dataset"]["path"] is None,
    }


def run_facts(history: pd.DataFrame, benchmarks: Path) -> Iterator[tuple[str, str]]:
    """What a reader needs to run the same again, as names and values."""
    runs = history.drop_duplicates(["model", *CELL, "seed"])
    yield "Commit of the workflow", git_commit().replace("+", ", with changes since")
    yield "Python", platform.python_version()
    yield "Packages", ", ".join(installed_packages())
    yield "Device of the trainings", ", ".join(sorted(set(history["device"])))
    seconds = history["seconds"].sum()
    yield "Training", f"{len(runs)} runs, {duration(seconds)} in training passes"
    stages = job_seconds(benchmarks)
    if stages:
        total = sum(spent for _, spent in stages.values())
        listed = ", ".join(f"{s} {duration(spent)} ({n})" for s, (n, spent) in stages.items())
        yield (
            "Time of all measured jobs",
            f"{duration(total)}: {listed}; number of jobs in brackets",
        )


def installed_packages() -> Iterator[str]:
    """Name and version of what the results depend on; nothing is imported for it."""
    for package in PACKAGES:
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            yield f"{package} not installed"


def job_seconds(benchmarks: Path) -> dict[str, tuple[int, float]]:
    """Number of jobs and their seconds by stage, from Snakemake's measurements."""
    stages: dict[str, tuple[int, float]] = {}
    for file in sorted(benchmarks.rglob("*.jsonl")):
        stage = file.relative_to(benchmarks).parts[0].removesuffix(".jsonl")
        if stage == "build_report":  # this job: an earlier page would change the next one
            continue
        jobs, seconds = stages.get(stage, (0, 0.0))
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        stages[stage] = (jobs + 1, seconds + sum(float(line["s"]) for line in lines))
    return dict(sorted(stages.items(), key=lambda item: -item[1][1]))


def duration(seconds: float) -> str:
    """``2 h 5 min``, ``3 min 20 s`` or ``12 s``."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


# The result in short


def model_summary(results: Results, model: str) -> dict[str, Any]:
    """Figures of one network for the top of the page."""
    chosen, published = results.selected(model), results.published(model)
    mean, deviation = chosen["test_accuracy_mean"], chosen["test_accuracy_std"]
    before = published["before"].iloc[0] if len(published) else None
    return {
        "name": display_name(model),
        "setting": setting_text(chosen),
        "cells": int((results.selection["model"] == model).sum()),
        "fixed": model in results.config["selection"]["fixed"],
        "layer": results.config["models"][model]["pruned_layer"],
        "accuracy": percent(mean),
        "deviation": None if pd.isna(deviation) else percent(deviation),
        "standing": standing(mean, deviation, results.largest_class),
        "paper": percent(before),
        "angles": list(angle_rows(results, model)),
    }


def standing(mean: float, deviation: float | None, reference: float) -> str:
    """``more``, ``less`` or ``about as`` often right as the reference, to one deviation."""
    margin = 0.0 if deviation is None or pd.isna(deviation) else deviation
    if abs(mean - reference) <= margin:
        return "about as often as"
    return "more often than" if mean > reference else "less often than"


def angle_rows(results: Results, model: str) -> Iterator[dict[str, str]]:
    """Units removed and accuracy after it at each angle, as texts: means over the seeds."""
    rows = results.pruned[results.pruned["model"] == model]
    rows = rows.assign(removed=rows["units_before"] - rows["units_after"])
    published = results.published(model).set_index("angle")
    for angle, found in rows.groupby("angle"):
        paper = published.loc[angle] if angle in published.index else {}
        row = {"angle": degrees(angle), "units": str(found["units_before"].max())}
        for state, runs in found.groupby("state"):
            row[f"{state}_removed"] = count(*mean_and_deviation(runs["removed"]))
            row[f"{state}_after"] = percent(*mean_and_deviation(runs["test_accuracy_after"]))
        yield {
            **row,
            "paper_removed": count(paper.get("removed")),
            "paper_units": count(paper.get("units")),
            "paper_after": percent(paper.get("after")),
        }


def mean_and_deviation(values: pd.Series) -> tuple[float, float | None]:
    """Mean and sample standard deviation, which one value does not have."""
    return float(values.mean()), float(values.std()) if len(values) > 1 else None


def display_name(model: str) -> str:
    """Name of a network as the paper writes it."""
    return DISPLAY_NAMES.get(model, model)


def setting_text(chosen: Mapping[str, Any]) -> str:
    """Selected hyper-parameters in words."""
    return f"learning rate {chosen['learning_rate']:g}, batch size {chosen['batch_size']}"


# Figures


def figures(results: Results) -> dict[str, list[Panel]]:
    """All charts by figure; every figure has one panel a model, or two."""
    return {
        "learning": [p for model in results.models for p in learning_panels(results, model)],
        "confusion": [confusion_panel(results, model) for model in results.models],
        "angles": [angle_panel(results, model) for model in results.models],
        "pruning": [p for model in results.models for p in pruning_panels(results, model)],
    }


def learning_panels(results: Results, model: str) -> Iterator[Panel]:
    """Loss and accuracy by epoch."""
    history = results.history[results.history["model"] == model]
    chosen = results.selected(model)
    cell = (chosen["learning_rate"], chosen["batch_size"])
    guesses = {"loss": float(np.log(len(results.classes))), "accuracy": results.largest_class}
    for quantity, guess in guesses.items():
        yield Panel(
            f"{quantity}-{model}",
            f"{display_name(model)}: {quantity}",
            f"{quantity} of {display_name(model)} on training and test images by epoch, "
            f"{setting_text(chosen)}; {history['seed'].nunique()} seeds",
            learning_curves(history, cell, quantity, guess),
        )


def confusion_panel(results: Results, model: str) -> Panel:
    """Test answers, summed over the seeds."""
    rows = results.confusion
    rows = rows[(rows["model"] == model) & (rows["part"] == "test")]
    classes = results.classes
    counts = rows.pivot_table(index="label", columns="predicted", values="count", aggfunc="sum")
    counts = counts.loc[classes, classes].to_numpy()
    right, total = int(np.trace(counts)), int(counts.sum())
    return Panel(
        f"confusion-{model}",
        display_name(model),
        f"confusion matrix of {display_name(model)}: {right} of {total} test answers are right",
        confusion_matrix(counts, classes),
        wide=len(classes) > 8,
    )


def angle_panel(results: Results, model: str) -> Panel:
    """Angles between the units of the pruned layer."""
    angles = {state: a for (name, state), a in results.angles.items() if name == model}
    thresholds = results.config["pruning"]["angles"]
    listed = ", ".join(
        f"{state} median {np.median(values):.1f} degrees" for state, values in angles.items()
    )
    layer = results.config["models"][model]["pruned_layer"]
    return Panel(
        f"angles-{model}",
        f"{display_name(model)}, layer {layer}",
        f"histogram of the angles between units of {display_name(model)}: {listed}",
        angle_histogram(angles, thresholds),
    )


def pruning_panels(results: Results, model: str) -> Iterator[Panel]:
    """Units removed and test accuracy against the angle."""
    rows, published = results.pruned[results.pruned["model"] == model], results.published(model)
    gone = 100 * (1 - rows["units_after"] / rows["units_before"])
    removed = pd.DataFrame({**rows[["state", "angle"]], "value": gone})
    paper = published.assign(value=100 * published["removed"] / published["units"])
    name, layer = display_name(model), rows["layer"].iloc[0]
    yield Panel(
        f"removed-{model}",
        f"{name}: units removed from {layer}",
        f"share of the units of {name} removed against the threshold angle",
        against_angle(removed, "units removed (%)", paper),
    )
    after = rows[["state", "angle"]].assign(value=100 * rows["test_accuracy_after"])
    before = rows.drop_duplicates(["state", "seed"])
    before = before[["state"]].assign(angle=0.0, value=100 * before["test_accuracy_before"])
    accuracy = pd.concat([before, after])
    yield Panel(
        f"accuracy-after-{model}",
        f"{name}: test accuracy",
        f"test accuracy of {name} before and after pruning against the threshold angle",
        against_angle(
            accuracy,
            "test accuracy (%)",
            published_accuracy(published),
            100 * results.largest_class,
        ),
    )


def published_accuracy(published: pd.DataFrame) -> pd.DataFrame:
    """The paper's accuracies in percent by angle, 0 being before pruning."""
    before = published[:1].assign(angle=0, value=100 * published["before"][:1])
    return pd.concat([before, published.assign(value=100 * published["after"])])


# Tables and images


def table_of(path: Path) -> dict[str, Any]:
    """A table as headings, rows of texts and a caption."""
    rows = pd.DataFrame(read_rows(path))
    number = int(re.sub(r"\D", "", path.stem))
    display = {1: display_settings, 4: display_prunings}.get(number, display_classes)(rows)
    first = rows.iloc[0]
    figures = over_seeds(rows["seeds"].max())
    name = display_name(first["model"])
    captions = {
        1: "Train and test accuracy of every setting in percent; * marks the selected ones.",
        4: "Units removed from the pruned layer, and test accuracy in percent before and after it.",
    }
    text = captions.get(number, f"Test precision and recall of {name} by class, as shares.")
    return {
        "number": number,
        "caption": f"{text} Figures are {figures}, {rows['test_images'].max()} test images; the "
        "paper's own stand beside them.",
        "head": list(display.columns),
        "rows": [[str(cell) for cell in row] for row in display.to_numpy()],
    }


def samples(results: Results, array: Path) -> Iterator[dict[str, Any]]:
    """Test images of the first seed with what each trained network answers."""
    rows = results.predictions
    first = rows[
        (rows["seed"] == rows["seed"].iloc[0])
        & (rows["part"] == "test")
        & (rows["state"] == "trained")
    ]
    images = first.drop_duplicates("position").set_index("position")["label"]
    pixels = np.load(array, mmap_mode="r")
    for position in spread_over_classes(images, results.config["report"]["sample_images"]):
        answers = first[first["position"] == position]
        yield {
            "image": answers["image"].iloc[0],
            "label": images[position],
            "data": thumbnail(pixels[position]),
            "answers": [answer(row) for row in answers.to_dict("records")],
        }


def spread_over_classes(labels: pd.Series, number: int) -> list[int]:
    """Positions in turns over the classes, each class from its first image to its last.

    Args:
        labels: class by position.
        number: how many; fewer where there are fewer images.
    """
    turn = labels.groupby(labels).cumcount()
    order = pd.DataFrame({"turn": turn, "label": labels}).sort_values(["turn", "label"])
    return sorted(order.index[:number], key=lambda position: (labels[position], position))


def answer(row: Mapping[str, Any]) -> dict[str, Any]:
    """What one network says of one image."""
    return {
        "model": display_name(row["model"]),
        "predicted": row["predicted"],
        "probability": f"{100 * row['p_' + row['predicted']]:.0f} %",
        "right": row["predicted"] == row["label"],
    }


def thumbnail(pixels: NDArray[np.uint8]) -> str:
    """JPEG of an image, height x width x 3, as a data URI."""
    image = Image.fromarray(np.asarray(pixels))
    image.thumbnail(THUMBNAIL)
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


if "snakemake" in globals():
    run_job(snakemake, build_report)  # noqa: F821
