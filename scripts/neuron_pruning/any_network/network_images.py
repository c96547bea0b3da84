"""Images of a folder for a network: prepared as it reads them, with labels that are its classes."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from neuron_pruning.any_network.images import ImageBatches, image_batches
from neuron_pruning.any_network.logits import logits_of
from neuron_pruning.any_network.preprocessing import Preprocessing
from neuron_pruning.any_network.sources import OpenedNetwork
from neuron_pruning.core.errors import UserError, refuse_unreadable
from neuron_pruning.data.image_folder import class_folders


def images_for(
    opened: OpenedNetwork,
    folder: Path,
    *,
    limit: int | None,
    seed: int,
    classes: Sequence[str],
    labelled: bool | None,
    remedy: str,
) -> ImageBatches:
    """Images of a folder, with labels that fit the network's outputs.

    Args:
        opened: the network.
        folder: as for :func:`image_batches`, which says more about the others.
        limit: images at most.
        seed: of the order.
        classes: names by index; empty: those of the network itself, or the folders' order.
        labelled: whether there must be labels, or none.
        remedy: what to do about class folders that are not the network's classes.

    Raises:
        UserError: the network does not run on such images, or tells other classes apart.
    """
    images = image_batches(
        folder, opened.preprocessing, limit=limit, seed=seed,
        classes=classes or classes_of(opened, folder), labelled=labelled,
    )  # fmt: skip
    example = example_image(opened.preprocessing)
    with refuse_unreadable(
        f"{opened.source} does not run on an image of shape {tuple(example.shape)}",
        "give another size, mean and deviation",
    ):
        outputs = logits_of(opened.module, example).shape[1]
    if images.classes and len(images.classes) != outputs:
        raise UserError(
            f"{folder}: {len(images.classes)} classes, but the network has {outputs} outputs; "
            f"{remedy}"
        )
    return images


def classes_of(opened: OpenedNetwork, folder: Path) -> Sequence[str] | None:
    """Names of a network's classes by index; None where the folders are taken in their order.

    ASSUME: as many folders as there are classes, all of them under other names, are in the order
    of the outputs, as ImageNet's are, whose names are numbers.
    """
    folders = {place.name for place in class_folders(folder)} if folder.is_dir() else set()
    if len(folders) == len(opened.labels) and folders.isdisjoint(opened.labels):
        return None
    return opened.labels or None


def example_image(preprocessing: Preprocessing) -> Tensor:
    """One image as the network reads it."""
    generator = torch.Generator().manual_seed(0)
    shape = (1, preprocessing.channels, preprocessing.height, preprocessing.width)
    return torch.randn(shape, generator=generator)
