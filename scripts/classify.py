"""Train a support vector machine on descriptors of the training part, and let it answer."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from neuron_pruning.baselines.descriptors import read_features
from neuron_pruning.baselines.svm import (
    ClassifierSettings,
    decision_values,
    describe_choice,
    fit_classifier,
)
from neuron_pruning.core.errors import UserError
from neuron_pruning.core.parquet import column, schema, write_rows
from neuron_pruning.data.split_file import Split, read_split
from neuron_pruning.statistics.metrics import class_metrics
from runtime.job_adapter import Mirrored, run_job

MACHINE_COLUMNS = (
    column("experiment", pa.string(), "name of the experiment"),
    column("baseline", pa.string(), "descriptors of images, or a sheet of features"),
    column("split", pa.string(), "how the images were divided"),
    column("crop", pa.string(), "whole frames (none) or faces"),
    column("seed", pa.int64(), "seed of split and folds"),
    column("part", pa.string(), "train, validation or test"),
)
METRICS_SCHEMA = schema(
    *MACHINE_COLUMNS,
    column("class", pa.string(), "class, or all"),
    column(
        "metric",
        pa.string(),
        "accuracy, precision, recall, specificity or f1; of the training part also the chosen c "
        "and gamma, components, and fold_accuracy",
    ),
    column("value", pa.float64(), "the figure"),
    column("images", pa.int64(), "images of the part", "images"),
    run=False,
)


def predictions_schema(classes: tuple[str, ...]) -> pa.Schema:
    """Schema with one decision value a class."""
    return schema(
        *MACHINE_COLUMNS,
        column("position", pa.int64(), "row of the index"),
        column("image", pa.string(), "file, relative to the folder of class folders"),
        column("label", pa.string(), "true class"),
        column("predicted", pa.string(), "class of the largest decision value"),
        *(column(f"d_{c}", pa.float64(), f"decision value of {c}") for c in classes),
        run=False,
    )


def classify(
    features: Path,
    split: Path,
    predictions: Path,
    metrics: Path,
    keys: dict[str, Any],
    machine: dict[str, Any],
) -> Mirrored:
    """Write the answers for every image, and how good they are in every part."""
    images, described = read_features(features)
    parts = read_split(split)
    if tuple(images) != parts.images:
        raise UserError(f"{features} and {split} hold other images; delete both, run again")
    rows = parts.positions("train")
    classifier = fit_classifier(
        described[rows], parts.truth[rows], parts.groups[rows], _settings(machine), keys["seed"]
    )
    values = decision_values(classifier, described, len(parts.classes))
    write_rows(predictions, prediction_rows(parts, values), predictions_schema(parts.classes), keys)
    measured = metric_rows(parts, values.argmax(axis=1))
    choice = describe_choice(classifier)
    facts = {"part": "train", "class": "all", "images": len(rows)}
    measured += [{**facts, "metric": name, "value": value} for name, value in choice.items()]
    write_rows(metrics, measured, METRICS_SCHEMA, keys)
    overall = {f"{r['part']}_{r['metric']}": r["value"] for r in measured if r["class"] == "all"}
    return Mirrored(metrics=overall)


def _settings(machine: dict[str, Any]) -> ClassifierSettings:
    lists = {name: tuple(machine[name]) for name in ("c", "gamma")}
    return ClassifierSettings(**{**machine, **lists})


def prediction_rows(parts: Split, values: np.ndarray) -> list[dict[str, Any]]:
    """One row an image."""
    answers = values.argmax(axis=1)
    return [
        {
            "part": str(parts.parts[row]),
            "position": row,
            "image": image,
            "label": parts.classes[parts.truth[row]],
            "predicted": parts.classes[answers[row]],
            **{f"d_{c}": float(v) for c, v in zip(parts.classes, values[row], strict=True)},
        }
        for row, image in enumerate(parts.images)
    ]


def metric_rows(parts: Split, answers: np.ndarray) -> list[dict[str, Any]]:
    """Accuracy and the figures of each class, for every part."""
    rows = []
    for part in parts.parts_present:
        where = parts.positions(part)
        found = class_metrics(parts.truth[where], answers[where], parts.classes)
        rows += [{**row, "part": part, "images": len(where)} for row in found]
    return rows


if "snakemake" in globals():
    run_job(globals()["snakemake"], classify)
