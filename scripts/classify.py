"""Train a support vector machine on descriptors of the training part, and evaluate it."""

from pathlib import Path
from typing import Any

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
from neuron_pruning.data.split_file import read_split
from neuron_pruning.evaluation.predictions import (
    METRIC_COLUMNS,
    PART,
    metric_rows,
    overall,
    prediction_rows,
    predictions_schema,
)
from runtime.job_adapter import TrackedResult, run_job

SVM_COLUMNS = (
    column("experiment", pa.string(), "name of the experiment"),
    column("baseline", pa.string(), "descriptors of images, or a table of features"),
    column("split", pa.string(), "how the images were divided"),
    column("crop", pa.string(), "whole frames (none) or faces"),
    column("seed", pa.int64(), "seed of split and folds"),
)
SVM_METRICS_SCHEMA = schema(*SVM_COLUMNS, PART, *METRIC_COLUMNS, run=False)


def classify(
    features: Path,
    split: Path,
    predictions: Path,
    metrics: Path,
    keys: dict[str, Any],
    svm: dict[str, Any],
) -> TrackedResult:
    """Write the predictions for every image, and how good they are in every part.

    Metrics of the training part also hold the chosen settings: c, gamma, components and the
    accuracy over the folds.
    """
    images, described = read_features(features)
    split_arrays = read_split(split)
    if tuple(images) != split_arrays.images:
        raise UserError(f"{features} and {split} hold other images; delete both, run again")
    rows = split_arrays.positions("train")
    classifier = fit_classifier(
        described[rows],
        split_arrays.labels[rows],
        split_arrays.group_names[rows],
        ClassifierSettings(**svm),
        keys["seed"],
    )
    values = decision_values(classifier, described, len(split_arrays.classes))
    predicted = values.argmax(axis=1)
    shape = predictions_schema(SVM_COLUMNS, split_arrays.classes, "decision value", run=False)
    rows_of_images = prediction_rows(split_arrays, predicted, values, "decision value")
    write_rows(predictions, rows_of_images, shape, keys)
    chosen = {"part": "train", "class": "all", "images": len(rows)}
    figures = metric_rows(split_arrays, predicted)
    figures += [
        {**chosen, "metric": name, "value": value}
        for name, value in describe_choice(classifier).items()
    ]
    write_rows(metrics, figures, SVM_METRICS_SCHEMA, keys)
    return TrackedResult(metrics=overall(figures))


if "snakemake" in globals():
    run_job(globals()["snakemake"], classify)
