"""Images of a user's own loader, told apart by content: to fit on, and to be judged by."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import xxhash
from jaxtyping import Int64
from torch import Tensor, nn
from torch.utils.data import Dataset, IterableDataset

from neuron_pruning.core.errors import NotFinite, UserError

IMAGES = ("pixel_values", "images", "image")  # as data sets of Hugging Face name them
LABELS = ("labels", "label")


@dataclass(frozen=True)
class Batches:
    """Batches of images, with labels where the loader gives them, as often as they are wanted.

    Attributes:
        loader: yields images, ``(images,)`` or ``(images, labels)``.
        held_out: of images by content: the share that :meth:`evaluation` gives and
            :meth:`calibration` does not.
        device: where the images go.
        dtype: what images of floating-point numbers become; None: they stay.
    """

    loader: Iterable[Any]
    held_out: float
    device: torch.device
    dtype: torch.dtype | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.held_out < 1.0:
            raise UserError(f"held_out is a share of the images, 0 to below 1; not {self.held_out}")
        if isinstance(self.loader, Tensor | Dataset | str) and not isinstance(
            self.loader, IterableDataset
        ):
            raise UserError(
                f"images come in batches, but {type(self.loader).__name__} gives them one by one: "
                "give DataLoader(dataset, batch_size=64), or a list of batches"
            )
        if iter(self.loader) is self.loader:
            raise UserError(
                "the images come from a generator, which can be gone through once only: give a "
                "DataLoader, or a list of batches"
            )

    @classmethod
    def of(cls, model: nn.Module, loader: Iterable[Any], held_out: float = 0.0) -> "Batches":
        """Batches on a network's device, in its floating-point numbers."""
        floating = (p.dtype for p in model.parameters() if p.is_floating_point())
        return cls(loader, held_out, device_of(model), next(floating, None))

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Batches of the loader, in the network's numbers: what an image contains is told by them.

        Raises:
            UserError: no images.
        """
        empty = True
        for images, labels in unpacked(self.loader):
            empty = False
            yield images.to(dtype=self.dtype) if images.is_floating_point() else images, labels
        if empty:
            raise UserError(
                "the loader yields no images, or none when it is gone through again: give a "
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
        seen = given = 0
        for images, labels in self:
            if self.held_out <= 0.0:
                chosen = torch.full((len(images),), not wanted)
            else:
                # By content, so that a loader that shuffles never mixes the two.
                chosen = torch.tensor(
                    [(mark / 2**64 < self.held_out) == wanted for mark in contents(images)]
                )
            seen, given = seen + len(images), given + int(chosen.sum())
            if chosen.any():
                yield (
                    images[chosen].to(self.device),
                    None if labels is None else labels[chosen].to(self.device),
                )
        if not given:
            use = "to evaluate on" if wanted else "to fit on"
            raise UserError(
                f"of {seen} images, {self.held_out:.0%} of which are held out, there are none "
                f"{use}: give more, or an evaluation loader"
            )

    def marks(self) -> set[int]:
        """A number for each image's content."""
        return {mark for images, _ in self for mark in contents(images)}


def contents(images: Tensor) -> list[int]:
    """A number of 64 bits for the content of each image."""
    values = images.detach().cpu().flatten(1).contiguous()
    arrays = values.view(torch.uint8).numpy()  # numpy has no bfloat16
    return [xxhash.xxh3_64_intdigest(array.tobytes()) for array in arrays]


def unpacked(loader: Iterable[Any]) -> Iterator[tuple[Tensor, Int64[Tensor, " images"] | None]]:
    """Images and labels of each batch of a loader.

    Raises:
        UserError: a batch that is neither images, ``(images,)``, ``(images, labels)`` nor a mapping
            of names to these.
        NotFinite: images with NaN or infinite values.
    """
    for batch in loader:
        images, labels = _images_and_labels(batch)
        if not isinstance(images, Tensor) or images.ndim < 2:
            raise UserError(
                "the loader must yield images as a tensor, images x channels x height x width, "
                f"alone or with labels; it yields {_described(batch)}"
            )
        if not torch.isfinite(images).all():
            raise NotFinite("the loader yields images with NaN or infinite values")
        if len(images):
            yield images, None if labels is None else _classes(labels, len(images))


def _images_and_labels(batch: Any) -> tuple[Any, Any]:
    """The two parts of a batch; labels are None where there are none."""
    if isinstance(batch, Mapping):  # of a data set of Hugging Face
        parts = [[batch[name] for name in names if name in batch] for names in (IMAGES, LABELS)]
        return (*parts[0], None)[0], (*parts[1], None)[0]
    if isinstance(batch, tuple | list) and 1 <= len(batch) <= 2:
        return batch[0], batch[1] if len(batch) == 2 else None
    return batch, None


def _described(batch: Any) -> str:
    """What a batch is instead, for a message."""
    name = type(batch).__name__
    if isinstance(batch, Mapping):
        parts = ", ".join(f"{key} ({type(value).__name__})" for key, value in batch.items())
        return f"a {name} of {parts}, where a tensor must be named one of {', '.join(IMAGES)}"
    if isinstance(batch, tuple | list):
        return f"a {name} of {', '.join(type(part).__name__ for part in batch)}"
    return name


def _classes(labels: Any, images: int) -> Int64[Tensor, " images"]:
    """Labels as numbers of classes, one per image."""
    remedy = ""
    try:
        classes = torch.as_tensor(labels)
    except (TypeError, ValueError, RuntimeError):  # text, or lists of unlike lengths
        found = f"type {type(labels).__name__}"
    else:
        if not classes.is_floating_point() and classes.shape == (images,):
            return classes.long()
        found = f"type {classes.dtype} and shape {tuple(classes.shape)}"
        if classes.ndim == 0:
            remedy = ". If these are single images, put the data set into a DataLoader"
        elif classes.ndim == 2:
            remedy = ". Of one-hot labels give labels.argmax(dim=1)"
    raise UserError(
        f"the loader must yield one class number per image, or no labels; it yields labels of "
        f"{found} for {images} images{remedy}"
    )


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
