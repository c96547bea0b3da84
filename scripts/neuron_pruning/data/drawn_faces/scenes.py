"""What is behind and in front of the people: settings, passers-by and what hides the view.

Coordinates are those of the picture: 1000 units from top to bottom, `wide` units across.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from neuron_pruning.data.drawn_faces.looks import HAIR_COLOURS, SKINS, Look
from neuron_pruning.data.drawn_faces.svg import Sheet, mix, smooth, turn

Palette = tuple[str, ...]
Painter = Callable[[Sheet, random.Random, Palette, float], None]


def _wall(sheet: Sheet, first: str, second: str, wide: float) -> None:
    sheet.rect(-200, 0, wide + 400, 1000, sheet.linear((0, 0), (wide * 0.3, 1000), (0, first, 1),
                                                       (1, second, 1)))  # fmt: skip


def _lamp(sheet: Sheet, x: float, y: float, glow: str, size: float = 1.0) -> None:
    sheet.glow((x, y), 330 * size, glow, 0.75)
    sheet.ellipse((x, y), 62 * size, 46 * size, mix(glow, "#fffbe8", 0.75))


def paint_room(sheet: Sheet, rng: random.Random, palette: Palette, wide: float) -> None:
    """Paint a wall with pictures, a lamp and a sofa."""
    dark, middle, light, accent, second = palette
    _wall(sheet, mix(middle, light, 0.4), mix(middle, dark, 0.35), wide)
    for _ in range(3):
        x, y, w, h = rng.uniform(0, wide), rng.uniform(60, 300), rng.uniform(120, 240), 210
        sheet.rect(x, y, w, h, mix(dark, middle, 0.3))
        sheet.rect(x + 16, y + 16, w - 32, h - 32, mix(light, rng.choice((accent, second)), 0.35))
        sheet.ellipse((x + w / 2, y + 130), w * 0.25, 45, mix(middle, second, 0.6))
    sheet.rect(-200, 690, wide + 400, 320, mix(dark, second, 0.35), rx=70)
    _lamp(sheet, rng.choice((0.1, 0.88)) * wide, rng.uniform(240, 420), accent)


def paint_window(sheet: Sheet, rng: random.Random, palette: Palette, wide: float) -> None:
    """Paint a bright window with curtains and a plant on the sill."""
    dark, middle, light, accent, second = palette
    _wall(sheet, mix(middle, dark, 0.35), mix(dark, middle, 0.2), wide)
    x, w = rng.uniform(0.05, 0.35) * wide, 0.55 * wide
    sheet.glow((x + w / 2, 380), w * 0.95, light, 0.8)
    sheet.rect(x, 50, w, 680, sheet.linear((0, 50), (0, 730), (0, mix(light, "#ffffff", 0.65), 1),
                                           (0.65, light, 1), (1, mix(second, light, 0.5), 1)),
    )  # fmt: skip
    for k in (0, 1, 2):
        sheet.rect(x + k * w / 2 - 9, 50, 18, 680, mix(dark, light, 0.45))
    sheet.rect(x, 370, w, 16, mix(dark, light, 0.45))
    for side in (x - 70, x + w - 60):
        for k in range(5):
            sheet.rect(side + 26 * k, 20, 24, 780, mix(accent, middle, 0.25 + 0.12 * (k % 3)))
    sheet.rect(x - 90, 730, w + 180, 34, mix(light, middle, 0.4))
    for _ in range(14):
        px, py = x + w * 0.8 + rng.gauss(0, 40), 640 + rng.gauss(0, 50)
        sheet.ellipse((px, py), 44, 20, mix("#3c6b45", dark, rng.random() * 0.6),
                      transform=f"rotate({rng.uniform(-70, 70):.0f} {px:.0f} {py:.0f})",
        )  # fmt: skip


def paint_bokeh(sheet: Sheet, rng: random.Random, palette: Palette, wide: float) -> None:
    """Paint lights of a city at night, out of focus."""
    dark, middle, light, accent, second = palette
    _wall(sheet, turn(dark, 0, 0.75), mix(dark, middle, 0.55), wide)
    for _ in range(46):
        place = (rng.uniform(-100, wide + 100), rng.triangular(60, 900, 420))
        size = rng.uniform(14, 62)
        colour = rng.choice((accent, accent, second, light, middle))
        sheet.ellipse(place, size, size, colour, opacity=rng.uniform(0.18, 0.6),
                      stroke=mix(colour, "#ffffff", 0.45), stroke_width=4, stroke_opacity=0.4,
        )  # fmt: skip


def paint_shelves(sheet: Sheet, rng: random.Random, palette: Palette, wide: float) -> None:
    """Paint shelves of books."""
    dark, middle, light, accent, second = palette
    _wall(sheet, mix(dark, middle, 0.25), turn(dark, 0, 0.8), wide)
    for row in range(4):
        bottom, x = 230 + 250 * row, -150.0
        while x < wide + 150:
            w, h = rng.uniform(24, 58), rng.uniform(140, 205)
            book = mix(
                rng.choice((middle, accent, second, light, dark)), dark, rng.uniform(0.1, 0.5)
            )
            if rng.random() < 0.9:
                sheet.rect(x, bottom - h, w - 3, h, book)
                sheet.rect(x + 4, bottom - h * 0.8, w - 11, 14, mix(book, light, 0.5))
            x += w
        sheet.rect(-200, bottom, wide + 400, 26, mix(middle, "#5a3a22", 0.5))
    _lamp(sheet, rng.choice((0.06, 0.94)) * wide, 180, mix(accent, "#ffdf9e", 0.5), 0.9)


def paint_street(sheet: Sheet, rng: random.Random, palette: Palette, wide: float) -> None:
    """Paint houses with lit windows along a street."""
    dark, middle, light, accent, second = palette
    _wall(sheet, mix(light, middle, 0.35), mix(light, accent, 0.35), wide)
    x = -180.0
    while x < wide + 100:
        w, top = rng.uniform(150, 290), rng.uniform(20, 330)
        house = mix(rng.choice((middle, second, dark)), dark, rng.uniform(0.15, 0.5))
        sheet.rect(x, top, w, 1000 - top, house)
        for wy in range(int(top) + 40, 700, 105):
            for wx in range(int(x) + 24, int(x + w) - 50, 66):
                lit = rng.random() < 0.35
                sheet.rect(
                    wx, wy, 36, 58, mix(accent, "#ffe9b0", 0.5) if lit else mix(house, light, 0.3)
                )
        x += w
    sheet.rect(-200, 760, wide + 400, 260, mix(dark, middle, 0.25))
    for k in range(5):
        sheet.glow((k * wide / 4 + rng.uniform(-60, 60), rng.uniform(640, 760)), 75, accent, 0.9)


def paint_foliage(sheet: Sheet, rng: random.Random, palette: Palette, wide: float) -> None:
    """Paint leaves with the sun behind them."""
    dark, middle, light, accent, _ = palette
    green = mix("#4f7f4a", middle, 0.3)
    _wall(sheet, mix(mix(light, "#eaf2c4", 0.5), green, 0.25), mix(green, dark, 0.6), wide)
    sheet.glow((rng.uniform(0, wide), 120), 620, mix(accent, "#fff3c0", 0.7), 0.9)
    for k in range(70):
        x, y = rng.uniform(-150, wide + 150), rng.uniform(0, 1000)
        tint = mix(mix(green, "#cfdc86", rng.random() * 0.6), dark, 0.15 + 0.5 * k / 70)
        sheet.ellipse((x, y), rng.uniform(40, 105), rng.uniform(18, 44), tint,
                      opacity=rng.uniform(0.35, 0.8),
                      transform=f"rotate({rng.uniform(-80, 80):.0f} {x:.0f} {y:.0f})")  # fmt: skip
    for _ in range(12):
        size = rng.uniform(15, 45)
        sheet.ellipse((rng.uniform(0, wide), rng.uniform(0, 600)), size, size, "#fff8d8",
                      opacity=rng.uniform(0.15, 0.45))  # fmt: skip


def paint_dusk(sheet: Sheet, rng: random.Random, palette: Palette, wide: float) -> None:
    """Paint an evening sky over hills and water."""
    dark, middle, light, accent, second = palette
    sheet.rect(-200, 0, wide + 400, 1000, sheet.linear(
        (0, 0), (0, 700), (0, mix(dark, middle, 0.7), 1), (0.55, mix(second, light, 0.4), 1),
        (1, mix(accent, light, 0.4), 1)))  # fmt: skip
    sun = rng.uniform(0.1, 0.9) * wide
    sheet.glow((sun, 520), 480, mix(accent, "#fff0c8", 0.6), 0.9)
    sheet.ellipse((sun, 520), 70, 70, "#fff4d6")
    for layer in range(3):
        base = 560 + 75 * layer
        ridge = [(x, base + rng.uniform(-70, 50)) for x in range(-200, int(wide) + 320, 130)]
        data = smooth(ridge) + f"L{wide + 300:.0f},1000L-200,1000z"
        sheet.path(data, mix(mix(middle, accent, 0.25), dark, 0.3 + 0.28 * layer))
    sheet.rect(-200, 800, wide + 400, 200, mix(dark, middle, 0.5))
    for _ in range(16):
        sheet.rect(sun + rng.gauss(0, 130), rng.uniform(810, 990), rng.uniform(30, 140), 7,
                   mix(accent, light, 0.6), opacity=0.55, rx=3)  # fmt: skip


def paint_cafe(sheet: Sheet, rng: random.Random, palette: Palette, wide: float) -> None:
    """Paint a counter with bottles under hanging lamps."""
    dark, middle, light, accent, second = palette
    _wall(sheet, turn(dark, 0, 0.9), mix(dark, middle, 0.6), wide)
    for row in (420, 640):
        sheet.rect(-200, row, wide + 400, 18, mix(middle, dark, 0.4))
        x = -120.0
        while x < wide + 100:
            h = rng.uniform(70, 150)
            glass = rng.choice((accent, second, light, middle))
            sheet.rect(x, row - h, 34, h, mix(glass, dark, 0.3), rx=10, opacity=0.85)
            sheet.rect(x + 12, row - h - 34, 11, 36, mix(glass, dark, 0.3), opacity=0.85)
            x += rng.uniform(42, 90)
    sheet.rect(-200, 780, wide + 400, 240, mix(middle, "#5a3622", 0.5))
    for k in range(4):
        x = (k + rng.uniform(0.2, 0.8)) * wide / 4
        sheet.rect(x - 3, 0, 6, 130, dark)
        _lamp(sheet, x, 150 + rng.uniform(-30, 50), mix(accent, "#ffd28a", 0.5), 0.62)


def paint_corridor(sheet: Sheet, rng: random.Random, palette: Palette, wide: float) -> None:
    """Paint a corridor that runs away from the camera."""
    dark, middle, light, accent, second = palette
    _wall(sheet, mix(middle, light, 0.3), mix(middle, dark, 0.5), wide)
    cx, cy = wide * rng.uniform(0.35, 0.65), 430
    for k in range(6):
        reach = 1.0 - k / 6
        x, y = wide * 0.75 * reach, 640 * reach
        tint = mix(mix(dark, middle, 0.35), mix(light, accent, 0.2), k / 5)
        sheet.rect(cx - x, cy - y, 2 * x, 2 * y, tint, opacity=0.85)
        sheet.rect(cx - x * 0.22, cy - y * 0.98, x * 0.44, y * 0.07, mix(light, "#ffffff", 0.6))
        door = mix(second, dark, 0.35)
        for side in (-1, 1):
            sheet.rect(cx + side * x * 0.93 - x * 0.05, cy - y * 0.45, x * 0.1, y * 1.4, door)
    sheet.glow((cx, cy), 260, mix(light, "#ffffff", 0.5), 0.85)


def paint_studio(sheet: Sheet, rng: random.Random, palette: Palette, wide: float) -> None:
    """Paint a plain backdrop with soft spots of light."""
    dark, middle, light, accent, second = palette
    _wall(sheet, mix(middle, second, 0.3), mix(dark, middle, 0.4), wide)
    sheet.glow((wide * rng.uniform(0.3, 0.7), 420), 720, mix(light, accent, 0.25), 0.75)
    for _ in range(4):
        x, y = rng.uniform(-100, wide), rng.uniform(0, 900)
        sheet.path(
            f"M{x:.0f},{y:.0f}l{rng.uniform(150, 420):.0f},{rng.uniform(-260, 260):.0f}"
            f"l{rng.uniform(-80, 300):.0f},{rng.uniform(100, 300):.0f}z",
            rng.choice((accent, second, light)), opacity=rng.uniform(0.12, 0.35),
        )  # fmt: skip


PAINTERS: dict[str, Painter] = {
    "room": paint_room, "window": paint_window, "bokeh": paint_bokeh, "shelves": paint_shelves,
    "street": paint_street, "foliage": paint_foliage, "dusk": paint_dusk, "cafe": paint_cafe,
    "corridor": paint_corridor, "studio": paint_studio,
}  # fmt: skip


def paint_companions(sheet: Sheet, rng: random.Random, look: Look, wide: float, n: int) -> None:
    """Paint people in the background, as they look out of focus."""
    for _ in range(n):
        x = wide * rng.choice((rng.uniform(0.02, 0.22), rng.uniform(0.78, 0.98)))
        y, size = rng.uniform(380, 540), rng.uniform(62, 100)
        skin, hair = rng.choice(SKINS), rng.choice(HAIR_COLOURS)
        cloth = mix(rng.choice(look.palette[1:]), look.palette[0], 0.3)
        body = [(x - size * 2.3, 1000), (x - size * 1.9, y + size * 2.3),
                (x - size, y + size * 1.7), (x, y + size * 1.5), (x + size, y + size * 1.7),
                (x + size * 1.9, y + size * 2.3), (x + size * 2.3, 1000)]  # fmt: skip
        sheet.ellipse((x, y - size * 0.25), size * 1.12, size * 1.3, hair)
        sheet.rect(
            x - size * 0.4, y + size * 0.6, size * 0.8, size * 1.3, mix(skin, "#3a1a1a", 0.35)
        )
        sheet.path(smooth(body) + "z", cloth)
        sheet.ellipse(
            (x, y + size * 0.15), size * 0.9, size * 1.15, mix(skin, look.palette[0], 0.2)
        )
        for side in (-1, 1):
            sheet.ellipse(
                (x + side * size * 0.36, y), size * 0.13, size * 0.09, "#2a1a1a", opacity=0.6
            )
        sheet.ellipse((x, y + size * 0.72), size * 0.25, size * 0.07, "#6a2a2a", opacity=0.5)


def paint_occlusion(sheet: Sheet, rng: random.Random, look: Look, wide: float, kind: str) -> None:
    """Paint what stands, blurred, between the camera and the face."""
    dark, _, light, accent, second = look.palette
    side = rng.choice((-1, 1))
    edge = 0.0 if side < 0 else wide
    if kind == "shoulder":  # over another person's shoulder
        hair = mix(rng.choice(HAIR_COLOURS), "#0c0a0e", 0.5)
        x = edge - side * rng.uniform(40, 140)
        sheet.path(smooth([(x - 420, 1000), (x - 300, 800), (x - 90, 690), (x + 90, 690),
                           (x + 300, 800), (x + 420, 1000)]) + "z", mix(dark, "#08080c", 0.5),
        )  # fmt: skip
        sheet.ellipse((x, 510), 175, 235, hair)
    elif kind == "leaves":
        for _ in range(16):
            x, y = edge - side * abs(rng.gauss(60, 130)), rng.uniform(0, 1000)
            sheet.ellipse((x, y), rng.uniform(60, 150), rng.uniform(22, 48),
                          mix("#35593a", dark, rng.uniform(0.1, 0.7)), opacity=0.93,
                          transform=f"rotate({rng.uniform(-70, 70):.0f} {x:.0f} {y:.0f})",
            )  # fmt: skip
    elif kind == "edge":  # a door post
        reach = wide * rng.uniform(0.16, 0.32)
        x = edge - (reach if side > 0 else 0)
        sheet.rect(x, 0, reach, 1000, sheet.linear((x, 0), (x + reach, 0), (0, dark, 1),
                                                   (1, mix(dark, second, 0.3), 1)))  # fmt: skip
    elif kind == "glass":  # reflections of a pane
        for _ in range(5):
            x, w = rng.uniform(-100, wide), rng.uniform(50, 190)
            sheet.path(f"M{x:.0f},0 h{w:.0f} l-330,1000 h{-w:.0f}z", light,
                       opacity=rng.uniform(0.1, 0.3))  # fmt: skip
    elif kind == "lights":
        for _ in range(9):
            place = (
                rng.uniform(0, wide),
                rng.choice((rng.uniform(0, 200), rng.uniform(720, 1000))),
            )
            size = rng.uniform(40, 110)
            sheet.ellipse(place, size, size, rng.choice((accent, light)), opacity=0.34)


def paint_setting(
    sheet: Sheet, rng: random.Random, look: Look, setting: int, shift: float, wide: float
) -> None:
    """Paint one of the movie's settings, moved sideways by `shift` picture heights."""
    with sheet.group(transform=f"translate({150 * math.tanh(shift * 7):.1f} 0)"):
        PAINTERS[look.settings[setting]](sheet, rng, look.palette, wide)
