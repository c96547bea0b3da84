"""Brows, eyes, nose and mouth, moved by the facial action units; in head coordinates.

How each unit moves the skin follows the Facial Action Coding System (see `expressions`).
"""

from __future__ import annotations

from neuron_pruning.data.drawn_faces.head import Head
from neuron_pruning.data.drawn_faces.svg import Point, Sheet, between, mix, ribbon, smooth, turn

EYE_X = 43.0
MOUTH_Y = 84.0


def draw_brow(sheet: Sheet, head: Head, side: int) -> None:
    """Draw one eyebrow: AU1 and AU2 raise its inner and outer parts, AU4 and AU9 lower it."""
    p, au = head.person, head.au
    base = -31 - p.brow_height
    knit = 6 * au(4)
    inner = (18 - knit + 1.5 * au(1), base + 3 + p.brow_tilt - 16 * au(1) + 14 * au(4) + 6 * au(9))
    middle = (42 - 0.5 * knit, base - 8 - 10 * au(1) - 12 * au(2) + 8 * au(4) + 6 * au(9))
    outer = (70.0, base + 2 - p.brow_tilt - 17 * au(2) + 2 * au(4))
    bend = (30 - 0.7 * knit, (inner[1] + middle[1]) / 2 - 1.5)
    tail = (58.0, (middle[1] + outer[1]) / 2 - 3)
    thick = 5.2 * p.brow_weight
    top, bottom = [], []
    for (x, y), share in zip(
        (inner, bend, middle, tail, outer), (0.75, 1.0, 0.92, 0.6, 0.08), strict=True
    ):
        top.append(head.at(side * x, y - thick * share, 3))
        bottom.append(head.at(side * x, y + thick * share, 3))
    colour = mix(turn(p.hair_colour, 0, 0.72), head.tones.line, 0.3)
    sheet.path(ribbon(top, bottom), colour, opacity=0.9)
    for share in (0.3, 0.62):
        strand = between(top, bottom, share)
        sheet.line(strand[:4], mix(p.hair_colour, head.tones.light, 0.3), 0.9, 0.3)


def eye_lids(head: Head, side: int) -> tuple[list[Point], list[Point]]:
    """Return the upper and the lower lid, inner to outer corner, both of five points.

    AU5 raises the upper lid, AU7 tightens both, AU6 pushes up the lower one, AU43 closes.
    """
    p, au = head.person, head.au
    wide = 21.5 * p.eye_size
    up = (11.0 + 7.5 * au(5) - 4.0 * au(7) - 1.5 * au(6) - 1.5 * au(9) - 3.0 * au(64)) * p.eye_size
    low = (7.2 + 1.5 * au(5) - 3.4 * au(7) - 4.6 * au(6) - 2.0 * au(9)) * p.eye_size
    shut = min(au(43), 1.0)
    up, low = up * (1 - shut) - 5.0 * shut, low + 1.0 * shut
    up = max(up, -low + 1.2)
    sorrow = 2.4 * au(1) * (1 - min(au(2), 1.0))  # AU1 alone pulls up the lid's inner half
    x0, tilt = EYE_X * p.eye_gap, p.eye_tilt

    def lid(heights: tuple[float, ...]) -> list[Point]:
        steps = (-1.0, -0.55, 0.0, 0.55, 1.0)
        return [
            head.at(side * (x0 + wide * t), 2.5 - tilt * (t + 1) / 2 - h, 1)
            for t, h in zip(steps, heights, strict=True)
        ]

    upper = lid((-1.5, up * 0.74 + sorrow, up, up * 0.78 - sorrow * 0.7, 0.5))
    lower = lid((-1.5, -low * 0.62, -low, -low * 0.86, 0.5))
    return upper, lower


def draw_eye(sheet: Sheet, head: Head, side: int, gaze: Point) -> None:
    """Draw one eye with its lids, iris, lashes and the soft shadow of its socket."""
    p, tones, au = head.person, head.tones, head.au
    upper, lower = eye_lids(head, side)
    x0 = EYE_X * p.eye_gap
    sheet.glow(head.at(side * (x0 - 3), -8), 36, tones.deep, 0.34 + 0.12 * au(4), 0.66)
    sheet.glow(head.at(side * (x0 + 1), 16), 25, tones.shade, 0.34 + 0.2 * p.age, 0.45)
    opening = ribbon(upper, lower)
    top, bottom = head.at(side * x0, -14), head.at(side * x0, 14)
    sheet.path(opening, sheet.linear(
        top, bottom, (0.1, "#a9a09c", 1), (0.5, "#efe9e2", 1), (1, "#e2d3cb", 1)
    ))  # fmt: skip
    with sheet.group(clip_path=sheet.clip(opening)):
        _draw_iris(sheet, head, side, gaze)
        shadow = [(x, y + 2.2) for x, y in upper]
        sheet.line(shadow, "#2a1a1c", 5.5, 0.32)
    corner = lower[0]
    sheet.ellipse((corner[0] + side * 1.5, corner[1]), 2.4, 1.6, mix(tones.blush, "#c0686a", 0.5))
    lash = [(x, y - (1.6 + 1.4 * p.makeup) * w)
            for (x, y), w in zip(upper, (0.3, 0.9, 1.1, 1.3, 0.9), strict=True)]  # fmt: skip
    if p.makeup > 0.3:
        lash[-1] = (lash[-1][0] + side * 5 * p.makeup, lash[-1][1] - 3.5 * p.makeup)
    sheet.path(ribbon(lash, [(x, y + 1.2) for x, y in upper]), mix(tones.line, "#120a0c", 0.5))
    sheet.line(lower[1:], tones.line, 1.3, 0.5)
    crease = [(x, y - 5.2 * w - 1.5 * au(5)) for (x, y), w in
              zip(upper, (0.35, 1.0, 1.25, 1.15, 0.6), strict=True)]  # fmt: skip
    sheet.line(crease, tones.deep, 1.8, 0.5)
    if au(6) + au(7) > 0.25:  # the tightened or raised lower lid bulges
        pouch = [(x, y + 5.5) for x, y in lower[1:4]]
        sheet.line(pouch, tones.deep, 2.0, min(0.2 + 0.3 * (au(6) + au(7)), 0.5))


def _draw_iris(sheet: Sheet, head: Head, side: int, gaze: Point) -> None:
    """Draw iris, pupil and catchlight; the caller clips them to the lids."""
    p = head.person
    radius = 11.6 * (0.6 + 0.4 * p.eye_size)
    down = 5.0 * head.au(64) + 4 * gaze[1]
    x, y = head.at(side * EYE_X * p.eye_gap + 8.0 * gaze[0], -0.5 + down)
    colour = p.eye_colour
    sheet.ellipse((x, y), radius, radius, sheet.radial(
        (x, y + 3), radius * 1.1,
        (0, mix(colour, "#ffe2b0", 0.4), 1), (0.7, colour, 1), (1, turn(colour, 0, 0.4), 1),
    ))  # fmt: skip
    sheet.ellipse((x, y), radius * 0.47, radius * 0.47, "#0d0a0c")
    lit = 1 if head.light >= 0 else -1
    sheet.ellipse((x + lit * 4, y - 4.2), 2.9, 2.9, "#ffffff", opacity=0.92)
    sheet.ellipse((x - lit * 4, y + 4.5), 1.5, 1.5, "#ffffff", opacity=0.45)


def draw_nose(sheet: Sheet, head: Head) -> None:
    """Draw the nose by its shadows and lights; AU9 lifts and widens its wings."""
    p, tones, au = head.person, head.tones, head.au
    lit = 1 if head.light >= 0 else -1
    base = 50 * p.nose_length - 4 * au(9)
    wing = 19 * p.nose_width * (1 + 0.1 * au(9) + 0.06 * au(12))
    far = -lit if abs(head.yaw) < 0.12 else (1 if head.yaw > 0 else -1)
    ridge = [head.at(far * 14, -27, 1), head.at(far * 7, 2, 12), head.at(far * 9, 30, 20),
             head.at(far * 15 * p.nose_width, base - 6, 16)]  # fmt: skip
    cheek = [head.at(far * 16, -26, 1), head.at(far * 17, 4, 3), head.at(far * 22, 30, 5),
             head.at(far * (wing + 5), base - 2, 4)]  # fmt: skip
    sheet.path(ribbon(ridge, cheek), sheet.linear(
        ridge[1], (cheek[1][0] + far * 3, cheek[1][1]), (0, tones.deep, 0.26), (1, tones.deep, 0.0)
    ))  # fmt: skip
    sheet.glow(head.at(0, base + 10, 6), 30, tones.deep, 0.42, 0.42)
    bridge = [head.at(lit * 2, -14, 8), head.at(lit * 2, 10, 15), head.at(lit * 2, 30, 21)]
    sheet.line(bridge, tones.light, 7, 0.22)
    sheet.line(bridge, tones.light, 3, 0.25)
    sheet.glow(head.at(0, base - 8, 18), 24, tones.blush, 0.32, 0.85)
    sheet.glow(head.at(lit * 3, base - 11, 24), 11, tones.light, 0.85, 0.8)
    for side in (-1, 1):
        up = 3 * au(9)
        alar = [head.at(side * (wing - 3), base - 14 - up, 6),
                head.at(side * (wing + 1.5), base - 6 - up, 6),
                head.at(side * (wing - 1.5), base + 2 - up, 7)]  # fmt: skip
        sheet.line(alar, tones.deep, 2.4, 0.55)
        hole = head.at(side * wing * 0.52, base + 1.5, 12)
        sheet.ellipse(hole, 5.2 * p.nose_width, 2.5, mix(tones.deep, tones.line, 0.5), opacity=0.8)
    under = [head.at(-6, base + 3.5, 16), head.at(0, base + 5.2, 18), head.at(6, base + 3.5, 16)]
    sheet.line(under, tones.deep, 2, 0.4)


class Mouth:
    """Curves of the lips, each of seven points from the left corner to the right one."""

    def __init__(self, head: Head) -> None:
        """Place the curves: outer and inner edge of the upper and of the lower lip."""
        p, au = head.person, head.au
        y = MOUTH_Y * (0.9 + 0.1 * p.nose_length) - 3 * au(17) + 1.5 * au(25)
        wide = 31 * p.mouth_width + 13 * au(12) + 11 * au(20) + 3 * au(15)
        wide -= 6 * au(23) + 3 * au(24) + 5 * au(27) + 2.5 * au(26) * (1 - min(au(20), 1.0))
        corner = -15 * au(12) + 13 * au(15) + 3.5 * au(20) + 4 * au(26) + 9 * au(27)
        parted = au(25) * (4.5 + 2.5 * au(12) + 2.5 * au(10))
        gap = parted + 0.92 * head.jaw_drop + 7 * au(16) * min(1, 0.3 + au(25))
        self.gap = gap
        thin = max(0.35, 1 - 0.55 * au(23) - 0.6 * au(24) - 0.22 * au(12) - 0.15 * au(20))
        raised = 8 * au(10) + 4.5 * au(9) + 2.5 * au(12) * min(au(25), 1.0)
        upper, lower = 8.2 * p.lips * thin, 11.0 * p.lips * thin + 2.5 * au(17)
        # Outer lip edges between corner (0) and middle: heights relative to the corner line.
        mid = y + 0.3 * corner
        edge = y + corner
        square = 0.55 + 0.3 * min(au(20), 1.0) + 0.2 * au(27)
        self.inner_top = self._lip(
            head, wide, edge, mid - raised * 0.8 - 0.1 * gap, (0.5, 0.9, 1.0), 0
        )
        self.inner_bottom = self._lip(
            head, wide, edge, mid - raised * 0.8 + 0.9 * gap, (square, 0.93, 1.0), 0
        )
        self.outer_top = self._lip(
            head, wide + 2, edge, mid - raised - 0.1 * gap - upper, (0.52, 1.0, 0.84), 1
        )
        self.outer_bottom = self._lip(
            head, wide + 2, edge, mid - raised * 0.75 + 0.9 * gap + lower, (0.6, 0.94, 1.0), 1
        )

    @staticmethod
    def _lip(
        head: Head, wide: float, edge: float, mid: float, shares: tuple[float, ...], lift: float
    ) -> list[Point]:
        """Return a curve: at the corners `edge`, inwards the `shares` of the way to `mid`."""
        steps = (-1.0, -0.66, -0.3, 0.0, 0.3, 0.66, 1.0)
        at = (0.0, shares[0], shares[1], shares[2], shares[1], shares[0], 0.0)
        return [
            head.at(wide * t, edge + (mid - edge) * share, 5 * (1 - t * t) + lift)
            for t, share in zip(steps, at, strict=True)
        ]


def draw_mouth(sheet: Sheet, head: Head) -> None:
    """Draw the mouth: cavity, teeth and tongue where open, lips, lights and shadows."""
    p, tones, au = head.person, head.tones, head.au
    m = Mouth(head)
    below = m.outer_bottom[3]
    sheet.glow((below[0], below[1] + 6), 24, tones.deep, 0.4 + 0.25 * au(17), 0.42)
    if m.gap > 1.5:
        _draw_cavity(sheet, head, m)
    upper = mix(tones.lip, tones.deep, 0.22)
    sheet.path(ribbon(m.outer_top, m.inner_top), upper)
    sheet.path(ribbon(m.inner_bottom, m.outer_bottom), sheet.linear(
        m.inner_bottom[3], m.outer_bottom[3],
        (0, mix(tones.lip, tones.deep, 0.15), 1), (0.45, mix(tones.lip, tones.light, 0.25), 1),
        (1, mix(tones.lip, tones.base, 0.25), 1),
    ))  # fmt: skip
    shine = between(m.inner_bottom, m.outer_bottom, 0.42)
    sheet.line(shine[2:5], tones.light, 2.6, 0.22 + 0.25 * p.makeup)
    line = m.inner_top if m.gap > 1.5 else between(m.inner_top, m.inner_bottom, 0.5)
    sheet.line(line, tones.line, 2.0 + 0.8 * au(24), 0.75)
    for corner in (m.inner_top[0], m.inner_top[-1]):
        sheet.glow(corner, 8, tones.deep, 0.55)
    philtrum = (m.outer_top[3][0], m.outer_top[3][1] - 8)
    sheet.glow(philtrum, 8, tones.shade, 0.4, 1.2)


def _draw_cavity(sheet: Sheet, head: Head, m: Mouth) -> None:
    """Draw the open mouth; teeth and tongue are parts of the way from lip to lip."""
    top, bottom = m.inner_top, m.inner_bottom
    sheet.path(ribbon(top, bottom), sheet.linear(
        top[3], bottom[3], (0, "#1f0a0d", 1), (0.6, "#4a151a", 1), (1, "#6d2427", 1)
    ))  # fmt: skip
    if m.gap > 9:
        back = between(top, bottom, 0.68)
        sheet.path(ribbon(back[1:6], between(top, bottom, 0.97)[1:6]), "#a84a4c", opacity=0.85)
    bare = head.au(12) + head.au(10) + head.au(16) + 0.7 * head.au(20) + 0.35
    depth = min(0.85, bare * 8.5 / max(m.gap, 1.0))
    teeth = between(top, bottom, depth)
    sheet.path(ribbon(top[:], teeth), sheet.linear(
        top[0], top[-1], (0, "#8f8580", 1), (0.25, "#ece5da", 1), (0.75, "#ece5da", 1),
        (1, "#8f8580", 1),
    ))  # fmt: skip
    if depth > 0.4 and m.gap > 5:
        for i in (2, 3, 4):
            sheet.line([top[i], between(top, teeth, 0.85)[i]], "#9c8d84", 0.8, 0.3)
    sheet.path(smooth(top), stroke="#1a0a0c", stroke_width=3.0, stroke_opacity=0.35)


def draw_lines(sheet: Sheet, head: Head) -> None:
    """Draw the folds that action units press into the skin, deeper with age."""
    tones, au, age = head.tones, head.au, head.person.age

    def fold(points: list[Point], strength: float, width: float = 2.2) -> None:
        if strength > 0.08:
            sheet.line(head.curve(points), tones.deep, width, min(0.62, 0.5 * strength))

    raised = max(min(au(1), au(2)) - 0.3 * au(4), 0) + 0.18 * age
    for y, reach in ((-56, 40), (-66, 46), (-76, 36)):
        up = 5 * raised
        fold([(-reach, y + 3 - up), (-reach / 2, y - 1 - up), (0, y + 1 - up),
              (reach / 2, y - 1 - up), (reach, y + 3 - up)], raised, 2.6)  # fmt: skip
    sorrow = max(au(1) - au(2), 0) * 0.8
    fold([(-20, -52), (-8, -57), (8, -57), (20, -52)], sorrow)
    for side in (-1, 1):
        fold([(side * 6, -40), (side * 5, -30), (side * 7.5, -20)], au(4) + 0.2 * age, 2.6)
        fold([(side * 4, -16), (side * 9, -10), (side * 16, -7)], au(9), 2.4)
        fold([(side * 3, -8), (side * 9, -1), (side * 15, 3)], 0.9 * au(9), 2.2)
        for k, (dx, dy) in enumerate(((12, -7), (13, 0), (11, 7))):
            fold([(side * 68, 1 + 3 * k), (side * (68 + dx), 1 + 3 * k + dy)],
                 0.7 * au(6) + 0.3 * age, 1.6)  # fmt: skip
        pull = max(au(12), au(9), 0.9 * au(10))
        out = 7 * au(12)
        fold([(side * 23, 44 - 3 * au(9)), (side * (37 + out * 0.7), 58), (side * (43 + out), 74),
              (side * (42 + out), 86)], 0.9 * pull + 0.3 * age, 2.6)  # fmt: skip
        fold([(side * 35, 95 + 4 * au(15)), (side * 40, 104), (side * 38, 112)],
             au(15) + 0.15 * age, 2.4)  # fmt: skip
        fold([(side * 14, 110), (side * 10, 116), (side * 13, 121)], 0.8 * au(17))
        fold([(side * 52, 76), (side * 57, 86), (side * 55, 96)], 0.7 * au(20), 2.0)
    if au(17) > 0.3:
        sheet.glow(head.at(0, 116), 16, tones.deep, 0.25 * au(17), 0.7)
