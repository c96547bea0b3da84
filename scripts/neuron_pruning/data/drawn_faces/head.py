"""The head's shape in space and its skin: outline, ears, neck, light and shade.

Head coordinates: 100 units are half the head's width; x to the right, y down, z towards the
camera; the origin lies between the eyes and the chin is near y = 132.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from neuron_pruning.data.drawn_faces.looks import Look, Person
from neuron_pruning.data.drawn_faces.svg import Point, Sheet, mix, smooth, turn


@dataclass(frozen=True)
class Tones:
    """Colours of one person's skin under one movie's light."""

    base: str
    light: str
    shade: str
    deep: str
    line: str
    blush: str
    lip: str


def skin_tones(person: Person, look: Look) -> Tones:
    """Mix the person's skin with the movie's light and shadow colours."""
    base = mix(person.skin, look.light_colour, 0.08)
    warm_shade = turn(base, -0.012, 0.77, 0.82)
    deep = mix(turn(base, -0.03, 0.45, 1.0), "#3a1424", 0.35)
    lip = mix(turn(base, -0.04, 0.78, 1.1), "#a8323e", 0.22 + 0.4 * person.makeup)
    return Tones(
        base=base,
        light=mix(base, mix("#fff6e8", look.light_colour, 0.4), 0.45),
        shade=mix(warm_shade, look.shadow_tint, 0.18),
        deep=deep,
        line=mix(deep, "#1c0c12", 0.35),
        blush=mix(base, "#d8463c", 0.45),
        lip=lip,
    )


@dataclass(frozen=True)
class Head:
    """A head turned in space, with the strengths of its facial action units."""

    person: Person
    units: Mapping[int, float]
    yaw: float
    pitch: float
    light: float
    tones: Tones

    def au(self, number: int) -> float:
        """Return the strength of one action unit, 0 to 1.3."""
        return min(max(self.units.get(number, 0.0), 0.0), 1.3)

    @property
    def jaw_drop(self) -> float:
        """How far the chin is lowered, in head units (AU26 jaw drop, AU27 mouth stretch)."""
        return 13.0 * self.au(26) + 24.0 * self.au(27)

    def at(self, x: float, y: float, lift: float = 0.0, depth: float | None = None) -> Point:
        """Project a point of the head onto the picture plane, after yaw and pitch.

        Args:
            x: Across the face seen from the front.
            y: Down the face seen from the front.
            lift: Height above the face's surface, taken as an ellipsoid.
            depth: If given, the z to use instead of the surface's.
        """
        if depth is None:
            depth = 82.0 * math.sqrt(max(0.03, 1 - (x / 106) ** 2 - (y / 165) ** 2)) + lift
        x, y = x * self.person.width, y * self.person.length
        across = x * math.cos(self.yaw) + depth * math.sin(self.yaw)
        forward = -x * math.sin(self.yaw) + depth * math.cos(self.yaw)
        return across, y * math.cos(self.pitch) - forward * math.sin(self.pitch)

    def curve(self, points: Iterable[Point], lift: float = 0.0) -> list[Point]:
        """Project several surface points."""
        return [self.at(x, y, lift) for x, y in points]


def outline(head: Head) -> list[Point]:
    """Return the closed outline of the face and skull, clockwise from the crown."""
    person, drop = head.person, head.jaw_drop
    bulge = 3.0 * head.au(6) + 2.0 * head.au(12)  # raised cheeks widen the face a little
    right = (
        (54.0, -130.0, 0.0),
        (88.0, -97.0, 0.0),
        (100.0, -45.0, 0.0),
        (98.0, 2.0, 4.0),
        (93.0 * (0.6 + 0.4 * person.jaw) + bulge, 44.0, 14.0),
        (79.0 * person.jaw + 0.5 * bulge, 84.0 + 0.4 * drop, 26.0),
        (49.0 * person.chin * (0.4 + 0.6 * person.jaw), 117.0 + 0.9 * drop, 38.0),
        (20.0 * person.chin, 131.0 + drop, 44.0),
    )
    left = tuple((-x, y, z) for x, y, z in reversed(right))
    around = ((0.0, -140.0, 0.0), *right, (0.0, 134.0 + drop, 46.0), *left)
    return [head.at(x, y, depth=z) for x, y, z in around]


def draw_ears(sheet: Sheet, head: Head) -> None:
    """Draw both ears; they lie behind the face, which hides the far one."""
    tones = head.tones
    for side in (-1, 1):
        cx, cy = head.at(side * 100, 8, depth=-14)
        size = head.person.ears
        lit = 0.5 + 0.5 * side * head.light
        fill = mix(tones.shade, tones.base, 0.25 + 0.75 * lit)
        shape = [
            (cx - side * 8, cy - 22 * size), (cx + side * 8 * size, cy - 25 * size),
            (cx + side * 15 * size, cy - 8 * size), (cx + side * 9 * size, cy + 14 * size),
            (cx - side * 2, cy + 26 * size), (cx - side * 10, cy + 18 * size),
        ]  # fmt: skip
        sheet.path(smooth(shape, closed=True), fill)
        inner = [
            (cx - side * 1, cy - 14 * size), (cx + side * 8 * size, cy - 12 * size),
            (cx + side * 6 * size, cy + 4 * size), (cx, cy + 12 * size),
        ]  # fmt: skip
        sheet.line(inner, tones.deep, 3, 0.35)
        sheet.glow((cx, cy), 13, tones.blush, 0.45, 1.4)
        if head.person.earrings:
            sheet.ellipse((cx + side * 1, cy + 30 * size), 4, 4, "#e8c873")
            sheet.ellipse((cx + side * 0, cy + 29 * size), 1.4, 1.4, "#fff6da")


def draw_skin(sheet: Sheet, head: Head) -> None:
    """Fill the face and model it with light from one side."""
    tones, light = head.tones, head.light
    shape = outline(head)
    data = smooth(shape, closed=True)
    side = 1 if light >= 0 else -1
    sheet.path(data, sheet.linear(
        (side * 110, -70), (-side * 115, 60),
        (0, mix(tones.base, tones.light, 0.55), 1), (0.4, tones.base, 1),
        (0.72, mix(tones.base, tones.shade, 0.6), 1), (1, tones.shade, 1),
    ))  # fmt: skip
    centre = head.at(side * 14, 4)
    sheet.path(data, sheet.radial(  # the face turns away from the camera at its rim
        centre, 150, (0, tones.shade, 0), (0.62, tones.shade, 0), (1, tones.deep, 0.42),
        squash=1.2,
    ))  # fmt: skip
    jaw = head.at(-side * 70, 95)
    sheet.path(data, sheet.radial(jaw, 95, (0, tones.deep, 0.22), (1, tones.deep, 0)))
    rim = sheet.linear(
        (-side * 104, 0), (-side * 74, 0), (0, tones.light, 0.32), (1, tones.light, 0)
    )
    sheet.path(data, rim)
    sheet.glow(head.at(side * 22, -78), 60, tones.light, 0.5, 0.62)
    lifted = 6 * head.au(6) + 5 * head.au(12)
    for cheek in (-1, 1):
        warmth = 0.34 + 0.16 * head.au(12) + 0.1 * head.person.makeup
        sheet.glow(head.at(cheek * 56, 44 - lifted), 34, tones.blush, warmth, 0.75)
        gleam = 0.16 + (0.3 if cheek == side else 0.0) + 0.12 * head.au(6)
        sheet.glow(head.at(cheek * 54, 27 - lifted), 22, tones.light, gleam, 0.6)
    sheet.glow(head.at(side * 4, 117 + head.jaw_drop), 20, tones.light, 0.3, 0.7)


def draw_freckles(sheet: Sheet, head: Head) -> None:
    """Sprinkle freckles over nose and cheeks."""
    rng = random.Random(head.person.key)
    for _ in range(34):
        x, y = rng.gauss(0, 38), rng.gauss(32, 9)
        sheet.ellipse(
            head.at(x, y, 2), rng.uniform(0.8, 1.7), rng.uniform(0.8, 1.5),
            mix(head.tones.shade, head.tones.deep, 0.4), opacity=rng.uniform(0.3, 0.6),
        )  # fmt: skip


def draw_neck(sheet: Sheet, head: Head, chin: Point) -> None:
    """Draw the neck in body coordinates (as head coordinates, but without the head's turn).

    Args:
        sheet: Where to draw.
        head: Whose neck.
        chin: Where the chin is, for the shadow that it throws.
    """
    tones = head.tones
    wide = 52 * (0.55 + 0.45 * head.person.jaw)
    right = [
        (wide * 0.98, 50),
        (wide, 110),
        (wide + 4, 150),
        (wide + 24, 182),
        (wide + 62, 205),
        (84, 290),
    ]
    left = [(-x, y) for x, y in reversed(right)]
    data = smooth([*right, (0, 330), *left], closed=True)
    side = 1 if head.light >= 0 else -1
    sheet.path(data, sheet.linear(
        (side * 70, 0), (-side * 70, 30),
        (0, tones.base, 1), (0.5, mix(tones.base, tones.shade, 0.7), 1), (1, tones.shade, 1),
    ))  # fmt: skip
    shadow = sheet.radial(
        (chin[0] - side * 10, chin[1] - 6), 92,
        (0, tones.deep, 0.85), (0.55, tones.deep, 0.55), (1, tones.deep, 0), squash=0.75,
    )  # fmt: skip
    sheet.path(data, shadow)
    for strand in (-1, 1):
        sheet.line(
            [(strand * wide * 0.75, 140), (strand * wide * 0.4, 185), (strand * 10, 214)],
            tones.deep, 3, 0.14,
        )  # fmt: skip
        bone = [(strand * 92, 206), (strand * 52, 218), (strand * 16, 223)]
        sheet.line(bone, tones.deep, 3.5, 0.16)
        sheet.line([(x, y - 5) for x, y in bone], tones.light, 4, 0.14)
