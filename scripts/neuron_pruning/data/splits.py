"""Training, validation and test part of the images, per seed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from neuron_pruning.core.errors import UserError
from neuron_pruning.core.parquet import PARTS
from neuron_pruning.core.seeds import derive_seed
from neuron_pruning.data.image_lists import read_image_list
from neuron_pruning.data.near_duplicates import DISTANCE, near_duplicate_sets, unite

Protocol = Literal["random", "stratified", "clip", "movie", "group", "list"]
GROUPED = ("clip", "movie", "group")  # protocols under which a group lies in one part
DRAWS = 100  # ASSUME: how often groups are drawn until every part has every class


@dataclass(frozen=True)
class SplitSettings:
    """How images are divided.

    ``random`` draws as the paper does, ``stratified`` class by class, ``clip``, ``movie`` and
    ``group`` whole groups; ``list`` is what the column part of ``file`` says. With k folds seed s
    tests fold s mod k of shuffle s div k: seeds 0 to k - 1 are one complete cross-validation.
    """

    protocol: Protocol = "random"
    test_fraction: float = 0.2  # of the images, where there are no folds; of groups on average
    validation_fraction: float = 0.0  # of the other images, for selection
    folds: int | None = None
    file: str | None = None  # CSV with a column image, for the protocols group and list
    column: str | None = None  # of that file, which names the group
    near_duplicate_distance: int | None = DISTANCE  # in bits; None: only identical files are one


def check_settings(settings: SplitSettings) -> None:
    """Refuse settings that cannot be followed: which key, and what it may be."""
    s, protocols = settings, get_args(Protocol)
    needs_file = s.protocol in ("group", "list")
    fixed = s.protocol == "list"
    wrong = {
        f"protocol must be one of {', '.join(protocols)}": s.protocol not in protocols,
        "test_fraction must lie between 0 and 1": not 0 < s.test_fraction < 1,
        "validation_fraction must be 0 or lie below 1": not 0 <= s.validation_fraction < 1,
        "folds must be 2 or more, or null": s.folds is not None and s.folds < 2,
        "file must name a CSV file": needs_file and not s.file,
        "file is for the protocols group and list alone": bool(s.file) and not needs_file,
        "column must name a column of its file": s.protocol == "group" and not s.column,
        "column is for the protocol group alone": bool(s.column) and s.protocol != "group",
        "folds and a list exclude each other: the list says it all": fixed and bool(s.folds),
        "validation_fraction and a list exclude each other: give the images of the list the "
        "part validation": fixed and s.validation_fraction > 0,
    }
    for message, is_so in wrong.items():
        if is_so:
            raise UserError(f"split: {message} (protocol {s.protocol})")


def split_index(
    index: Sequence[Mapping[str, Any]], settings: SplitSettings, seed: int
) -> list[dict[str, Any]]:
    """Rows of a split file without its keys, one per row of the index.

    Raises:
        UserError: settings, file and images do not go together.
    """
    check_settings(settings)
    labels, groups = [row["label"] for row in index], name_groups(index, settings)
    if settings.protocol == "list":
        parts = listed_parts(index, Path(str(settings.file)))
    else:
        parts = divide_images(labels, groups, settings, seed)
    return [
        {**{name: row[name] for name in ("position", "image", "label")}, "group": g, "part": p}
        for row, g, p in zip(index, groups, parts.tolist(), strict=True)
    ]


def name_groups(index: Sequence[Mapping[str, Any]], settings: SplitSettings) -> list[str]:
    """Group of every image: itself, its clip, its movie or the value in a file.

    Groups that share a byte-identical or near-identical image become one, with the name of the
    group of its first image; under ``random`` and ``stratified`` every image stays by itself, as
    in the paper.
    """
    images = [row["image"] for row in index]
    if settings.protocol not in GROUPED:
        return images
    if settings.protocol == "group":
        names = read_assignments(Path(str(settings.file)), images, str(settings.column))
    else:
        names = [row[settings.protocol] for row in index]
    same = [[row["sha256"] for row in index]]
    distance = settings.near_duplicate_distance
    if distance is not None:
        hashes = [row["perceptual_hash"] for row in index]
        same.append(near_duplicate_sets(hashes, distance).astype(str).tolist())
    return [names[first] for first in unite(len(index), [], names, *same)]


def listed_parts(index: Sequence[Mapping[str, Any]], file: Path) -> NDArray[np.str_]:
    """Part of every image as the file says, N strings; every part must have every class."""
    images, labels = [row["image"] for row in index], np.array([row["label"] for row in index])
    parts = np.array(read_assignments(file, images, "part"))
    for image, part in zip(images, parts, strict=True):
        if part not in PARTS:
            known = "train, validation or test"
            raise UserError(f"{file}: {image} has the part {str(part)!r}; use {known}")
    for part in PARTS:
        absent = np.setdiff1d(labels, labels[parts == part])
        if len(absent) and (part != "validation" or part in parts):
            raise UserError(
                f"{file}: class {absent[0]} has no image in part {part}; every part needs some"
            )
    return parts


def read_assignments(file: Path, images: Sequence[str], name: str) -> list[str]:
    """Values of column ``name`` of a CSV file that has one row for each of ``images``.

    Raises:
        UserError: the file cannot be used, or leaves out an image or its value.
    """
    found = read_image_list(file, [name], images)
    for image, (where, row) in found.items():
        if not row[name]:
            raise UserError(f"{where}: {image} has no {name}; fill it in")
    if unnamed := [image for image in images if image not in found]:
        raise UserError(
            f"{file} does not name {len(unnamed)} of {len(images)} images, {unnamed[0]} for one; "
            "add a row for each"
        )
    return [found[image][1][name] for image in images]


def divide_images(
    labels: Sequence[str], groups: Sequence[str], settings: SplitSettings, seed: int
) -> NDArray[np.str_]:
    """Part of every image, N strings, drawn from the seed.

    The validation part is drawn under the same protocol from the images that are not for testing,
    from a stream of its own: with and without it the same images are for testing.

    Raises:
        UserError: a part would be empty or lack a class, or there are fewer groups than folds.
    """
    s, images = settings, _Images(np.asarray(labels), np.asarray(groups), settings.protocol)
    if s.folds is None:
        test = images.draw_part("test", s.test_fraction, seed)
    else:
        shuffle, fold = divmod(seed, s.folds)
        test = images.draw_folds(s.folds, shuffle) == fold
    parts = np.where(test, "test", "train").astype(f"U{max(map(len, PARTS))}")
    if s.validation_fraction:
        rest = np.flatnonzero(~test)
        others = _Images(images.labels[rest], images.groups[rest], s.protocol)
        chosen = others.draw_part("validation", s.validation_fraction, seed)
        parts[rest[chosen]] = "validation"
    return parts


@dataclass(frozen=True)
class _Images:
    """N images to draw from: their labels, their groups, and how to draw."""

    labels: NDArray[np.str_]
    groups: NDArray[np.str_]
    protocol: Protocol

    @property
    def grouped(self) -> bool:
        """Whether groups are drawn whole."""
        return self.protocol in GROUPED

    def draw_part(
        self, part: Literal["test", "validation"], fraction: float, seed: int
    ) -> NDArray[np.bool_]:
        """Which images are in the part; groups are drawn again while a class is on one side alone.

        ASSUME: ``random`` is the paper's one draw. It may leave a small class out of the part, but
        not out of what is left for training.
        """
        for rng in self._generators("split" if part == "test" else part, seed):
            chosen = self._draw(fraction, rng)
            absent = [
                (name, side)
                for side, there in (("in", chosen), ("outside", ~chosen))
                if side == "outside" or self.protocol != "random"
                for name in np.setdiff1d(self.labels, self.labels[there])
            ]
            if not absent and chosen.any():
                return chosen
        if chosen.all() or not chosen.any():
            raise UserError(
                f"split: {chosen.sum()} of {len(chosen)} images would be drawn under "
                f"{self.protocol} for a part of {fraction:g}{self._largest()}; change the fraction "
                f"or the protocol{self._another()}"
            )
        name, side = absent[0]
        raise UserError(
            f"split: class {name} has no image {side} the {part} part under {self.protocol} with "
            f"seed {seed}; {self._scarce(name)}: change {part}_fraction, the protocol or the seed"
            f"{self._another()}"
        )

    def draw_folds(self, folds: int, shuffle: int) -> NDArray[np.int64]:
        """Fold of every image, N numbers below ``folds``.

        All folds of a shuffle come from one stream, whichever of them is tested. Every class is in
        every fold, under ``random`` in two at least.
        """
        count = len(np.unique(self.groups)) if self.grouped else len(self.labels)
        if folds > count:
            kind = "groups" if self.grouped else "images"
            fewer = f"; ask for {count} at most" if count > 1 else ""
            raise UserError(f"split: {folds} folds of {count} {kind}{fewer}{self._another()}")
        wanted = 2 if self.protocol == "random" else folds
        for rng in self._generators("folds", shuffle):
            numbers = self._deal(folds, rng)
            of_class = {name: numbers[self.labels == name] for name in np.unique(self.labels)}
            absent = [name for name, its in of_class.items() if len(np.unique(its)) < wanted]
            if not absent:
                return numbers
        fewer = "ask for fewer folds" if folds > 2 else "change the protocol"
        raise UserError(
            f"split: class {absent[0]} is in fewer than {wanted} of {folds} folds under "
            f"{self.protocol}; {self._scarce(absent[0])}: {fewer}{self._another()}"
        )

    def _generators(self, stream: str, seed: int) -> Iterator[np.random.Generator]:
        """One for each draw; the first has the stream's own name."""
        for draw in range(DRAWS if self.grouped else 1):
            yield np.random.default_rng(derive_seed(seed, f"{stream}/{draw}" if draw else stream))

    def _scarce(self, name: str) -> str:
        """How little there is of a class, and how often that was tried to divide."""
        mine = self.labels == name
        if not self.grouped:
            return f"it has {mine.sum()} images"
        held = len(np.unique(self.groups[mine]))
        return (
            f"its {mine.sum()} images lie in {held} group(s){self._largest()}, and {DRAWS} draws "
            "did not help"
        )

    def _largest(self) -> str:
        """The group that may be too large to divide, in brackets; nothing without groups."""
        if not self.grouped:
            return ""
        names, sizes = np.unique(self.groups, return_counts=True)
        share = sizes.max() / len(self.groups)
        return f" (the largest group, {names[sizes.argmax()]}, holds {share:.0%} of all images)"

    def _another(self) -> str:
        """What else to do where groups cannot be kept together: cameras name all files alike."""
        if not self.grouped:
            return ""
        told = "the column of its file" if self.protocol == "group" else "the names of the images"
        return (
            f". Groups are known from {told}; where those do not say it, use another split: the "
            "key split names the experiment's, comparison.splits those of Table 7"
        )

    def _draw(self, fraction: float, rng: np.random.Generator) -> NDArray[np.bool_]:
        """One draw of ``fraction`` of the images, N booleans; its classes are as they come.

        ``random`` draws ``round(N * fraction)`` images, as the paper does; ``stratified`` does so
        class by class; the others draw whole groups, of the fraction on average.
        """
        if self.grouped:
            return self._draw_groups(round(len(self.groups) * fraction), rng)
        chosen = np.zeros(len(self.labels), dtype=bool)
        for order in self._orders(rng):
            chosen[order[: round(len(order) * fraction)]] = True
        return chosen

    def _orders(self, rng: np.random.Generator) -> list[NDArray[np.int64]]:
        """All images in random order, or those of each class, under ``stratified``."""
        if self.protocol != "stratified":
            return [rng.permutation(len(self.labels))]
        classes = [np.flatnonzero(self.labels == name) for name in np.unique(self.labels)]
        return [rng.permutation(members) for members in classes]

    def _draw_groups(self, wanted: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        """Whole groups, so that every image is equally likely to be drawn.

        ASSUME: groups lie on a circle in random order, an arc of ``wanted`` images is drawn, and a
        group that its ends cut is taken with the probability of its share in the arc; of two, one
        instead of the other as far as that allows. So the part has ``wanted`` images on average,
        less or more by fewer than the largest group has.
        """
        names, number, sizes = np.unique(self.groups, return_inverse=True, return_counts=True)
        order, images = rng.permutation(len(names)), len(self.groups)
        ends, start = np.cumsum(sizes[order]), rng.integers(images)
        covered = np.zeros(len(names))
        for first in (start, start - images):  # the arc may pass the end of the circle
            inside = np.minimum(ends, first + wanted) - np.maximum(ends - sizes[order], first)
            covered[order] += np.maximum(inside, 0)
        coins = np.full(len(names), rng.uniform())
        cut = np.flatnonzero((covered > 0) & (covered < sizes))
        coins[cut[1:]] = 1 - coins[cut[1:]]
        return (covered > coins * sizes)[number]

    def _deal(self, folds: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Fold of every image, dealt one by one, class by class or in whole groups."""
        if self.grouped:
            return self._deal_groups(folds, rng)
        numbers = np.empty(len(self.labels), dtype=np.int64)
        numbers[np.concatenate(self._orders(rng))] = np.arange(len(numbers)) % folds
        return numbers

    def _deal_groups(self, folds: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Groups, the largest first, each into the fold that has the fewest images so far.

        ASSUME: the seed decides the order of groups of one size, and which of equal folds takes
        one.
        """
        names, number, sizes = np.unique(self.groups, return_inverse=True, return_counts=True)
        order = rng.permutation(len(names))
        images, fold = np.zeros(folds, dtype=np.int64), np.empty(len(names), dtype=np.int64)
        for group in order[np.argsort(-sizes[order], kind="stable")]:
            fold[group] = rng.choice(np.flatnonzero(images == images.min()))
            images[fold[group]] += sizes[group]
        return fold[number]
