"""A face: the head's shape in space, its skin, and brows, eyes, nose, mouth and folds.

How each facial action unit moves them follows the Facial Action Coding System (see `planning`).
Head coordinates: 100 units are half the head's width; x to the right, y down, z towards the
camera; the origin lies between the eyes and the chin is near y = 132.
"""

from collections.abc import Mapping
from math import cos, sin

import numpy as np
from numpy.typing import ArrayLike

from neuron_pruning.data.drawn_faces.planning import FacePlan
from neuron_pruning.data.drawn_faces.svg import (
    DOWN,
    Curve,
    Sheet,
    fade,
    mirrored,
    mix,
    points,
    ribbon,
    sides,
    smooth,
    turn,
)

ALWAYS, AGE = 0, 100  # among the numbers of action units: 1 everywhere, and the person's age
BROW = {
    ALWAYS: "18,3 30,-4 42,-8 58,-6 70,2", 1: "1.5,-16 1,-13 0,-10 0,-5 0,0",
    2: "0,0 0,-6 0,-12 0,-14 0,-17", 4: "-6,14 -4,11 -3,8 -1,5 0,2", 9: "0,6 0,6 0,6 0,3 0,0",
}  # fmt: skip
"""Middle line of the right brow, from its inner end, and how far each action unit moves it."""
UPPER_LID = {
    ALWAYS: "-21.5,4 -11.8,-6 0,-9.2 11.8,-7.2 21.5,0.5", 1: "0,0 0,-2.4 0,0 0,1.7 0,0",
    2: "0,0 0,2.4 0,0 0,-1.7 0,0", 5: "0,0 0,-5.5 0,-7.5 0,-5.8 0,0", 6: "0,0 0,1 0,1.5 0,1 0,0",
    7: "0,0 0,3 0,4 0,3 0,0", 43: "0,0 0,12 0,17 0,14 0,0", 64: "0,0 0,2.2 0,3 0,2.3 0,0",
}  # fmt: skip
LOWER_LID = {
    ALWAYS: "-21.5,4 -11.8,6.6 0,9 11.8,7.6 21.5,0.5", 5: "0,0 0,1 0,1.5 0,1.3 0,0",
    6: "0,0 0,-2.9 0,-4.6 0,-4 0,0", 7: "0,0 0,-2.1 0,-3.4 0,-2.9 0,0",
    9: "0,0 0,-1.2 0,-2 0,-1.7 0,0",
}  # fmt: skip
FOLDS = (
    ("0,-57 20,-59 40,-53", 2.6, {2: 1.0, 4: -0.3, AGE: 0.18}),
    ("0,-67 23,-69 46,-63", 2.6, {2: 1.0, 4: -0.3, AGE: 0.18}),
    ("0,-58 8,-57 20,-52", 2.2, {1: 0.8, 2: -0.8}),
    ("6,-40 5,-30 7.5,-20", 2.6, {4: 1.0, AGE: 0.2}),
    ("4,-16 9,-10 16,-7", 2.4, {9: 1.0}),
    ("3,-8 9,-1 15,3", 2.2, {9: 0.9}),
    ("68,2 81,-3", 1.6, {6: 0.7, AGE: 0.3}),
    ("68,6 80,11", 1.6, {6: 0.7, AGE: 0.3}),
    ("23,44 37,58 43,74 42,86", 2.6, {9: 0.8, 10: 0.4, 12: -0.4, AGE: 0.3}),
    ("23,44 41,57 50,73 49,86", 2.6, {12: 0.9}),
    ("35,97 40,105 38,113", 2.4, {15: 1.0, AGE: 0.15}),
    ("14,110 10,116 13,121", 2.2, {17: 0.8}),
    ("52,76 57,86 55,96", 2.0, {20: 0.7}),
)
"""Folds on the right half, their width, and how deep each action unit and age press them."""
SPOTS = (
    (56, 42, 0, 34, 0.75, "blush", {ALWAYS: 0.34, 12: 0.16}),
    (54, 25, 0, 22, 0.6, "light", {ALWAYS: 0.16, 6: 0.12}),
    (40, -8, 0, 36, 0.66, "deep", {ALWAYS: 0.34, 4: 0.12}),
    (44, 16, 0, 25, 0.45, "shade", {ALWAYS: 0.34, AGE: 0.2}),
    (0, 116, 0, 16, 0.7, "deep", {17: 0.25}),
    (0, 60, 6, 30, 0.42, "deep", {ALWAYS: 0.42}),
    (13, 8, 8, 13, 2.6, "deep", {ALWAYS: 0.16, 9: 0.1}),
    (0, 42, 18, 24, 0.85, "blush", {ALWAYS: 0.32}),
    (0, 12, 15, 8, 3.5, "light", {ALWAYS: 0.5}),
    (0, 38, 24, 11, 0.8, "light", {ALWAYS: 0.8}),
    (10, 51, 12, 7, 0.55, "line", {ALWAYS: 1.2}),
)
"""Soft spots on the right half: x, y, height, radius, squash, tone and opacity; high: the nose."""


class Head:
    """A head turned in space, with its action units and its colours under the movie's light."""

    def __init__(self, plan: FacePlan) -> None:
        """Take all of it from a plan."""
        self.person, look, view = plan.person, plan.look, plan.view
        self.units = {**plan.units, ALWAYS: 1.0, AGE: plan.person.age}
        self.yaw, self.pitch = view["yaw"], view["pitch"]
        self.side = 1 if look.light + view["light"] >= 0 else -1  # that the light comes from
        self.base = base = mix(self.person.skin, look.light_colour, 0.08)
        self.light = mix(base, mix("#fff6e8", look.light_colour, 0.4), 0.45)
        self.shade = mix(turn(base, -0.012, 0.77, 0.82), look.shadow_tint, 0.18)
        self.deep = mix(turn(base, -0.03, 0.45), "#3a1424", 0.35)
        self.line = mix(self.deep, "#1c0c12", 0.35)
        self.blush = mix(base, "#d8463c", 0.45)
        self.lip = mix(turn(base, -0.04, 0.78, 1.1), "#a8323e", 0.22 + 0.4 * self.person.makeup)

    def au(self, number: int) -> float:
        """Return the strength of one action unit, 0 to 1.3."""
        return min(max(self.units.get(number, 0.0), 0.0), 1.3)

    def blend(self, weights: Mapping[int, float]) -> float:
        """Return the weighted sum of some action units, not below 0."""
        return max(0.0, sum(weight * self.au(unit) for unit, weight in weights.items()))

    @property
    def jaw_drop(self) -> float:
        """How far the chin is lowered, in head units (AU26 jaw drop, AU27 mouth stretch)."""
        return 13.0 * self.au(26) + 24.0 * self.au(27)

    def at(self, place: ArrayLike, lift: ArrayLike = 0.0, depth: ArrayLike | None = None) -> Curve:
        """Project points of the face, (x, y) or n x 2, onto the picture after yaw and pitch.

        They lie `lift` above the face's surface, an ellipsoid, or at z = `depth`.
        """
        x, y = np.asarray(place, dtype=np.float64).T
        surface = 82 * np.sqrt(np.maximum(0.03, 1 - (x / 106) ** 2 - (y / 165) ** 2))
        z = surface + lift if depth is None else np.asarray(depth)
        x, y = x * self.person.shape["width"], y * self.person.shape["length"]
        forward = z * cos(self.yaw) - x * sin(self.yaw)
        across = x * cos(self.yaw) + z * sin(self.yaw)
        return np.stack([across, y * cos(self.pitch) - forward * sin(self.pitch)], axis=-1)

    def outline(self) -> Curve:
        """Return the outline of skull and face from the crown over the left ear; 9 is the chin."""
        drop, jaw, chin = self.jaw_drop, self.person.shape["jaw"], self.person.shape["chin"]
        half = points("0,134 20,131 49,117 79,84 93,44 98,2 100,-45 88,-97 54,-130 0,-140")
        half[:5, 0] *= 1, chin, chin * (0.4 + 0.6 * jaw), jaw, 0.6 + 0.4 * jaw
        half[:4, 1] += drop * np.array([1, 1, 0.9, 0.4])
        half[3:5, 0] += self.blend({6: 3.0, 12: 2.0})  # raised cheeks widen the face a little
        whole = mirrored(half)[:-1]
        return self.at(whole, depth=np.maximum(0, 3 + 0.32 * whole[:, 1]))


def draw_skin(sheet: Sheet, head: Head) -> None:
    """Draw the ears, fill the face and model it with light from one side."""
    lit = head.side
    for side in (-1, 1):
        ear = head.at((side * 99, 8), depth=-14)
        sheet.ellipse(ear, 13, 25, mix(head.shade, head.base, 0.6 + 0.3 * side * lit), 8 * side)
        sheet.glow(ear, 14, head.deep, 0.45, 1.4)
    data = smooth(head.outline(), closed=True)
    colours = mix(head.base, head.light, 0.45), head.base, head.base, head.shade
    sheet.path(data, sheet.linear((lit * 110, -70), (-lit * 115, 60), *colours))
    rim = [fade(head.deep, opacity) for opacity in (0.0, 0.0, 0.06, 0.42)]
    sheet.path(data, sheet.radial(head.at((lit * 14, 4)), 150, *rim, squash=1.2))
    edge = fade(head.light, 0.32), fade(head.light, 0)
    sheet.path(data, sheet.linear((-lit * 104, 0), (-lit * 74, 0), *edge))
    sheet.glow(head.at((lit * 22, -78)), 60, head.light, 0.42, 0.62)
    sheet.glow(head.at((lit * 54, 24)), 24, head.light, 0.26, 0.6)
    sheet.glow(head.at((lit * 4, 117 + head.jaw_drop)), 20, head.light, 0.3, 0.7)


def draw_features(sheet: Sheet, head: Head, gaze: Curve) -> None:
    """Draw all that moves in a face, from the skin's shades to the brows."""
    wide, lift = head.person.shape["nose_width"], 4 * head.au(9)
    for x, y, height, radius, squash, tone, causes in SPOTS:
        for side in (-1, 1) if x else (1,):
            place = (side * x * wide, y - lift) if height else (side * x, y)
            colour, opacity = getattr(head, tone), head.blend(causes)
            sheet.glow(head.at(place, height), radius, colour, opacity, squash)
    for wing in sides(points("16,36 20.5,44 17.5,52") * (wide + 0.1 * head.au(9), 1)):
        sheet.line(head.at(wing - lift * DOWN, 6), head.deep, 2.4, 0.55)
    for text, width, causes in FOLDS:
        depth = min(0.62, 0.5 * head.blend(causes))
        for fold in sides(points(text)) if depth > 0.04 else ():
            sheet.line(head.at(fold), head.deep, width, depth)
    _draw_mouth(sheet, head)
    for side in (-1, 1):
        _draw_eye(sheet, head, side, gaze)
        _draw_brow(sheet, head, side)


def _moved(head: Head, shifts: Mapping[int, str]) -> Curve:
    """Return a curve after all action units have moved it."""
    return np.sum([head.au(unit) * points(text) for unit, text in shifts.items()], axis=0)


def _draw_brow(sheet: Sheet, head: Head, side: int) -> None:
    shape, hair = head.person.shape, head.person.hair_colour
    curve = (_moved(head, BROW) - shape["brow_rise"] * DOWN) * (side, 1)
    half = np.outer((0.75, 1.0, 0.92, 0.6, 0.08), 5.2 * shape["brow_weight"] * DOWN)
    edges = head.at(curve - half, 3), head.at(curve + half, 3)
    sheet.path(ribbon(*edges), fade(mix(turn(hair, 0, 0.72), head.line, 0.3), 0.9))


def _draw_eye(sheet: Sheet, head: Head, side: int, gaze: Curve) -> None:
    """Draw one eye with its iris, lids and lashes."""
    makeup, colour = head.person.makeup, head.person.eye_colour
    size = head.person.shape["eye_size"]
    centre = np.array([side * 43 * head.person.shape["eye_gap"], 0])
    high, low = _moved(head, UPPER_LID), _moved(head, LOWER_LID)
    high[:, 1] = np.minimum(high[:, 1], low[:, 1])
    upper, lower = (head.at(centre + lid * (side * size, size), 1) for lid in (high, low))
    opening = ribbon(upper, lower)
    top, bottom = head.at(centre - 14 * DOWN), head.at(centre + 14 * DOWN)
    sheet.path(opening, sheet.linear(top, bottom, "#a9a09c", "#efe9e2", "#e2d3cb"))
    with sheet.group("clip-path", sheet.add("clipPath", f'<path d="{opening}"/>')):
        iris, radius = head.at(centre) + gaze * (8, 4) + 5 * head.au(64) * DOWN, 7 + 4.6 * size
        colours = mix(colour, "#ffe2b0", 0.4), colour, turn(colour, 0, 0.4)
        sheet.ellipse(iris, radius, radius, sheet.radial((0, 3), radius * 1.1, *colours))
        sheet.ellipse(iris, radius * 0.47, radius * 0.47, "#0d0a0c")
        gleam = np.array([4 * head.side, -4.2])
        sheet.ellipse(iris + gleam, 2.9, 2.9, fade("#ffffff", 0.92))
        sheet.ellipse(iris - gleam, 1.5, 1.5, fade("#ffffff", 0.45))
        sheet.line(upper + 2.2 * DOWN, "#2a1a1c", 5.5, 0.32)
    lash = upper - np.outer((0.3, 0.9, 1.1, 1.3, 0.9), (1.6 + 1.4 * makeup) * DOWN)
    lash[-1] += makeup * np.array([5 * side, -3.5])
    sheet.path(ribbon(lash, upper + 1.2 * DOWN), mix(head.line, "#120a0c", 0.5))
    sheet.line(lower[1:], head.line, 1.3, 0.5)
    sheet.line(upper[1:] - (6 + head.au(5)) * DOWN, head.deep, 1.8, 0.5)
    bulge = head.blend({6: 0.3, 7: 0.3})  # of the tightened or raised lower lid
    sheet.line(lower[1:4] + 5.5 * DOWN, head.deep, 2.0, bulge)


def lips(head: Head) -> tuple[float, list[Curve]]:
    """Return how far the mouth is open and the lips' four edges from top to bottom."""
    shape, au = head.person.shape, head.au
    wide = 31 * shape["mouth_width"] + 13 * au(12) + 11 * au(20) + 3 * au(15)
    wide -= 6 * au(23) + 3 * au(24) + 5 * au(27) + 2.5 * au(26) * (1 - min(au(20), 1.0))
    level = 84 - 3 * au(17) + 1.5 * au(25)
    corner = -15 * au(12) + 13 * au(15) + 3.5 * au(20) + 4 * au(26) + 9 * au(27)
    gap = au(25) * (4.5 + 2.5 * au(12) + 2.5 * au(10)) + 0.92 * head.jaw_drop
    gap += 7 * au(16) * min(1, 0.3 + au(25))
    thin = shape["lips"] * max(0.35, 1 - head.blend({12: 0.22, 20: 0.15, 23: 0.55, 24: 0.6}))
    raised = 8 * au(10) + 4.5 * au(9) + 2.5 * au(12) * min(au(25), 1.0)
    top = level + 0.3 * corner - 0.1 * gap
    square = 0.55 + 0.3 * min(au(20), 1.0) + 0.2 * au(27)
    edges = []
    for middle, reach, shares in (
        (top - raised - 8.2 * thin, wide + 2, (0.84, 1.0, 0.52, 0.0)),
        (top - 0.8 * raised, wide, (1.0, 0.9, 0.5, 0.0)),
        (top - 0.8 * raised + gap, wide, (1.0, 0.93, square, 0.0)),
        (top - 0.75 * raised + gap + 11 * thin + 2.5 * au(17), wide + 2, (1.0, 0.94, 0.6, 0.0)),
    ):
        heights = level + corner + (middle - level - corner) * np.array(shares)
        edge = mirrored(np.stack([reach * np.array([0, 0.3, 0.66, 1]), heights], axis=1))
        edges.append(head.at(edge, 5 - 5 * (edge[:, 0] / reach) ** 2))
    return gap, edges


def _draw_mouth(sheet: Sheet, head: Head) -> None:
    """Draw the mouth: cavity, teeth and tongue where open, lips, lights and shadows."""
    gap, (high, top, bottom, low) = lips(head)
    sheet.glow(low[3] + 6 * DOWN, 24, head.deep, 0.4 + 0.25 * head.au(17), 0.42)
    if gap > 1.5:
        sheet.path(ribbon(top, bottom), sheet.linear(top[3], bottom[3], "#1f0a0d", "#6d2427"))
        tongue = (top + 2 * (bottom - top) / 3)[1:6], bottom[1:6]
        sheet.path(ribbon(*tongue), fade("#a84a4c", 0.85 if gap > 9 else 0.0))
        bare = head.blend({ALWAYS: 3.0, 10: 8.5, 12: 8.5, 16: 8.5, 20: 6.0})
        teeth = top + (bottom - top) * min(0.85, bare / gap)
        enamel = sheet.linear(top[0], top[-1], "#8f8580", "#ece5da", "#ece5da", "#8f8580")
        sheet.path(ribbon(top, teeth), enamel)
        sheet.line(top, "#1a0a0c", 3.0, 0.35)
    sheet.path(ribbon(high, top), mix(head.lip, head.deep, 0.22))
    colours = mix(head.lip, head.deep, 0.15), mix(head.lip, head.light, 0.25), head.lip
    sheet.path(ribbon(bottom, low), sheet.linear(bottom[3], low[3], *colours))
    sheet.line((0.6 * bottom + 0.4 * low)[2:5], head.light, 2.6, 0.22 + head.person.makeup / 4)
    sheet.line(top, head.line, 2.0 + 0.8 * head.au(24), 0.75)
    for corner in (top[0], top[-1]):
        sheet.glow(corner, 8, head.deep, 0.55)
