"""How a pruned network compares with the unpruned one, and with random removal."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64, UInt64
from numpy.typing import NDArray
from torch import Tensor, nn

from neuron_pruning.any_network.batches import contents
from neuron_pruning.any_network.logits import check_labels, logits_of
from neuron_pruning.core.errors import NotFinite, UserError
from neuron_pruning.statistics.resampling import Resampling
from neuron_pruning.statistics.significance import wilson


@dataclass(frozen=True)
class Predictions:
    """A network's predictions for the evaluation images, and their labels if they have any.

    In the order of the images' contents, since a loader may shuffle them.
    """

    classes: Int64[NDArray, " images"]
    labels: Int64[NDArray, " images"] | None
    contents: UInt64[NDArray, " images"]

    @property
    def right(self) -> Bool[NDArray, " images"] | None:
        """Which predictions are the labels."""
        return None if self.labels is None else self.classes == self.labels

    def hits(self, unpruned: "Predictions") -> Bool[NDArray, " images"]:
        """Which predictions are right; without labels, which are those of the unpruned network.

        Raises:
            UserError: these are about other images.
        """
        check_same_images(unpruned, self)
        return self.classes == unpruned.classes if self.right is None else self.right


@torch.inference_mode()
def predict(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor | None]]) -> Predictions:
    """Predictions of a network in evaluation mode.

    Raises:
        UserError: no images, no logits, or labels that are none of their classes.
        NotFinite: logits with NaN or infinite values.
    """
    classes, labels, marks = [], list[NDArray[np.int64]](), list[int]()
    for images, known in batches:
        marks += contents(images)
        logits = logits_of(model, images)
        if not torch.isfinite(logits).all():
            raise NotFinite("the network's logits are NaN or infinite")
        classes.append(logits.argmax(dim=-1).cpu().numpy())
        if known is not None:
            check_labels(known, logits.shape[1])
            labels.append(known.cpu().numpy())
    if not classes:
        raise UserError("there are no images to evaluate on: give more, or an evaluation loader")
    whole = np.concatenate(labels) if len(labels) == len(classes) else None
    found = np.array(marks, dtype=np.uint64)
    order = np.lexsort((found,) if whole is None else (whole, found))
    return Predictions(
        np.concatenate(classes)[order], None if whole is None else whole[order], found[order]
    )


@dataclass(frozen=True)
class Share:
    """A share of images and its Wilson interval of 95 %."""

    value: float
    low: float
    high: float
    images: int

    @property
    def interval(self) -> list[float]:
        """The share and its interval, as JSON has it."""
        return [self.value, self.low, self.high]

    def __str__(self) -> str:
        """In percent."""
        return f"{100 * self.value:.1f} % [{100 * self.low:.1f}, {100 * self.high:.1f}]"


def share_of(hits: Bool[NDArray, " images"]) -> Share:
    """How many of some images are hits."""
    return Share(float(hits.mean()), *wilson(int(hits.sum()), len(hits)), len(hits))


@dataclass(frozen=True)
class Answer:
    """What a pruned network still does, on images that nothing was fitted on.

    Attributes:
        agreement: share of images whose prediction is that of the unpruned network.
        accuracy: share of images with the right prediction, where there are labels.
        accuracy_before: of the unpruned network.
        random: agreement of each network from which as many units of each layer were removed at
            random, with the same compensation; accuracy where there are labels.
        difference: agreement (accuracy) minus the mean over the random ones.
        p: of no difference, by sign flips of the images' differences.
    """

    agreement: Share
    accuracy: Share | None
    accuracy_before: Share | None
    random: tuple[float, ...]
    difference: float | None
    p: float | None

    @property
    def measure(self) -> str:
        """What the comparison with random removal is about."""
        return "agreement" if self.accuracy is None else "accuracy"


def check_same_images(before: Predictions, after: Predictions) -> None:
    """Refuse, with a UserError, predictions that are about other images."""
    if not np.array_equal(before.contents, after.contents):
        raise UserError(
            "the loader gives other images each time it is gone through: switch off random "
            "augmentation, random sampling and drop_last"
        )


def judge(before: Predictions, after: Predictions, random: Sequence[Predictions]) -> Answer:
    """Compare the predictions of a pruned network with those before, and with random removal.

    Raises:
        UserError: they are not about the same images.
    """
    own, others = after.hits(before), [draw.hits(before) for draw in random]
    difference = p = None
    if random:
        difference, p = _paired(own, np.stack(others))
    return Answer(
        share_of(after.classes == before.classes),
        None if after.right is None else share_of(after.right),
        None if before.right is None else share_of(before.right),
        tuple(float(right.mean()) for right in others),
        difference,
        p,
    )


def _paired(
    own: Bool[NDArray, " images"], others: Bool[NDArray, "draws images"]
) -> tuple[float, float]:
    """Mean difference from random removal, and its p."""
    images = Resampling({0: np.arange(len(own))})
    by_image: Float64[NDArray, " images"] = images.by_clip(
        {0: own[None].astype(np.float32)}, {0: others.astype(np.float32)}
    )
    return float(by_image.sum()), float(images.p_values(by_image[None])[0])
