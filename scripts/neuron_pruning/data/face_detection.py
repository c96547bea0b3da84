"""The main face of an image, by votes of Haar cascades.

A cascade on its own wants several windows at one place, and so misses faces that are turned,
dark or small. Here every window of every cascade is a vote; mirrored and equalised copies vote
as well; the place on which most agree is the face. Cascades: Viola and Jones (2001), Lienhart
and Maydt (2002), as they ship with OpenCV.
"""

import math
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
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


def _all_windows(grey: MatLike) -> tuple[Floats, NDArray[np.int64]]:
    """Windows of all views, and the number of each one's view."""
    copies = {False: grey, True: cv2.equalizeHist(grey)}
    found = [_windows(copies[view.equalised], view) for view in VIEWS]
    views = np.repeat(np.arange(len(VIEWS)), [len(windows) for windows in found])
    stride = 1 + len(views) // MOST_WINDOWS
    return np.concatenate(found)[::stride], views[::stride]


def _windows(grey: MatLike, view: View) -> Floats:
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
    iou: Floats = common / (areas[:, None] + areas - common)
    return iou
