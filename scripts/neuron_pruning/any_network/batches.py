"""Images of a user's own loader, told apart by content: to fit on, and to be judged by."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import xxhash
from jaxtyping import Int64
from torch import Tensor, nn

from neuron_pruning.core.errors import NotFinite, UserError


@dataclass(frozen=True)
class Batches:
    """Batches of images, with labels where the loader gives them, as often as they are wanted.

    Attributes:
        loader: yields images, ``(images,)`` or ``(images, labels)``.
        held_out: of images by content: the share that :meth:`evaluation` gives and
            :meth:`calibration` does not.
        device: where the images go.
    """

    loader: Iterable[Any]
    held_out: float
    device: torch.device

    def __post_init__(self) -> None:
        if not 0.0 <= self.held_out < 1.0:
            raise UserError(f"held_out is a share of the images, 0 to below 1; not {self.held_out}")
        if iter(self.loader) is self.loader:
            raise UserError(
                "the images come from a generator, which can be gone through once only: give a "
                "DataLoader, or a list of batches"
            )

    def calibration(self) -> Iterator[Tensor]:
        """Images to fit on."""
        return (images for images, _ in self._side(False))

    def labelled(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        """The same with their labels, None where the loader gives none."""
        return self._side(False)

    def evaluation(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Images that nothing was fitted on."""
        return self._side(True)

    def _side(self, wanted: bool) -> Iterator[tuple[Tensor, Tensor | None]]:
        for images, labels in unpacked(self.loader):
            if self.held_out <= 0.0:
                chosen = torch.full((len(images),), not wanted)
            else:
                # By content, so that a loader that shuffles never mixes the two.
                chosen = torch.tensor(
                    [(mark / 2**64 < self.held_out) == wanted for mark in contents(images)]
                )
            if chosen.any():
                yield (
                    images[chosen].to(self.device),
                    None if labels is None else labels[chosen].to(self.device),
                )

    def marks(self) -> set[int]:
        """A number for each image's content."""
        return {mark for images, _ in unpacked(self.loader) for mark in contents(images)}


def contents(images: Tensor) -> list[int]:
    """A number of 64 bits for the content of each image."""
    arrays = images.detach().cpu().contiguous().numpy()
    return [xxhash.xxh3_64_intdigest(array.tobytes()) for array in arrays]


def unpacked(loader: Iterable[Any]) -> Iterator[tuple[Tensor, Int64[Tensor, " images"] | None]]:
    """Images and labels of each batch of a loader.

    Raises:
        UserError: a batch that is neither images, ``(images,)`` nor ``(images, labels)``.
        NotFinite: images with NaN or infinite values.
    """
    for batch in loader:
        images, labels = batch, None
        if isinstance(batch, tuple | list) and 1 <= len(batch) <= 2:
            images, labels = batch[0], batch[1] if len(batch) == 2 else None
        if not isinstance(images, Tensor) or images.ndim < 2:
            raise UserError(
                "the loader must yield images as a tensor, images x channels x height x width, "
                f"alone or with labels; it yields {type(batch).__name__}"
            )
        if not torch.isfinite(images).all():
            raise NotFinite("the loader yields images with NaN or infinite values")
        yield images, None if labels is None else _classes(labels, len(images))


def _classes(labels: Any, images: int) -> Int64[Tensor, " images"]:
    """Labels as numbers of classes, one per image."""
    classes = torch.as_tensor(labels)
    if classes.is_floating_point() or classes.shape != (images,):
        raise UserError(
            f"the loader must yield one class number per image, or no labels; it yields labels of "
            f"type {classes.dtype} and shape {tuple(classes.shape)} for {images} images"
        )
    return classes.long()


def check_apart(calibration: Batches, evaluation: Batches) -> None:
    """Refuse images that are fitted on and judged by.

    Raises:
        UserError: an image is in both.
    """
    shared = len(calibration.marks() & evaluation.marks())
    if shared:
        raise UserError(
            f"{shared} images are both in calibration and in evaluation: pruning would be judged "
            "by what it was fitted on; take them out of one"
        )


def device_of(model: nn.Module) -> torch.device:
    """Where a network's parameters are; the CPU for one without."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))
