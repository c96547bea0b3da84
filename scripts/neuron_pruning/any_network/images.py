"""A folder of images as batches that a network reads, decoded one batch at a time."""

import importlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neuron_pruning.any_network.preprocessing import GIVE, Preprocessing
from neuron_pruning.core.errors import UserError, refuse_unreadable
from neuron_pruning.core.files import read_file
from neuron_pruning.core.seeds import derive_seed
from neuron_pruning.data.image_folder import (
    class_folders,
    flat_images,
    list_unused,
    shortened,
    unused_images,
)

if TYPE_CHECKING:
    from PIL import Image  # an extra, imported where an image is read

TOLERANCE = 0.02  # of pixels in [0, 1], in the mean: libraries round, and resize by their own code
PIXELS = 512 * 2**20  # bytes that stay in memory: pruning goes through the images a dozen times
GREY = "#808080"  # beside an image that is padded: what the workflow pads with
FORMATS = "PNG or JPEG images by their names"


@dataclass(frozen=True)
class ImageBatches:
    """Images of a folder, in batches, as often as they are asked for.

    Iterating yields images, float32 N x channels x height x width, or with labels pairs of those
    and int64 labels. Pixels stay in memory as far as ``PIXELS`` allows; others are decoded again.

    Attributes:
        files: of the images, in the order in which they come.
        labels: index of the class of each; empty without class folders.
        classes: names of the classes by index; empty without class folders.
        preprocessing: what brings each image to what the network reads.
        batch_size: images of a batch; the last may have fewer.
        kept: pixels of batches that were decoded, by their first image.
    """

    files: tuple[Path, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    batch_size: int = 64
    kept: dict[int, NDArray[np.uint8]] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        """Batches."""
        return -(-len(self.files) // self.batch_size)

    def __iter__(self) -> Iterator[Tensor | tuple[Tensor, Tensor]]:
        """Batches, from the first.

        Raises:
            UserError: a file is no readable image.
        """
        with ThreadPoolExecutor() as threads:
            for start in range(0, len(self.files), self.batch_size):
                part = slice(start, start + self.batch_size)
                pixels = self.kept.get(start)
                if pixels is None:
                    pixels = np.stack([*threads.map(self._read, self.files[part])])
                    if pixels.nbytes + sum(p.nbytes for p in self.kept.values()) <= PIXELS:
                        self.kept[start] = pixels
                images = normalised(pixels, self.preprocessing)
                yield (images, torch.tensor(self.labels[part])) if self.labels else images

    def split(self, first: int) -> tuple["ImageBatches", "ImageBatches"]:
        """The first images and the others, each as balanced as all are: no image is in both."""
        return self._part(slice(first)), self._part(slice(first, None))

    def _part(self, rows: slice) -> "ImageBatches":
        return replace(self, files=self.files[rows], labels=self.labels[rows], kept={})

    def _read(self, path: Path) -> NDArray[np.uint8]:
        """Pixels of an image, height x width x channels."""
        from neuron_pruning.data.decoding import read_upright

        with refuse_unreadable(f"{path} is no readable image", "mend or remove it"):
            image, _ = read_upright(read_file(path))
        return prepared_pixels(image, self.preprocessing)


def prepared_pixels(image: "Image.Image", preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Pixels of an RGB image, resized and cropped, height x width x channels.

    As torchvision's transforms do on images of Pillow, or the workflow where they are padded,
    pixel by pixel. What a crop has beyond the image is black.
    """
    from PIL import Image, ImageOps

    if preprocessing.channels == 1:
        image = image.convert("L")
    rows, columns = preprocessing.resized(image.height, image.width)
    resampling = Image.Resampling[preprocessing.interpolation.upper()]
    if image.size != (columns, rows) and preprocessing.pad:
        image = ImageOps.pad(image, (columns, rows), resampling, color=GREY)
    elif image.size != (columns, rows):
        image = image.resize((columns, rows), resampling)
    height, width = preprocessing.height, preprocessing.width
    top, left = round((rows - height) / 2), round((columns - width) / 2)
    if (height, width) != (rows, columns):
        image = image.crop((left, top, left + width, top + height))
    return np.asarray(image).reshape(height, width, preprocessing.channels)


def normalised(pixels: NDArray[np.uint8], preprocessing: Preprocessing) -> Tensor:
    """Pixels, N x height x width x channels, as float32 N x channels x height x width."""
    values = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous().float()
    mean, std = (
        torch.tensor(numbers, dtype=torch.float32).view(-1, 1, 1)
        for numbers in (preprocessing.mean, preprocessing.std)
    )
    return values.div_(255.0).sub_(mean).div_(std)


def check_processor(processor: Callable[..., Any], ours: Preprocessing, source: str) -> None:
    """Refuse an image processor that does other things to a picture than what was read of it.

    Some swap the colours, or resize by a rule of their own that no setting tells.

    Args:
        processor: as transformers has them.
        ours: what was read of its settings.
        source: of the network, for the message.

    Raises:
        UserError: the processor does more.
    """
    from PIL import Image

    blobs = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    picture = Image.fromarray(blobs).resize((640, 480), Image.Resampling.BICUBIC)
    theirs = processor(picture, return_tensors="pt")["pixel_values"]
    expected = normalised(np.stack([prepared_pixels(picture, ours)]), ours)
    distance = (theirs - expected).abs() if theirs.shape == expected.shape else torch.ones(1)
    if float(distance.mean()) * max(ours.std) > TOLERANCE:
        raise UserError(
            f"{source}: {type(processor).__name__} does more with an image than to resize, crop "
            f"and normalise it; wrap the network in a factory that does so, and {GIVE}"
        )


def image_batches(
    folder: Path | str,
    preprocessing: Preprocessing,
    *,
    batch_size: int = 64,
    limit: int | None = None,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    labelled: bool | None = None,
) -> ImageBatches:
    """Images of a folder: of class folders with labels, of a flat one without.

    They come in an order that the seed decides, class by class in turn: the first hundred are as
    balanced as they can be, and the same with a limit of a hundred as without.

    Args:
        folder: holds a folder per class, or images.
        preprocessing: what the network asks for.
        batch_size: images of a batch.
        limit: images at most; None: all.
        seed: of the order.
        classes: of the network, by index, if that is not the order of the folders' names. Some
            may have no folder.
        labelled: True: labels are needed; False: class folders are taken without them; None:
            labels where there are class folders.

    Raises:
        UserError: Pillow is missing; no such folder, no images, none in a class folder, no labels
            where they are needed, a class folder that is no class of the network, or both images
            and class folders.
    """
    for name, number in (("batch_size", batch_size), ("limit", limit)):
        if number is not None and number < 1:
            raise UserError(f"{name} is {number}; one image at least is needed")
    remedy = "install it: pip install 'neuron-pruning[networks]'"
    with refuse_unreadable("images are read with Pillow, which cannot be imported", remedy):
        importlib.import_module("PIL")
    folder = Path(folder)
    by_class = _files_by_class(folder)
    if labelled and None in by_class:
        raise UserError(
            f"{folder} holds images without labels, which are needed here; put those of each class "
            "into a folder of its own"
        )
    rng = np.random.default_rng(derive_seed(seed, "images"))
    chosen = _in_turn(by_class, rng)[:limit]
    files = tuple(file for _, file in chosen)
    folders = [name for name in by_class if name is not None]
    if not folders or labelled is False:
        return ImageBatches(files, (), (), preprocessing, batch_size)
    index = _class_index(folder, folders, classes)
    labels = tuple(index[name] for name, _ in chosen if name is not None)
    return ImageBatches(files, labels, tuple(classes or folders), preprocessing, batch_size)


def _files_by_class(folder: Path) -> dict[str | None, list[Path]]:
    """Images of every class folder, or under None those of a flat folder, sorted by name."""
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; give one of images, or of a folder per class")
    flat, folders = flat_images(folder), class_folders(folder)
    found: dict[str | None, list[Path]] = {place.name: flat_images(place) for place in folders}
    empty = [name for name, files in found.items() if not files and name is not None]
    if flat and len(empty) == len(folders):
        return {None: flat}
    if flat:
        raise UserError(
            f"{folder} holds images, such as {flat[0].name}, beside folders of images, such as "
            f"{folders[0].name}; put them into these folders, or elsewhere"
        )
    if empty or not folders:
        where = f"class folders without {FORMATS}: {shortened(empty)}" if empty else f"no {FORMATS}"
        unused = unused_images(list_unused(folder))
        raise UserError(
            f"{folder} holds {where}; add some, remove the folder, or name the folder that holds "
            f"the images or one folder per class{f'. {unused}' if unused else ''}"
        )
    return found


def _in_turn(
    by_class: dict[str | None, list[Path]], rng: np.random.Generator
) -> list[tuple[str | None, Path]]:
    """All files, shuffled: one of each class that has any left, then the next of each."""
    rounds = defaultdict(list)
    for name, files in by_class.items():
        for number, row in enumerate(rng.permutation(len(files))):
            rounds[number].append((name, files[row]))
    return [members[row] for members in rounds.values() for row in rng.permutation(len(members))]


def _class_index(
    folder: Path, folders: Sequence[str], classes: Sequence[str] | None
) -> dict[str, int]:
    """Index of the class of each folder."""
    # ASSUME: without names, the outputs of a network are in the order of the folders' names, as
    # those of a network are that was trained on these folders.
    known = list(classes or folders)
    unclear = [name for name in folders if known.count(name) != 1]
    if unclear:
        raise UserError(
            f"{folder}: {shortened(unclear)} is not the name of one class of the network; its "
            f"classes are {shortened(known)}. Rename the folders, give the classes in the order of "
            "the network's outputs (--class-names), or leave labels out (--no-labels)"
        )
    return {name: known.index(name) for name in folders}
