"""Training, validation and test part of the images, per seed."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from neuron_pruning.core.errors import UserError
from neuron_pruning.core.parquet import PARTS
from neuron_pruning.core.seeds import derive_seed
from neuron_pruning.data.near_duplicates import DISTANCE, near_duplicate_sets, unite

Protocol = Literal["random", "stratified", "clip", "movie", "group", "list"]
GROUPED = ("clip", "movie", "group")  # protocols under which a group lies in one part
DRAWS = 100  # ASSUME: how often groups are drawn until every part has every class


@dataclass(frozen=True)
class SplitSettings:
    """How images are divided.

    Attributes:
        protocol: ``random`` as the paper does; ``stratified`` class by class; ``clip``, ``movie``
            and ``group`` (a column of ``file``) whole groups; ``list`` as ``file`` says.
        test_fraction: Share of the images that is for testing, where there are no folds.
        validation_fraction: Share of the other images that is for selection; 0 for none.
        folds: With k folds seed s tests fold s mod k of shuffle s div k, so that seeds 0 to k - 1
            are one complete cross-validation.
        file: CSV with the columns image and, for ``list``, part; for ``group``, ``column``.
        column: Column of ``file`` that names the group.
        near_duplicate_distance: Bits of 64 in which the hashes of near-duplicates differ at most;
            they count as the same picture. None: only byte-identical files do.
    """

    protocol: Protocol = "random"
    test_fraction: float = 0.2
    validation_fraction: float = 0.0
    folds: int | None = None
    file: str | None = None
    column: str | None = None
    near_duplicate_distance: int | None = DISTANCE


def check_settings(settings: SplitSettings) -> None:
    """Refuse settings that cannot be followed.

    Raises:
        UserError: which key, and what it may be.
    """
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
    """Rows of a split file without its keys, one per image of the index.

    Args:
        index: Rows with position, image, label, movie, clip, sha256 and perceptual_hash.
        settings: How to divide.
        seed: Seed of the split.

    Raises:
        UserError: settings, file and images do not go together.
    """
    check_settings(settings)
    labels, groups = [row["label"] for row in index], name_groups(index, settings)
    if settings.protocol == "list":
        parts = listed_parts(index, Path(str(settings.file)))
    else:
        parts = divide_images(labels, groups, settings, seed)
    kept = [{name: row[name] for name in ("position", "image", "label")} for row in index]
    return [
        {**row, "group": group, "part": part}
        for row, group, part in zip(kept, groups, parts.tolist(), strict=True)
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
    first = unite(len(index), [], names, *same)
    return [names[position] for position in first]


def listed_parts(index: Sequence[Mapping[str, Any]], file: Path) -> NDArray[np.str_]:
    """Part of every image as the file says, N strings.

    Raises:
        UserError: an unknown part, no training or no test images, or a part without a class.
    """
    parts = np.array(read_assignments(file, [row["image"] for row in index], "part"), dtype=str)
    for row, part in zip(index, parts.tolist(), strict=True):
        if part not in PARTS:
            raise UserError(f"{file}: {row['image']} has the part {part!r}; use {_either(PARTS)}")
    labels = np.array([row["label"] for row in index])
    for part in (p for p in PARTS if p != "validation" or (parts == p).any()):
        absent = sorted(set(labels) - set(labels[parts == part]))
        if absent:
            raise UserError(
                f"{file}: class {absent[0]} has no image in part {part}; every part needs some"
            )
    return parts


def read_assignments(file: Path, images: Sequence[str], name: str) -> list[str]:
    """Values of column ``name`` of a CSV file that has one row for each of ``images``.

    Raises:
        UserError: the file is missing or no UTF-8 text, lacks a column or a value, names an
            unknown image or one twice, or leaves one out.
    """
    values: dict[str, str] = {}
    known = set(images)
    for line, row in enumerate(_read_csv(file, ("image", name)), start=2):
        image, value = (row["image"] or "").strip(), (row[name] or "").strip()
        if image not in known:
            raise UserError(
                f"{file}, row {line}: there is no image {image!r} in the data set; write class "
                f"folder and file name, as in {images[0]}"
            )
        if image in values:
            raise UserError(f"{file}, row {line}: {image} stands there twice; keep one row")
        if not value:
            raise UserError(f"{file}, row {line}: {image} has no {name}; fill it in")
        values[image] = value
    unnamed = [image for image in images if image not in values]
    if unnamed:
        raise UserError(
            f"{file} does not name {len(unnamed)} of {len(images)} images, {unnamed[0]} for one; "
            "add a row for each"
        )
    return [values[image] for image in images]


def _read_csv(file: Path, needed: Sequence[str]) -> list[dict[str, str | None]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle)
            rows, found = list(reader), reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file} cannot be read ({error}); name a CSV file in UTF-8") from error
    for name in needed:
        if name not in found:
            raise UserError(f"{file} has no column {name!r}; it has {', '.join(found) or 'none'}")
    return rows


def divide_images(
    labels: Sequence[str], groups: Sequence[str], settings: SplitSettings, seed: int
) -> NDArray[np.str_]:
    """Part of every image, N strings, drawn from the seed.

    The validation part is drawn under the same protocol from the images that are not for testing,
    from a stream of its own: with and without it the same images are for testing.

    Raises:
        UserError: a part would be empty or lack a class, or there are fewer groups than folds.
    """
    s, names, sets = settings, np.asarray(labels), np.asarray(groups)
    if s.folds is None:
        test = _draw_part(names, sets, s.protocol, s.test_fraction, seed, "test")
    else:
        shuffle, fold = divmod(seed, s.folds)
        test = _draw_folds(names, sets, s.protocol, s.folds, shuffle) == fold
    parts = np.where(test, "test", "train").astype(f"U{max(map(len, PARTS))}")
    if s.validation_fraction:
        rest = np.flatnonzero(~test)
        chosen = _draw_part(
            names[rest], sets[rest], s.protocol, s.validation_fraction, seed, "validation"
        )
        parts[rest[chosen]] = "validation"
    return parts


def _draw_part(
    labels: NDArray[np.str_],
    groups: NDArray[np.str_],
    protocol: Protocol,
    fraction: float,
    seed: int,
    part: Literal["test", "validation"],
) -> NDArray[np.bool_]:
    """Which images are in the part; groups are drawn again while a class is on one side alone.

    ASSUME: ``random`` is the paper's one draw. It may leave a small class out of the part, but
    not out of what is left for training.
    """
    stream = "split" if part == "test" else part
    draws = DRAWS if protocol in GROUPED else 1
    for draw in range(draws):
        component = f"{stream}/{draw}" if draw else stream
        chosen = split_images(labels.tolist(), groups.tolist(), protocol, fraction, seed, component)
        absent = _absent_classes(
            labels, chosen, (False,) if protocol == "random" else (True, False)
        )
        if not absent:
            return chosen
    name, inside = absent[0]
    raise UserError(
        f"split: class {name} has no image {'in' if inside else 'outside'} the {part} part under "
        f"{protocol} with seed {seed}; {_scarce(labels, groups, name, draws)}: change "
        f"{part}_fraction, the protocol or the seed"
    )


def _absent_classes(
    labels: NDArray[np.str_], chosen: NDArray[np.bool_], sides: Sequence[bool]
) -> list[tuple[str, bool]]:
    """Classes that are missing among the chosen images (True) or among the others (False)."""
    there = {side: set(labels[chosen == side]) for side in sides}
    return [(c, side) for side, found in there.items() for c in sorted(set(labels) - found)]


def _scarce(labels: NDArray[np.str_], groups: NDArray[np.str_], name: str, draws: int) -> str:
    """How little there is of a class, and how often that was tried to divide."""
    mine = labels == name
    if draws == 1:
        return f"it has {mine.sum()} images"
    held = len(set(groups[mine]))
    return f"its {mine.sum()} images lie in {held} group(s), and {draws} draws did not help"


def _either(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def split_images(
    labels: Sequence[str],
    groups: Sequence[str],
    protocol: Protocol,
    fraction: float,
    seed: int,
    component: str = "split",
) -> NDArray[np.bool_]:
    """One draw of ``fraction`` of the images, N booleans; its classes are as they come.

    ``random`` draws ``round(N * fraction)`` images, as the paper does; ``stratified`` does so
    class by class; the others draw whole groups until the fraction is reached.

    Raises:
        UserError: unknown protocol, or one side would be empty.
    """
    rng = np.random.default_rng(derive_seed(seed, component))
    if protocol == "random":
        chosen = _draw(np.arange(len(labels)), len(labels), fraction, rng)
    elif protocol == "stratified":
        names = np.asarray(labels)
        classes = [np.flatnonzero(names == name) for name in sorted(set(labels))]
        chosen = np.any([_draw(c, len(labels), fraction, rng) for c in classes], axis=0)
    elif protocol in GROUPED:
        chosen = _draw_groups(groups, fraction, rng)
    else:
        raise UserError(f"split: protocol {protocol!r} draws no images")
    if not chosen.any() or chosen.all():
        raise UserError(_empty_message(groups, protocol, fraction, int(chosen.sum())))
    return chosen


def _empty_message(groups: Sequence[str], protocol: str, fraction: float, drawn: int) -> str:
    """What leaves a side empty; under groups it is that they are too large."""
    total = len(groups)
    names, sizes = np.unique(np.asarray(groups), return_counts=True)
    largest = f"the largest group, {names[sizes.argmax()]}, holds {sizes.max() / total:.0%} of them"
    about = f" ({largest})" if protocol in GROUPED else ""
    return (
        f"split: {drawn} of {total} images would be drawn under {protocol} for a part of "
        f"{fraction:g}{about}; change the fraction or the protocol"
    )


def _draw(
    candidates: NDArray[np.int64], total: int, fraction: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    chosen = np.zeros(total, dtype=bool)
    chosen[rng.permutation(candidates)[: round(len(candidates) * fraction)]] = True
    return chosen


def _draw_groups(
    groups: Sequence[str], fraction: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Whole groups in random order.

    ASSUME: a group is taken while the part does not exceed its share.
    """
    wanted = round(len(groups) * fraction)
    names, number, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    taken = np.zeros(len(names), dtype=bool)
    images = 0
    for group in rng.permutation(len(names)):
        if images + sizes[group] <= wanted:
            taken[group] = True
            images += sizes[group]
    return taken[number]


def _draw_folds(
    labels: NDArray[np.str_],
    groups: NDArray[np.str_],
    protocol: Protocol,
    folds: int,
    shuffle: int,
) -> NDArray[np.int64]:
    """Fold of every image, N numbers below ``folds``.

    All folds of a shuffle come from one stream, whichever of them is tested. Every class is in
    every fold, under ``random`` in two at least.
    """
    count = len(set(groups)) if protocol in GROUPED else len(labels)
    if folds > count:
        kind = "groups" if protocol in GROUPED else "images"
        raise UserError(f"split: {folds} folds of {count} {kind}; ask for {count} at most")
    draws, wanted = DRAWS if protocol in GROUPED else 1, 2 if protocol == "random" else folds
    for draw in range(draws):
        component = f"folds/{draw}" if draw else "folds"
        rng = np.random.default_rng(derive_seed(shuffle, component))
        numbers = _fold_numbers(labels, groups, protocol, folds, rng)
        absent = [c for c in sorted(set(labels)) if len(set(numbers[labels == c])) < wanted]
        if not absent:
            return numbers
    raise UserError(
        f"split: class {absent[0]} is in fewer than {wanted} of {folds} folds under {protocol}"
        f"; {_scarce(labels, groups, absent[0], draws)}: ask for fewer folds"
    )


def _fold_numbers(
    labels: NDArray[np.str_],
    groups: NDArray[np.str_],
    protocol: Protocol,
    folds: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Images dealt one by one, class by class or in whole groups."""
    if protocol in GROUPED:
        return _group_folds(groups, folds, rng)
    if protocol == "random":
        order = rng.permutation(len(labels))
    else:
        classes = sorted(set(labels))
        order = np.concatenate([rng.permutation(np.flatnonzero(labels == c)) for c in classes])
    numbers = np.empty(len(labels), dtype=np.int64)
    numbers[order] = np.arange(len(labels)) % folds
    return numbers


def _group_folds(
    groups: NDArray[np.str_], folds: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Groups, the largest first, each into the fold that has the fewest images so far.

    ASSUME: the seed decides the order of groups of one size, and which of equal folds takes one.
    """
    names, number, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = rng.permutation(len(names))
    order = order[np.argsort(-sizes[order], kind="stable")]
    images = np.zeros(folds, dtype=np.int64)
    fold = np.empty(len(names), dtype=np.int64)
    for group in order:
        fold[group] = rng.choice(np.flatnonzero(images == images.min()))
        images[fold[group]] += sizes[group]
    return fold[number]
