"""The main face of an image, by votes of Haar cascades.

A cascade on its own wants several windows at one place, and so misses faces that are turned,
dark or small. Here every window of every cascade is a vote; mirrored and equalised copies vote
as well; the place on which most agree is the face. Almost all of an image is no face, so cheap
searches of the whole propose a place, and the votes are counted about that place alone; dearer
searches follow where they find too few. Cascades: Viola and Jones (2001), Lienhart and Maydt
(2002), as they ship with OpenCV.
"""

import math
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from operator import itemgetter
from pathlib import Path

import cv2
import cv2.data
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray
from tqdm import tqdm

from neuron_pruning.core.row_cache import Row, rows_by_key
from neuron_pruning.data.face_crops import FaceBox
from neuron_pruning.data.index import upright_rgb

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Ballot = tuple[Floats, NDArray[np.int64]]  # windows, N x 4, and the numbers of their views
Elected = tuple[Floats, str, float]  # box, rule and votes

LONG_SIDE = 360  # pixels of the copy whose windows vote
SMALLEST_FACE = 20  # pixels of a copy: the size of the smallest cascade's own window
SCALE_STEP = 1.21  # between the sizes searched; 1.1 has twice the windows, at twice the price
PLACE_REACH = 1.1  # from a place's middle, in its widths, to where windows about it may lie
PLACE_RANGE = 1.5  # largest factor between the sizes of a place and of windows about it
AGREEMENT = 0.3  # intersection over union from which two windows show one face
SAME_PLACE = 0.3  # the same, from which a window is of a place that has been looked at
MOST_WINDOWS = 2000  # since all pairs are compared; a place has about 50
# ASSUME: with fewer votes (a window has 1 to 5) the centre is as good a guess.
FEWEST_VOTES = 2.5
ENOUGH_VOTES = 8.0  # ASSUME: with as many a place is the main face, and no search follows
ENOUGH_ALONE = 3  # windows with which OpenCV's own grouping reports a face by default
# ASSUME: of several faces the larger and more central is the main one. Films put it here, in
# widths and heights, and a place's weight falls as exp(-sum of CENTRALITY x distance squared).
LIKELY_PLACE = (0.5, 0.42)
CENTRALITY = (4.0, 12.0)
CENTRE_SHARE = 0.5  # ASSUME: side of the fallback's square, in the image's shorter sides

FACE_SIDE = 150  # pixels of the copy of a face in which eyes are searched
EYE_SIZES = (22, 60)  # pixels of that copy
EYE_STEP = 1.1
EYES_ABOVE = 0.65  # of the face's height
# ASSUME: where the eyes are in a frontal cascade's box, in its widths; means over SFEW.
EYES = ((0.34, 0.39), (0.67, 0.39))
EYE_SPREAD = 0.08  # standard deviation of that place
EYE_REACH = 0.15  # from it, farther is no eye
FEWEST_EYE_WINDOWS = 3
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


# ASSUME: a window's votes, chosen on SFEW; the profile cascade passes few windows, mostly right.
VIEWS = (
    View("frontal", "frontalface_default", 1.0, mirrored=False, equalised=False),
    View("frontal", "frontalface_default", 1.0, mirrored=True, equalised=True),
    View("alternative", "frontalface_alt2", 1.5, mirrored=False, equalised=False),
    View("alternative", "frontalface_alt2", 1.5, mirrored=True, equalised=True),
    View("profile", "profileface", 5.0, mirrored=False, equalised=False, shift=-0.07),
    View("profile", "profileface", 5.0, mirrored=False, equalised=True, shift=-0.07),
    View("mirrored profile", "profileface", 5.0, mirrored=True, equalised=False, shift=0.07),
    View("mirrored profile", "profileface", 5.0, mirrored=True, equalised=True, shift=0.07),
)


@dataclass(frozen=True)
class Search:
    """A look at a whole copy of the image, for places where the face may be."""

    long_side: int  # pixels of the copy
    view: int  # number of the view
    smallest: int = SMALLEST_FACE  # pixels of the copy


# The cheapest come first: on SFEW the first alone settles three images of four.
SEARCHES = (
    Search(LONG_SIDE // 2, view=2),
    Search(LONG_SIDE // 2, view=1),
    *(Search(LONG_SIDE, view, smallest=30) for view in (2, 1, 5, 7)),
)
NO_FACE: Elected = (np.zeros(4), "centre", 0.0)


def find_faces(
    images: Sequence[Row], folder: Path, given: Mapping[str, FaceBox], kept: Path, threads: int
) -> list[Row]:
    """Rows of the boxes of all images of an index; for ``given`` ones the angle alone is found.

    Images that an earlier run searched, in ``kept``, are not searched again.
    """
    cv2.setNumThreads(1)  # whole images are shared out, which keeps more cores busy
    items = {f"{i['image']} {i['sha256']} {given.get(i['image'])}": i for i in images}
    with tqdm(total=len(images), desc="faces", disable=None, leave=False) as progress:

        def look(image: Row) -> Row:
            pixels = np.asarray(upright_rgb(folder / image["image"], image["sha256"]))
            size = {"image_width": pixels.shape[1], "image_height": pixels.shape[0]}
            box = find_face(pixels, given.get(image["image"]))
            progress.update()
            return {"image": image["image"], "label": image["label"], **asdict(box), **size}

        return [row for _, row in rows_by_key(items, look, kept, threads) if row is not None]


def find_face(pixels: MatLike, given: FaceBox | None = None) -> FaceBox:
    """The most plausible face of an image, or the centre box; the same at every call.

    Args:
        pixels: height x width x 3, RGB; or height x width, grey.
        given: where the face is, if that is known; the angle alone is then looked for.
    """
    height, width = pixels.shape[:2]
    grey = _grey(pixels)
    if given is not None:
        return replace(given, angle=roll_angle(grey, given))
    box, rule, score = _main_face(grey)
    if score < FEWEST_VOTES:
        return centre_box(width, height)
    x, y, w, h = (box * max(height, width) / LONG_SIDE).tolist()
    face = FaceBox(x, y, w, h, 0.0, rule, score)
    return replace(face, angle=roll_angle(grey, face))


def centre_box(width: int, height: int) -> FaceBox:
    """The square about the likely place that stands in for a face where none is found."""
    side = CENTRE_SHARE * min(width, height)
    x, y = LIKELY_PLACE[0] * width - side / 2, LIKELY_PLACE[1] * height - side / 2
    return FaceBox(x, y, side, side, 0.0, "centre", 0.0)


def roll_angle(pixels: MatLike, box: FaceBox) -> float:
    """Clockwise roll of the face in ``box``, in degrees; 0 unless both eyes are found."""
    left, top = max(0, round(box.x)), max(0, round(box.y))
    face = _grey(pixels[top : round(box.y + box.height), left : round(box.x + box.width)])
    if face.size == 0:
        return 0.0
    scale = FACE_SIDE / face.shape[1]
    copy = cv2.equalizeHist(_resized(face, (FACE_SIDE, max(1, round(face.shape[0] * scale)))))
    upper = copy[: max(1, round(EYES_ABOVE * copy.shape[0]))]
    windows = _search(upper, "eye", EYE_STEP, *EYE_SIZES)
    left_eye, right_eye = (_eye(windows / FACE_SIDE, place) for place in EYES)
    if left_eye is None or right_eye is None:
        return 0.0
    across, down = right_eye - left_eye
    angle = math.degrees(math.atan2(down, across))
    return angle if abs(angle) <= STEEPEST_ROLL else 0.0


def _grey(pixels: MatLike) -> MatLike:
    return (
        pixels if pixels.ndim == 2 or pixels.size == 0 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    )


def _resized(grey: MatLike, size: tuple[int, int]) -> MatLike:
    """Copy of ``size``, width x height."""
    how = cv2.INTER_LINEAR if size[0] > grey.shape[1] else cv2.INTER_AREA
    return cv2.resize(grey, size, interpolation=how)


@cache
def _cascade(name: str, thread: int) -> cv2.CascadeClassifier:
    """One per thread: a cascade holds its image while it searches."""
    return cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_{name}.xml")


def _search(grey: MatLike, name: str, step: float, smallest: int, largest: int) -> Floats:
    """All windows that pass a cascade, N x 4 (x, y, width, height), sorted."""
    sizes = (smallest, smallest), (largest, largest)
    found = _cascade(name, threading.get_ident()).detectMultiScale(grey, step, 0, 0, *sizes)
    windows = np.array(found, dtype=np.float64).reshape(-1, 4)
    return windows[np.lexsort(windows.T)]  # OpenCV's own threads finish in any order


def _main_face(grey: MatLike) -> Elected:
    """What gets most votes of the places that the searches propose; boxes as in the large copy."""
    copies = {side: _copies(grey, side) for side in (LONG_SIDE // 2, LONG_SIDE)}
    large = copies[LONG_SIDE]
    size = large[False].shape[1::-1]
    windows, views = np.empty((0, 4)), np.empty(0, dtype=np.int64)
    best, looked_at = NO_FACE, np.empty((0, 4))
    for search in SEARCHES:
        view = VIEWS[search.view]
        image = copies[search.long_side][view.equalised]
        found = _windows(image, view, search.smallest, max(image.shape))
        windows = np.concatenate([windows, found * (LONG_SIDE / search.long_side)])
        views = np.append(views, np.full(len(found), search.view))
        windows, views = _at_most(windows, views)
        new = _away_from(looked_at, windows)
        if not new.any():
            continue
        place, _, _ = _elect(windows[new], views[new], size)
        looked_at = np.vstack([looked_at, place])
        voters = _all_windows(large, place)
        best = max(best, _elect(*voters, size), key=itemgetter(2)) if len(voters[0]) else best
        if best[2] >= ENOUGH_VOTES:
            break
    return best


def _away_from(places: Floats, windows: Floats) -> Mask:
    """Which windows show none of the places."""
    shared = overlaps(np.concatenate([places, windows]))[len(places) :, : len(places)]
    return np.asarray((shared < SAME_PLACE).all(axis=1))


def _copies(grey: MatLike, long_side: int) -> Mapping[bool, MatLike]:
    """The image at one size as it is, and (True) equalised."""
    scale = long_side / max(grey.shape)
    height, width = (max(1, round(side * scale)) for side in grey.shape)
    plain = _resized(grey, (width, height))
    return {False: plain, True: cv2.equalizeHist(plain)}


def _all_windows(copies: Mapping[bool, MatLike], place: Floats) -> Ballot:
    """Windows of all views about a place, and the number of each one's view."""
    middle, side = place[:2] + place[2:] / 2, place[2]
    left, top = np.maximum(middle - PLACE_REACH * side, 0).astype(int)
    right, bottom = np.ceil(middle + PLACE_REACH * side).astype(int)
    sizes = max(SMALLEST_FACE, int(side / PLACE_RANGE)), math.ceil(side * PLACE_RANGE)
    near = {key: copy[top:bottom, left:right] for key, copy in copies.items()}
    found = [_windows(near[view.equalised], view, *sizes) for view in VIEWS]
    views = np.repeat(np.arange(len(VIEWS)), [len(windows) for windows in found])
    return _at_most(np.concatenate(found) + np.array([left, top, 0, 0]), views)


def _at_most(windows: Floats, views: NDArray[np.int64]) -> Ballot:
    """No more windows than can be compared."""
    stride = 1 + len(views) // MOST_WINDOWS
    return windows[::stride], views[::stride]


def _windows(grey: MatLike, view: View, smallest: int, largest: int) -> Floats:
    """Windows of a view between two sizes in pixels."""
    image = np.ascontiguousarray(grey[:, ::-1] if view.mirrored else grey)
    windows = _search(image, view.cascade, SCALE_STEP, smallest, largest)
    if view.mirrored:
        windows[:, 0] = grey.shape[1] - windows[:, 0] - windows[:, 2]
    windows[:, 0] += view.shift * windows[:, 2]
    return windows


def _elect(windows: Floats, views: NDArray[np.int64], size: Sequence[int]) -> Elected:
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
    iou: Floats = common / (areas[:, None] + areas - common)
    return iou
