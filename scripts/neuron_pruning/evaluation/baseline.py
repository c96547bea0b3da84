"""Predictions and figures of the support vector machine."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from neuron_pruning.baselines.svm import (
    ClassifierSettings,
    decision_values,
    describe_choice,
    fit_classifier,
)
from neuron_pruning.core.parquet import column, schema
from neuron_pruning.data.split_file import Split
from neuron_pruning.evaluation.predictions import (
    METRIC_COLUMNS,
    PART,
    Records,
    metric_rows,
    prediction_rows,
    predictions_schema,
)

SVM_COLUMNS = (
    column("experiment", pa.string(), "name of the experiment"),
    column("baseline", pa.string(), "descriptors of images, or a table of features"),
    column("split", pa.string(), "how the images were divided"),
    column("crop", pa.string(), "whole frames (none) or faces"),
    column("seed", pa.int64(), "seed of split and folds"),
)
SVM_METRICS_SCHEMA = schema(*SVM_COLUMNS, PART, *METRIC_COLUMNS, run=False)
VALUE = "decision value"


def svm_predictions_schema(classes: Sequence[str]) -> pa.Schema:
    """Schema of the predictions, with one column of decision values per class."""
    return predictions_schema(SVM_COLUMNS, classes, VALUE, run=False)


def evaluate_svm(
    features: NDArray[np.float64], split: Split, settings: ClassifierSettings, seed: int
) -> tuple[Records, Records]:
    """Predictions for every image by the machine of the training part, and figures of every part.

    Figures of the training part also hold the chosen settings: c, gamma, components and the
    accuracy over the folds.
    """
    rows = split.positions("train")
    training = features[rows], split.labels[rows], split.groups[rows]
    classifier = fit_classifier(*training, settings, seed)
    values = decision_values(classifier, features, len(split.classes))
    predicted = values.argmax(axis=1)
    chosen = {"part": "train", "class": "all", "images": len(rows)}
    choice = describe_choice(classifier).items()
    figures = metric_rows(split, predicted)
    figures += [{**chosen, "metric": name, "value": value} for name, value in choice]
    return prediction_rows(split, predicted, values, VALUE), figures
