"""What ran, in words and numbers."""

import json
import platform
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from neuron_pruning.reporting.results import Results
from neuron_pruning.tables.rendering import percent

PACKAGES = (
    "snakemake",
    "torch",
    "torchvision",
    "numpy",
    "pandas",
    "pyarrow",
    "safetensors",
    "mlflow",
    "opencv-python-headless",
    "scikit-learn",
    "statsmodels",
    "matplotlib",
    "jinja2",
)
PARTS = {"train": "training", "validation": "validation", "test": "test"}
RUN = ["model", "learning_rate", "batch_size", "seed"]


def recipe_text(recipe: Mapping[str, Any]) -> str:
    """A recipe in a sentence."""
    normalisations = {
        "none": "no normalisation",
        "batch": "batch normalisation in the convolutions",
        "contrast": "local contrast evened out, batch normalisation in the convolutions",
    }
    schemes = {
        "default": "PyTorch's default weights",
        "centred": "sigmoid layers that start centred",
        "standardised": "every unit standardised on training images at the start",
    }
    normalisation, scheme = recipe["normalisation"], recipe["initialisation"]["scheme"]
    smoothing, epochs = recipe.get("label_smoothing"), recipe.get("epochs")
    parts = [
        normalisations.get(normalisation, normalisation),
        schemes.get(scheme, scheme),
        pretrained_text(recipe["initialisation"].get("weights")),
        optimiser_text(recipe["optimiser"]),
        augmentation_text(recipe.get("augmentation", {})),
        f"label smoothing {smoothing:g}" if smoothing else "",
        f"{epochs} epochs" if epochs else "",
    ]
    return ", ".join(filter(None, parts))


def pretrained_text(weights: str | None) -> str:
    """Where the weights of a convolutional part come from, if not from the scheme."""
    return f"convolutions with the pretrained weights {weights}" if weights else ""


def augmentation_text(augmentation: Mapping[str, Any]) -> str:
    """How training images are varied, if they are."""
    changes = {
        "flip": "mirrored",
        "crop": "cropped by up to {share:.0f} %",
        "rotation": "turned by up to {value:g}°",
        "colour": "recoloured by up to {share:.0f} %",
        "grey": "{share:.0f} % of them grey",
        "erase": "{share:.0f} % of them with an erased rectangle",
    }
    listed = [
        said.format(value=augmentation[name], share=100 * augmentation[name])
        for name, said in changes.items()
        if augmentation.get(name)
    ]
    return f"training images varied: {' and '.join(listed)}" if listed else ""


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
        **{f"{name}_images": int((images["part"] == part).sum()) for part, name in PARTS.items()},
        "classes": len(results.classes),
        "seeds": len(seeds),
        "untrained": "untrained" in set(results.predictions["state"]),
        "largest_class": percent(results.largest_class),
        "chance": percent(results.constant("chance")),
        "drawn": results.config["dataset"]["path"] is None,
        "fine_tuning": int(results.pruned["fine_tuning"].max()),
    }


def run_facts(speed: pd.DataFrame, benchmarks: Path, commit: str) -> Iterator[tuple[str, str]]:
    """What a reader needs to run the same again, as names and values."""
    runs = speed.drop_duplicates(RUN)
    yield "Commit of the workflow", commit.replace("+", ", with changes since")
    yield "Python", platform.python_version()
    yield "Packages", ", ".join(installed_packages())
    yield "Device of the trainings", ", ".join(sorted(set(speed["device"])))
    seconds = speed["seconds"].sum()
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
        stages[stage] = (jobs + 1, seconds + measured_seconds(file))
    return dict(sorted(stages.items(), key=lambda item: -item[1][1]))


def measured_seconds(file: Path) -> float:
    """Seconds of one job; what a killed Snakemake left half-written counts nothing."""
    total = 0.0
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        with suppress(ValueError, KeyError, TypeError):
            total += float(json.loads(line)["s"])
    return total


def duration(seconds: float) -> str:
    """``2 h 5 min``, ``3 min 20 s`` or ``12 s``."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
