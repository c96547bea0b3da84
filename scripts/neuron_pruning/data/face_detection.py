"""The main face of an image, by votes of Haar cascades.

A cascade on its own wants several windows at one place, and so misses faces that are turned,
dark or small. Here every window of every cascade is a vote; mirrored and equalised copies vote
as well; the place on which most agree is the face. Cascades: Viola and Jones (2001), Lienhart
and Maydt (2002), as they ship with OpenCV.
"""

import csv
import math
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import cv2
import cv2.data
import numpy as np
from numpy.typing import NDArray

from neuron_pruning.core.errors import UserError
from neuron_pruning.data.face_boxes import FaceBox

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

LONG_SIDE = 360  # pixels of the copy that is searched; 480 finds as many right faces, slower
SMALLEST_FACE = 24  # pixels of that copy: the size of the frontal cascade's own window
SCALE_STEP = 1.1  # between the sizes searched
AGREEMENT = 0.3  # intersection over union from which two windows show one face
MOST_WINDOWS = 2000  # that vote, since all pairs are compared; a frame has about 200
# ASSUME: with fewer votes (a window has 1 to 5) the centre is as good a guess.
FEWEST_VOTES = 6.0
ENOUGH_ALONE = 3  # windows with which OpenCV's own grouping reports a face by default
# ASSUME: of several faces the larger and more central is the main one. Films put it here, in
# widths and heights, and a place's weight falls as exp(-sum of CENTRALITY x distance squared).
LIKELY_PLACE = (0.5, 0.42)
CENTRALITY = (4.0, 12.0)
CENTRE_SHARE = 0.5  # ASSUME: side of the fallback's square, in the image's shorter sides

FACE_SIDE = 200  # pixels of the copy of a face in which eyes are searched
EYE_SIZES = (24, 80)  # pixels of that copy
EYE_STEP = 1.05
EYES_ABOVE = 0.65  # of the face's height
# ASSUME: where the eyes are in a frontal cascade's box, in its widths; means over SFEW.
EYES = ((0.34, 0.39), (0.67, 0.39))
EYE_SPREAD = 0.08  # standard deviation of that place
EYE_REACH = 0.15  # from it, farther is no eye
FEWEST_EYE_WINDOWS = 6
STEEPEST_ROLL = 30.0  # degrees: upright cascades find no face that is tilted more


@dataclass(frozen=True)
class View:
    """A cascade on one copy of the image.

    ``shift`` moves its windows onto the face, in widths: those of a profile lie towards the nose.
    """

    rule: str
    cascade: str
    votes: float
    mirrored: bool
    equalised: bool
    shift: float = 0.0


FRONTAL = ("frontal", "frontalface_default", 1.0)
ALTERNATIVE = ("alternative", "frontalface_alt2", 1.5)
# ASSUME: a window's votes, chosen on SFEW; the profile cascade passes few windows, mostly right.
VIEWS = (
    View(*FRONTAL, mirrored=False, equalised=False),
    View(*FRONTAL, mirrored=True, equalised=True),
    View(*ALTERNATIVE, mirrored=False, equalised=False),
    View(*ALTERNATIVE, mirrored=True, equalised=True),
    View("profile", "profileface", 5.0, mirrored=False, equalised=False, shift=-0.07),
    View("profile", "profileface", 5.0, mirrored=False, equalised=True, shift=-0.07),
    View("mirrored profile", "profileface", 5.0, mirrored=True, equalised=False, shift=0.07),
    View("mirrored profile", "profileface", 5.0, mirrored=True, equalised=True, shift=0.07),
)


def find_face(pixels: Pixels) -> FaceBox:
    """The most plausible face of an image, or the centre box; the same at every call.

    Args:
        pixels: height x width x 3, RGB; or height x width, grey.
    """
    height, width = pixels.shape[:2]
    grey = _grey(pixels)
    scale = LONG_SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    windows, views = _all_windows(_resized(grey, size))
    if len(windows) == 0:
        return centre_box(width, height)
    box, rule, score = _elect(windows, views, size)
    if score < FEWEST_VOTES:
        return centre_box(width, height)
    x, y, w, h = (box / scale).tolist()
    face = FaceBox(x, y, w, h, 0.0, rule, score)
    return replace(face, angle=roll_angle(grey, face))


def centre_box(width: int, height: int) -> FaceBox:
    """The square about the likely place that stands in for a face where none is found."""
    side = CENTRE_SHARE * min(width, height)
    x, y = LIKELY_PLACE[0] * width - side / 2, LIKELY_PLACE[1] * height - side / 2
    return FaceBox(x, y, side, side, 0.0, "centre", 0.0)


def roll_angle(pixels: Pixels, box: FaceBox) -> float:
    """Clockwise roll of the face in ``box``, in degrees; 0 unless both eyes are found.

    Args:
        pixels: height x width x 3, RGB; or height x width, grey.
        box: in pixels of the image.
    """
    left, top = max(0, round(box.x)), max(0, round(box.y))
    face = _grey(pixels[top : round(box.y + box.height), left : round(box.x + box.width)])
    if face.size == 0:
        return 0.0
    scale = FACE_SIDE / face.shape[1]
    copy = _equalised(_resized(face, (FACE_SIDE, max(1, round(face.shape[0] * scale)))))
    upper = copy[: max(1, round(EYES_ABOVE * copy.shape[0]))]
    windows = _search(upper, "eye", EYE_STEP, *EYE_SIZES)
    eyes = [_eye(windows / FACE_SIDE, place) for place in EYES]
    if eyes[0] is None or eyes[1] is None:
        return 0.0
    across, down = (eyes[1] - eyes[0]).tolist()
    angle = math.degrees(math.atan2(down, across))
    return angle if abs(angle) <= STEEPEST_ROLL else 0.0


def _grey(pixels: Pixels) -> Pixels:
    if pixels.ndim == 2 or pixels.size == 0:
        return pixels
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def _resized(grey: Pixels, size: tuple[int, int]) -> Pixels:
    """Copy of ``size``, width x height."""
    finer = size[0] > grey.shape[1]
    how = cv2.INTER_LINEAR if finer else cv2.INTER_AREA
    return np.asarray(cv2.resize(grey, size, interpolation=how), dtype=np.uint8)


def _equalised(grey: Pixels) -> Pixels:
    return np.asarray(cv2.equalizeHist(grey), dtype=np.uint8)


@cache
def _cascade(name: str, thread: int) -> cv2.CascadeClassifier:
    """One per thread: a cascade holds its image while it searches."""
    return cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_{name}.xml")


def _search(grey: Pixels, name: str, step: float, smallest: int, largest: int) -> Floats:
    """All windows that pass a cascade, N x 4 (x, y, width, height), sorted."""
    cascade = _cascade(name, threading.get_ident())
    sizes = (smallest, smallest), (largest, largest)
    found = cascade.detectMultiScale(grey, step, 0, 0, *sizes)
    windows = np.array(found, dtype=np.float64).reshape(-1, 4)
    return windows[np.lexsort(windows.T)]  # OpenCV's own threads finish in any order


def _all_windows(grey: Pixels) -> tuple[Floats, NDArray[np.int64]]:
    """Windows of all views, and the number of each one's view."""
    copies = {False: grey, True: _equalised(grey)}
    found = [_windows(copies[view.equalised], view) for view in VIEWS]
    views = np.repeat(np.arange(len(VIEWS)), [len(windows) for windows in found])
    stride = 1 + len(views) // MOST_WINDOWS
    return np.concatenate(found)[::stride], views[::stride]


def _windows(grey: Pixels, view: View) -> Floats:
    image = np.ascontiguousarray(grey[:, ::-1]) if view.mirrored else grey
    windows = _search(image, view.cascade, SCALE_STEP, SMALLEST_FACE, max(grey.shape))
    if view.mirrored:
        windows[:, 0] = grey.shape[1] - windows[:, 0] - windows[:, 2]
    windows[:, 0] += view.shift * windows[:, 2]
    return windows


def _elect(
    windows: Floats, views: NDArray[np.int64], size: tuple[int, int]
) -> tuple[Floats, str, float]:
    """Mean box, rule and votes of the windows that agree on the main face."""
    votes = np.array([view.votes for view in VIEWS])[views]
    distances = _centres(windows) / size - LIKELY_PLACE
    plausible = windows[:, 2] * np.exp(-(distances**2 @ CENTRALITY))
    chosen = _agreeing(windows, votes, plausible)
    box = np.average(windows[chosen], axis=0, weights=votes[chosen])
    return box, _rule(views[chosen].tolist()), float(votes[chosen].sum())


def _rule(views: Iterable[int]) -> str:
    """The first kind of detector that finds the face alone, or ``together`` if none does."""
    windows = Counter(VIEWS[number].rule for number in views)
    alone = (view.rule for view in VIEWS if windows[view.rule] >= ENOUGH_ALONE)
    return next(alone, "together")


def _eye(windows: Floats, place: tuple[float, float]) -> Floats | None:
    """Centre of the eye about ``place``; None if too few windows show one there."""
    if len(windows) == 0:
        return None
    distances = _centres(windows) - place
    near = np.exp(-(distances**2).sum(axis=1) / (2 * EYE_SPREAD**2))
    chosen = _agreeing(windows, np.ones(len(windows)), near)
    centre = _centres(windows[chosen]).mean(axis=0)
    if chosen.sum() < FEWEST_EYE_WINDOWS or math.dist(centre, place) > EYE_REACH:
        return None
    return np.asarray(centre)


def _agreeing(windows: Floats, votes: Floats, plausible: Floats) -> Mask:
    """The windows that agree with the one that gathers most votes times plausibility."""
    agree = overlaps(windows) >= AGREEMENT
    return np.asarray(agree[np.argmax((agree @ votes) * plausible)])


def _centres(windows: Floats) -> Floats:
    return windows[:, :2] + windows[:, 2:] / 2


def overlaps(windows: Floats) -> Floats:
    """Intersection over union of all pairs of windows, N x 4 (x, y, width, height); N x N."""
    low, high = windows[:, None, :2], windows[:, None, :2] + windows[:, None, 2:]
    sides = np.minimum(high, high.swapaxes(0, 1)) - np.maximum(low, low.swapaxes(0, 1))
    common = sides.clip(0).prod(axis=2)
    areas = windows[:, 2:].prod(axis=1)
    return np.asarray(common / (areas[:, None] + areas - common))


GIVEN_COLUMNS = ("image", "x", "y", "width", "height")


def read_given_boxes(path: Path, sizes: Mapping[str, tuple[int, int]]) -> dict[str, FaceBox]:
    """Boxes drawn by hand, by image, rule ``given``; not every image needs one.

    Args:
        path: CSV with the columns image (``Class/name.png``), x, y, width, height in pixels.
        sizes: width and height of every image of the index, upright.

    Raises:
        UserError: the file or a line of it cannot be used.
    """
    boxes: dict[str, FaceBox] = {}
    for line, row in _csv_rows(path):
        where, image = f"{path}, line {line}", row["image"]
        if image not in sizes:
            raise UserError(
                f"{where}: {image!r} is no image of the index; write Class/name.png, "
                "or remove the line"
            )
        if image in boxes:
            raise UserError(f"{where}: {image} has a box already; keep one")
        boxes[image] = _given_box(row, where, *sizes[image])
    return boxes


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and columns of every row of a comma-separated file."""
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as handle:  # spreadsheets' mark
            reader = csv.DictReader(handle, restval="")
            _check_columns(path, reader.fieldnames or ())
            for row in reader:
                yield reader.line_num, {name: row[name].strip() for name in GIVEN_COLUMNS}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{path} cannot be read ({error}); it must be a comma-separated file in UTF-8"
        ) from error


def _check_columns(path: Path, names: Iterable[str]) -> None:
    missing = [name for name in GIVEN_COLUMNS if name not in set(names)]
    if missing:
        raise UserError(
            f"{path}, line 1: no column {', '.join(missing)}; "
            f"the first line must be {','.join(GIVEN_COLUMNS)}"
        )


def _given_box(row: Mapping[str, str], where: str, width: int, height: int) -> FaceBox:
    try:
        x, y, w, h = (float(row[name]) for name in GIVEN_COLUMNS[1:])
    except ValueError as error:
        raise UserError(f"{where}: {error}; x, y, width and height are numbers") from error
    # NaN fails every comparison
    if not (w > 0 and h > 0 and x >= 0 and y >= 0 and x + w <= width and y + h <= height):
        raise UserError(
            f"{where}: the box x {x:g}, y {y:g}, width {w:g}, height {h:g} is empty or reaches "
            f"out of the image, which has {width} x {height} pixels; keep it inside"
        )
    return FaceBox(x, y, w, h, 0.0, "given", 0.0)
