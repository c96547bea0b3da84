"""A folder of class folders: which files are images of a class, and what else lies there."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from neuron_pruning.core.errors import UserError

SUFFIXES = {".png", ".jpg", ".jpeg"}
SMALLEST_CLASS = 5
COMPANION = "._"  # macOS keeps a file's attributes beside it, under its name after this
SHOWN = 3  # names that a message gives for many


class Unused(NamedTuple):
    """Images, or a class, that lie where no image is looked for."""

    subject: str
    reason: str
    images: int


def list_images(folder: Path) -> list[Path]:
    """Image files of all class folders, sorted by class and name.

    Raises:
        UserError: missing folder, no class folders, or a class with too few images.
    """
    if not folder.is_dir():
        raise UserError(
            f"dataset.path: {folder} is no folder; name one that holds a folder of images a class"
        )
    classes = class_folders(folder)
    if not classes:
        raise UserError(f"dataset.path: {folder} holds no class folders; it needs one a class")
    if len(classes) < 2:
        raise UserError(f"dataset.path: {folder} holds one class, {classes[0].name}; two at least")
    files = image_files(folder)
    check_classes(folder, [c.name for c in classes], [file.parent.name for file in files])
    return files


def class_folders(folder: Path) -> list[Path]:
    """Folders of one class each, sorted; hidden ones are other programs'."""
    return sorted(f for f in folder.iterdir() if f.is_dir() and not f.name.startswith("."))


def image_files(folder: Path) -> list[Path]:
    """Files of all class folders that are images by their names, sorted by class and name."""
    return [f for c in class_folders(folder) for f in sorted(c.iterdir()) if is_image(f.name)]


def flat_images(folder: Path) -> list[Path]:
    """Images by their names of a folder itself, sorted."""
    return sorted(file for file in folder.iterdir() if is_image(file.name) and not file.is_dir())


def is_image(name: str) -> bool:
    """Whether a file is an image by its name."""
    return Path(name).suffix.lower() in SUFFIXES and not name.startswith(COMPANION)


def check_classes(folder: Path, classes: Iterable[str], labels: Iterable[str]) -> None:
    """Every class has images enough; ``labels`` are those of the images.

    Raises:
        UserError: one has not.
    """
    counts = Counter(labels)
    for name in classes:
        if counts[name] < SMALLEST_CLASS:
            raise UserError(
                f"dataset.path: class {name} has {counts[name]} readable PNG or JPEG images; "
                f"{SMALLEST_CLASS} at least are needed{_remedy(folder, name)}"
            )


def _remedy(folder: Path, name: str) -> str:
    """What to do about a folder without images: they may lie in folders of its own."""
    inner = next((place for place in _deeper(folder / name) if place.images), None)
    if inner is None:
        return "; add some, or move this folder to another place"
    below = Path(inner.subject).parts[1]
    return (
        f". It holds folders of images, such as {name}/{below}. If those are the classes, name "
        f"{folder / name} instead; where there are folders for training and testing, put all "
        "images of a class into one folder, and list the parts in a CSV (a split with the protocol "
        "list). If they belong to one class, put their images into its folder"
    )


def list_ignored(folder: Path) -> list[tuple[str, str, int]]:
    """Other files in the class folders, relative to ``folder``: name, reason, number of files."""
    files = [f for f in folder.glob("*/*") if f.is_file() and not is_image(f.name)]
    companions = [f for f in files if f.name.startswith(COMPANION)]
    others = sorted(_readable(f.relative_to(folder)) for f in set(files) - set(companions))
    hidden = Counter(_readable(f.parent.relative_to(folder)) for f in companions)
    return [
        *((name, "neither PNG nor JPEG by its name", 1) for name in others),
        *(
            (f"{name}/{COMPANION}*", "companion files of macOS, no images", count)
            for name, count in sorted(hidden.items())
        ),
    ]


def list_unused(folder: Path) -> list[Unused]:
    """Images that belong to no class by their place, and links that are no class folders."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.is_dir():
            continue
        name = _readable(Path(path.name))
        if is_image(path.name):
            found.append(Unused(name, "beside the class folders; put it into one", 1))
        elif path.is_symlink():
            found.append(Unused(name, "a link that leads to no folder; mend it", 0))
    return [*found, *(one for place in class_folders(folder) for one in _deeper(place))]


def _deeper(place: Path) -> Iterator[Unused]:
    """Images below a class folder, folder by folder; links are not followed."""
    for name, folders, files in os.walk(place):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        inside = Path(name).relative_to(place.parent)
        for link in (f for f in folders if Path(name, f).is_symlink()):
            yield Unused(_readable(inside / link), "a link to a folder, in a class folder", 0)
        count = sum(map(is_image, files))
        if count and Path(name) != place:
            reason = "in a folder of a class folder; put them into the class folder"
            yield Unused(_readable(inside), reason, count)


def unused_images(unused: Iterable[Unused]) -> str:
    """One line about all of ``unused``; empty where there is none."""
    unused = list(unused)
    if not unused:
        return ""
    named = shortened([f"{u.subject} ({u.images}: {u.reason})" for u in unused])
    return f"{sum(u.images for u in unused)} images are not used: {named}"


def ignored_files(ignored: Iterable[tuple[str, str, int]]) -> str:
    """One line about the files that are no images, but for hidden ones; empty where there is none.

    Images of other formats are among them.
    """
    names = [name for name, *_ in ignored if not Path(name).name.startswith(".")]
    if not names:
        return ""
    return f"{len(names)} files are neither PNG nor JPEG by their names: {shortened(names)}"


def shortened(names: Sequence[str]) -> str:
    """The first names of a list, and how many there are more."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"


def _readable(path: Path) -> str:
    """A path as text, also where its name is no UTF-8."""
    return str(path).encode(errors="backslashreplace").decode()
