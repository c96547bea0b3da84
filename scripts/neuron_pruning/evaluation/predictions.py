"""Predictions for every image and their figures, as rows of Parquet files."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from neuron_pruning.core.parquet import column, schema, write_rows
from neuron_pruning.data.split_file import Split
from neuron_pruning.statistics.metrics import (
    PER_CLASS,
    class_metrics,
    confusion_rows,
    cross_entropy,
    predicted_classes,
    softmax,
)

Records = list[dict[str, Any]]
Labels = NDArray[np.int64]
STATE = column("state", pa.string(), "trained or untrained")
PART = column("part", pa.string(), "train, validation or test")
METRIC_COLUMNS = (
    column("class", pa.string(), "class; all beside a metric of all classes"),
    column("metric", pa.string(), "accuracy, loss, precision, recall, specificity or f1"),
    column("value", pa.float64(), "the figure; loss in nats"),
    column("images", pa.int64(), "images of the part", "images"),
)
CONFUSION_COLUMNS = (
    column("label", pa.string(), "true class"),
    column("predicted", pa.string(), "predicted class"),
    column("count", pa.int64(), "how many", "images"),
)
METRICS_SCHEMA = schema(STATE, PART, *METRIC_COLUMNS)
CONFUSION_SCHEMA = schema(STATE, PART, *CONFUSION_COLUMNS)


def predictions_schema(
    keys: Iterable[pa.Field], classes: Sequence[str], value: str, *, run: bool
) -> pa.Schema:
    """Schema of predictions: columns ``keys``, and one column of values per class.

    ``value`` says what those hold, ``probability`` or ``decision value``; its first letter stands
    in the column's name. ``run`` puts the keys of a training run first.
    """
    return schema(
        *keys,
        PART,
        column("position", pa.int64(), "row of the array"),
        column("image", pa.string(), "file, relative to the folder of class folders"),
        column("label", pa.string(), "true class"),
        column("predicted", pa.string(), f"class of the largest {value}"),
        *(column(f"{value[0]}_{name}", pa.float64(), f"{value} of {name}") for name in classes),
        run=run,
    )


def prediction_rows(
    split: Split, predicted: Labels, values: NDArray[np.floating], value: str
) -> Records:
    """One row per image, of N predicted classes and N x classes values.

    ``value`` says what those are, as in :func:`predictions_schema`.
    """
    columns = [f"{value[0]}_{name}" for name in split.classes]
    return [
        {
            "part": str(split.parts[row]),
            "position": row,
            "image": image,
            "label": split.classes[split.labels[row]],
            "predicted": split.classes[predicted[row]],
            **dict(zip(columns, values[row].tolist(), strict=True)),
        }
        for row, image in enumerate(split.images)
    ]


def metric_rows(
    split: Split, predicted: Labels, logits: NDArray[np.floating] | None = None
) -> Records:
    """Accuracy and the figures of each class for every part, and the loss if there are logits.

    ASSUME: the paper's train accuracy is that of the final network over all training images.
    """

    def figures(where: Labels) -> Records:
        labels, loss = split.labels[where], []
        if logits is not None:
            value = cross_entropy(logits[where], labels)
            loss = [{"class": "all", "metric": "loss", "value": value}]
        rows = [*loss, *class_metrics(labels, predicted[where], split.classes)]
        return [{**row, "images": len(where)} for row in rows]

    return _by_part(split, figures)


def confusion_matrices(split: Split, predicted: Labels) -> Records:
    """Confusion matrices of all parts, one row per cell."""
    labels, classes = split.labels, split.classes
    return _by_part(split, lambda where: confusion_rows(labels[where], predicted[where], classes))


def write_evaluation(
    files: SimpleNamespace, keys: Mapping[str, Any], split: Split, logits: NDArray[np.floating]
) -> Records:
    """Write what a network makes of all images, and return its metrics.

    Args:
        files: paths ``predictions``, ``metrics`` and ``confusion``.
        keys: of the run and the state of its network.
        split: images, their labels and parts.
        logits: N images x classes.
    """
    predicted = predicted_classes(logits)
    figures = metric_rows(split, predicted, logits)
    shape = predictions_schema([STATE], split.classes, "probability", run=True)
    rows = prediction_rows(split, predicted, softmax(logits), "probability")
    write_rows(files.predictions, rows, shape, keys)
    write_rows(files.metrics, figures, METRICS_SCHEMA, keys)
    write_rows(files.confusion, confusion_matrices(split, predicted), CONFUSION_SCHEMA, keys)
    return figures


def overall(metrics: Records) -> dict[str, float]:
    """Figures over all classes by part and metric, such as ``test_accuracy``."""
    return {
        f"{r['part']}_{r['metric']}": r["value"] for r in metrics if r["metric"] not in PER_CLASS
    }


def _by_part(split: Split, rows: Callable[[Labels], Records]) -> Records:
    return [
        {**row, "part": part} for part in split.parts_present for row in rows(split.positions(part))
    ]
