"""Train a support vector machine on descriptors of the training part, and evaluate it."""

from pathlib import Path
from typing import Any

from neuron_pruning.baselines.descriptors import read_features
from neuron_pruning.baselines.svm import ClassifierSettings
from neuron_pruning.core.errors import UserError
from neuron_pruning.core.parquet import write_rows
from neuron_pruning.data.split_file import read_split
from neuron_pruning.evaluation.baseline import (
    SVM_METRICS_SCHEMA,
    evaluate_svm,
    svm_predictions_schema,
)
from neuron_pruning.evaluation.predictions import overall
from runtime.job_adapter import TrackedResult, run_job


def classify(
    features: Path,
    split: Path,
    predictions: Path,
    metrics: Path,
    keys: dict[str, Any],
    svm: dict[str, Any],
) -> TrackedResult:
    """Write the predictions for every image, and how good they are in every part."""
    images, described = read_features(features)
    parts = read_split(split)
    if tuple(images) != parts.images:
        raise UserError(f"{features} and {split} hold other images; delete both, run again")
    rows, figures = evaluate_svm(described, parts, ClassifierSettings(**svm), keys["seed"])
    write_rows(predictions, rows, svm_predictions_schema(parts.classes), keys)
    write_rows(metrics, figures, SVM_METRICS_SCHEMA, keys)
    return TrackedResult(metrics=overall(figures))


if "snakemake" in globals():
    run_job(globals()["snakemake"], classify)
