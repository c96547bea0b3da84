"""Shoulders and clothes; in body coordinates (head units, without the head's turn)."""

from __future__ import annotations

from neuron_pruning.data.drawn_faces.head import Head
from neuron_pruning.data.drawn_faces.svg import Point, Sheet, mix, smooth, turn

COLLARS: dict[str, tuple[Point, ...]] = {
    "tee": ((-76, 184), (-44, 214), (0, 226), (44, 214), (76, 184)),
    "vneck": ((-74, 182), (-34, 232), (0, 286), (34, 232), (74, 182)),
    "shirt": ((-66, 172), (-36, 214), (0, 262), (36, 214), (66, 172)),
    "suit": ((-66, 172), (-36, 214), (0, 250), (36, 214), (66, 172)),
    "turtleneck": ((-62, 140), (-34, 152), (0, 156), (34, 152), (62, 140)),
    "hoodie": ((-80, 176), (-46, 220), (0, 234), (46, 220), (80, 176)),
    "scoop": ((-98, 190), (-62, 246), (0, 272), (62, 246), (98, 190)),
}
"""Neckline of each garment, from the left shoulder to the right one."""


def draw_body(sheet: Sheet, head: Head) -> None:
    """Draw shoulders in the person's garment, lit from the same side as the face."""
    person, side = head.person, 1 if head.light >= 0 else -1
    broad = 0.7 + 0.3 * person.jaw
    collar = COLLARS[person.garment]
    cloth = person.cloth_colour
    right = [(128 * broad, 206), (196 * broad, 236), (238 * broad, 300), (262 * broad, 420)]
    left = [(-x, y) for x, y in reversed(right)]
    data = (
        smooth([*left, *collar, *right]) + "L300,760L-300,760z"
    )  # down past any edge of the picture
    sheet.path(data, sheet.linear(
        (side * 230, 180), (-side * 230, 330),
        (0, mix(cloth, head.tones.light, 0.3), 1), (0.45, cloth, 1), (1, turn(cloth, 0, 0.5), 1),
    ))  # fmt: skip
    sheet.path(data, sheet.linear((0, 240), (0, 620), (0, "#0c0a10", 0), (1, "#0c0a10", 0.5)))
    _draw_folds(sheet, cloth, broad)
    if person.garment == "turtleneck":
        _draw_roll(sheet, collar, cloth, side)
    elif person.garment == "shirt":
        _draw_shirt(sheet, mix(cloth, "#ffffff", 0.18), cloth)
    elif person.garment == "suit":
        _draw_suit(sheet, head, cloth)
    elif person.garment == "hoodie":
        _draw_hood(sheet, cloth)
    else:
        sheet.line(collar, turn(cloth, 0, 0.6), 5.0, 0.7)
        sheet.line([(x, y + 7) for x, y in collar], mix(cloth, "#ffffff", 0.3), 2.0, 0.35)


def _draw_folds(sheet: Sheet, cloth: str, broad: float) -> None:
    dark = turn(cloth, 0, 0.45)
    for side in (-1, 1):
        sleeve = [(side * x * broad, y) for x, y in ((150, 300), (160, 380), (150, 520))]
        sheet.line(sleeve, dark, 6, 0.25)
        sheet.line([(side * 110, 225), (side * 80, 262), (side * 68, 310)], dark, 4, 0.16)


def _draw_roll(sheet: Sheet, collar: tuple[Point, ...], cloth: str, side: int) -> None:
    """Draw a turtleneck's roll around the neck."""
    low = [(-84, 200), (-44, 216), (0, 220), (44, 216), (84, 200)]
    fill = sheet.linear((side * 70, 0), (-side * 75, 0), (0, mix(cloth, "#ffffff", 0.22), 1),
                        (0.5, cloth, 1), (1, turn(cloth, 0, 0.55), 1))  # fmt: skip
    sheet.path(smooth(collar) + "L" + smooth(low[::-1])[1:] + "z", fill)
    sheet.line(low, turn(cloth, 0, 0.5), 4, 0.45)
    for x in (-46, -24, 0, 24, 46):
        sheet.line([(x * 0.9, 156), (x * 1.1, 212)], turn(cloth, 0, 0.6), 2, 0.25)


def _draw_shirt(sheet: Sheet, fill: str, cloth: str) -> None:
    """Draw a shirt's collar points and its row of buttons."""
    dark = turn(cloth, 0, 0.5)
    sheet.line([(0, 262), (2, 420), (0, 700)], dark, 3, 0.4)
    for side in (-1, 1):
        points = [(side * 62, 160), (side * 80, 184), (side * 58, 262), (side * 6, 262),
                  (side * 34, 214)]  # fmt: skip
        data = "M" + "L".join(f"{x},{y}" for x, y in points) + "z"
        sheet.path(data, fill, stroke=dark, stroke_width=2.0, stroke_opacity=0.35,
                   stroke_linejoin="round")  # fmt: skip
    for y in (300, 380, 460):
        sheet.ellipse((9, y), 5, 5, mix(fill, "#ffffff", 0.4))


def _draw_suit(sheet: Sheet, head: Head, cloth: str) -> None:
    """Draw shirt front, tie and lapels."""
    shirt, dark = mix(head.person.under_colour, "#ffffff", 0.5), turn(cloth, 0, 0.5)
    sheet.path("M-60,170 L0,252 L60,170 L84,190 L24,460 L-24,460 L-84,190z", shirt)
    tie = turn(head.person.under_colour, 0.02, 0.6, 1.2)
    sheet.path("M-15,246 L15,246 L9,272 L22,440 L0,470 L-22,440 L-9,272z", tie)
    for side in (-1, 1):
        points = [(side * 62, 158), (side * 74, 178), (side * 46, 256), (side * 2, 248)]
        sheet.path("M" + "L".join(f"{x},{y}" for x, y in points) + "z", mix(shirt, "#ffffff", 0.4),
                   stroke=dark, stroke_width=1.5, stroke_opacity=0.3)  # fmt: skip
        lapel = [(side * 84, 182), (side * 132, 246), (side * 104, 268), (side * 118, 288),
                 (side * 20, 480), (side * 14, 470)]  # fmt: skip
        sheet.path("M" + "L".join(f"{x},{y}" for x, y in lapel) + "z", mix(cloth, dark, 0.35),
                   stroke=dark, stroke_width=2.5, stroke_opacity=0.6)  # fmt: skip


def _draw_hood(sheet: Sheet, cloth: str) -> None:
    """Draw the hood's rim on the shoulders and its cords."""
    dark = turn(cloth, 0, 0.55)
    for side in (-1, 1):
        rim = [(side * 66, 150), (side * 112, 190), (side * 96, 236), (side * 30, 262),
               (side * 2, 250), (side * 48, 218), (side * 76, 182)]  # fmt: skip
        sheet.path(smooth(rim, closed=True), mix(cloth, "#ffffff", 0.1))
        sheet.line(rim[3:], dark, 3.5, 0.45)
        sheet.line([(side * 24, 256), (side * 30, 310), (side * 27, 350)], "#efe8dd", 4, 0.8)
