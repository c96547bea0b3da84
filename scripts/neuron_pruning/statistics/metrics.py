"""Figures of predictions from logits and labels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuron_pruning.core.errors import NotFinite

PER_CLASS = ("precision", "recall", "specificity", "f1")  # metrics of a class; others are of all


def predicted_classes(logits: NDArray[np.floating]) -> NDArray[np.int64]:
    """Class of the largest of each image's logits, N x classes.

    Raises:
        NotFinite: there is NaN or infinity among them, which would count as a prediction.
    """
    return check_finite(logits).argmax(axis=1)


def check_finite(outputs: NDArray[np.floating], name: str = "logits") -> NDArray[np.floating]:
    """``outputs``, N x any number, as they are.

    Raises:
        NotFinite: naming how many rows are not finite.
    """
    broken = int((~np.isfinite(outputs)).any(axis=1).sum())
    if broken:
        raise NotFinite(f"{name} of {broken} of {len(outputs)} images are NaN or infinite")
    return outputs


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Class probabilities, N x classes, float64."""
    exponentials = np.exp(_shifted(logits))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def log_softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Logarithms of the class probabilities, N x classes, float64; never minus infinity."""
    shifted = _shifted(logits)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def _shifted(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    return check_finite(logits).astype(np.float64) - logits.max(axis=1, keepdims=True)


def confusion_matrix(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    """How many images of each class (rows) got each prediction (columns)."""
    cells = np.bincount(labels * classes + predicted, minlength=classes**2)
    return cells.reshape(classes, classes)


def class_metrics(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: Sequence[str]
) -> list[dict[str, Any]]:
    """Rows ``class, metric, value``: accuracy over all, and four figures per class.

    Which rows are over all classes the metric says: ``all`` may be the name of a class too.

    A class that was never predicted has the precision 0, as in scikit-learn; recall and F1 of a
    class without images are not a number, and left out of means.
    """
    matrix = confusion_matrix(labels, predicted, len(classes))
    hit, named, images, total = matrix.diagonal(), matrix.sum(0), matrix.sum(1), matrix.sum()
    figures = (
        _ratio(hit, named),
        np.where(images > 0, _ratio(hit, images), np.nan),
        _ratio(total - named - images + hit, total - images),
        np.where(images > 0, _ratio(2 * hit, named + images), np.nan),
    )
    rows = [{"class": "all", "metric": "accuracy", "value": float(hit.sum() / total)}]
    return rows + [
        {"class": name, "metric": metric, "value": value}
        for metric, values in zip(PER_CLASS, figures, strict=True)
        for name, value in zip(classes, values.tolist(), strict=True)
    ]


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def confusion_rows(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: Sequence[str]
) -> list[dict[str, Any]]:
    """Rows ``label, predicted, count`` of the confusion matrix, zeros included."""
    matrix = confusion_matrix(labels, predicted, len(classes))
    return [
        {"label": classes[i], "predicted": classes[j], "count": int(count)}
        for (i, j), count in np.ndenumerate(matrix)
    ]


def cross_entropy(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Mean cross-entropy of the softmax in nats."""
    return float(-log_softmax(logits)[np.arange(len(labels)), labels].mean())


def divergence(before: NDArray[np.floating], after: NDArray[np.floating]) -> float:
    """Mean Kullback-Leibler divergence of the probabilities ``after`` from ``before``, in nats."""
    old, new = log_softmax(before), log_softmax(after)
    return float((np.exp(old) * (old - new)).sum(axis=1).mean())


def before_and_after(
    old: NDArray[np.floating], new: NDArray[np.floating], labels: NDArray[np.int64]
) -> dict[str, Any]:
    """Accuracy, loss and agreement of a network on the test images, from its logits."""
    return {
        "test_images": len(labels),
        "test_accuracy_before": share_right(old, labels),
        "test_accuracy_after": share_right(new, labels),
        "test_loss_before": cross_entropy(old, labels),
        "test_loss_after": cross_entropy(new, labels),
        "agreement": share_right(new, predicted_classes(old)),
        "divergence": divergence(old, new),
        **only_one_right(old, new, labels),
    }


def only_one_right(
    old: NDArray[np.floating], new: NDArray[np.floating], labels: NDArray[np.int64]
) -> dict[str, int]:
    """Correct predictions that were lost and gained: the counts of McNemar's test."""
    before, after = (predicted_classes(logits) == labels for logits in (old, new))
    return {"lost": int((before & ~after).sum()), "gained": int((after & ~before).sum())}


def share_right(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Share of correct predictions."""
    return float((predicted_classes(logits) == labels).mean())
