"""Hair, beards and glasses; in head coordinates."""

from __future__ import annotations

import math
import random

from neuron_pruning.data.drawn_faces.features import Mouth
from neuron_pruning.data.drawn_faces.head import Head, outline
from neuron_pruning.data.drawn_faces.svg import Point, Sheet, between, mix, ribbon, smooth, turn

VOLUME = {
    "crop": 7, "quiff": 15, "side": 12, "curls": 20, "buzz": 3, "receding": 4, "waves": 16,
    "beanie": 10, "bob": 17, "long": 15, "bangs": 16, "bun": 8, "afro": 46, "wavy": 20,
    "pony": 9, "scarf": 14,
}  # fmt: skip
"""How far each style stands off the skull at the crown, in head units."""

# Hairlines by style: (x, y) of the face's surface from the left side to the right, nine points.
HAIRLINES: dict[str, tuple[Point, ...]] = {
    "crop": ((-97, 6), (-92, -30), (-80, -66), (-48, -88), (0, -86), (48, -88), (80, -66),
             (92, -30), (97, 6)),
    "quiff": ((-97, 4), (-93, -32), (-82, -70), (-50, -96), (0, -92), (48, -98), (80, -72),
              (92, -32), (97, 4)),
    "side": ((-97, 8), (-93, -26), (-84, -60), (-62, -86), (-34, -104), (20, -84), (68, -66),
             (91, -34), (97, 8)),
    "curls": ((-98, 4), (-91, -34), (-78, -62), (-44, -76), (0, -80), (44, -74), (78, -62),
              (91, -34), (98, 4)),
    "receding": ((-98, 8), (-95, -30), (-90, -66), (-70, -112), (0, -106), (70, -112), (90, -66),
                 (95, -30), (98, 8)),
    "waves": ((-99, 22), (-93, -22), (-80, -58), (-54, -84), (-8, -100), (36, -78), (76, -60),
              (93, -22), (99, 22)),
    "bun": ((-97, -4), (-91, -38), (-76, -74), (-42, -94), (0, -97), (42, -94), (76, -74),
            (91, -38), (97, -4)),
    "bob": ((-101, 84), (-90, 30), (-84, -30), (-62, -72), (-14, -108), (34, -80), (80, -36),
            (90, 30), (101, 84)),
    "long": ((-112, 170), (-93, 60), (-86, -20), (-58, -76), (2, -112), (56, -78), (86, -20),
             (93, 60), (112, 170)),
    "bangs": ((-100, 76), (-90, 20), (-86, -34), (-56, -42), (0, -46), (56, -42), (86, -34),
              (90, 20), (100, 76)),
}  # fmt: skip
HAIRLINES["buzz"] = HAIRLINES["crop"]
HAIRLINES["afro"] = HAIRLINES["curls"]
HAIRLINES["wavy"] = HAIRLINES["long"]
HAIRLINES["pony"] = HAIRLINES["bun"]
HAIRLINES["beanie"] = HAIRLINES["crop"]


def _shell(head: Head, volume: float, ends: float, flare: float = 0.0) -> list[Point]:
    """Return the hair's outer edge, left to right over the crown, nine points.

    Args:
        head: Whose hair.
        volume: Distance from the skull at the crown.
        ends: y at which the edge ends on both sides.
        flare: How much wider than the skull the ends are.
    """
    points = []
    for t in (-1.0, -0.8, -0.55, -0.28, 0.0, 0.28, 0.55, 0.8, 1.0):
        angle = t * math.pi / 2
        x = (101 + 0.72 * volume) * math.sin(angle)
        y = -42 - (99 + volume) * math.cos(angle)
        if abs(t) > 0.99:
            x, y = math.copysign(99 + 0.5 * volume + flare, t), ends
        elif abs(t) > 0.79:
            y += 0.25 * (ends + 42) * (0.5 if ends < 0 else 0.3)
        points.append(head.at(x, y, depth=-6.0 if abs(t) > 0.5 else -2.0))
    return points


def _hair_paint(sheet: Sheet, head: Head) -> tuple[str, str, str]:
    """Return the fill of the hair, a lighter strand colour and a darker one."""
    colour, side = head.person.hair_colour, 1 if head.light >= 0 else -1
    light = mix(turn(colour, 0.01, 1.45), head.tones.light, 0.22)
    dark = mix(turn(colour, 0, 0.5), "#120d14", 0.3)
    fill = sheet.linear(
        (side * 95, -130), (-side * 90, 40),
        (0, mix(colour, light, 0.5), 1), (0.4, colour, 1), (1, dark, 1),
    )  # fmt: skip
    return fill, light, dark


def draw_back_hair(sheet: Sheet, head: Head) -> None:
    """Draw what hangs or stands behind head and neck."""
    style, colour = head.person.hair, head.person.hair_colour
    dark = mix(turn(colour, 0, 0.6), "#120d14", 0.25)
    x0, y0 = head.at(0, -30, depth=-40)
    fill = sheet.linear((0, -120), (0, 200), (0, colour, 1), (0.5, dark, 1), (1, dark, 1))
    if style in ("bob", "bangs", "long", "wavy"):
        low = {"bob": 96, "bangs": 120, "long": 235, "wavy": 225}[style]
        wide = {"bob": 118, "bangs": 116, "long": 122, "wavy": 138}[style]
        side = [(92, -90), (105, -10), (wide, low * 0.6), (wide - 4, low * 0.92),
                (wide - 40, low + 8)]  # fmt: skip
        right = [(x0 + x, y) for x, y in side]
        left = [(x0 - x, y) for x, y in reversed(side)]
        sheet.path(smooth([(x0, -150), *right, (x0, low - 10), *left], closed=True), fill)
    elif style == "afro":
        _draw_puffs(sheet, head, (x0, y0 - 14), 122, mix(colour, dark, 0.5))
    elif style == "bun":
        sheet.ellipse((x0 * 0.9, y0 - 128), 46, 40, colour)
        sheet.ellipse((x0 * 0.9 + 8, y0 - 138), 26, 20, mix(colour, "#ffffff", 0.14), opacity=0.5)
    elif style == "pony":
        tail = [(x0 - 40, -100), (x0 - 118, -90), (x0 - 150, 0), (x0 - 138, 120), (x0 - 116, 190),
                (x0 - 108, 90), (x0 - 96, 0)]  # fmt: skip
        sheet.path(smooth(tail, closed=True), fill)
    elif style == "scarf":
        cloth = turn(head.person.under_colour, 0, 0.62)
        shape = [
            (x0, -160),
            (x0 + 108, -90),
            (x0 + 120, 40),
            (x0 + 124, 160),
            (x0 + 90, 230),
            (x0, 250),
            (x0 - 90, 230),
            (x0 - 124, 160),
            (x0 - 120, 40),
            (x0 - 108, -90),
        ]
        sheet.path(smooth(shape, closed=True), cloth)


def _draw_puffs(sheet: Sheet, head: Head, centre: Point, radius: float, colour: str) -> None:
    """Draw a ball of curls: a disc with smaller discs round its rim."""
    rng = random.Random(head.person.key)
    sheet.ellipse(centre, radius * 0.96, radius * 0.93, colour)
    for k in range(26):
        angle = k * math.tau / 26 + rng.uniform(-0.1, 0.1)
        if math.sin(angle) < 0.75:
            puff = (centre[0] + radius * 0.93 * math.cos(angle),
                    centre[1] + radius * 0.9 * math.sin(angle))  # fmt: skip
            sheet.ellipse(puff, rng.uniform(15, 25), rng.uniform(15, 25), colour)


def draw_front_hair(sheet: Sheet, head: Head) -> None:
    """Draw what lies over the forehead and the sides of the head."""
    style = head.person.hair
    if style == "scarf":
        _draw_scarf(sheet, head)
        return
    volume = VOLUME[style]
    hairline = head.curve(HAIRLINES[style], 2.0)
    ends = {"long": 175.0, "wavy": 165.0, "bob": 92.0, "bangs": 88.0, "waves": 34.0}.get(style, 2.0)
    shell = _shell(head, volume, ends, {"long": 14.0, "wavy": 20.0}.get(style, 0.0))
    if style == "afro":
        shell = _shell(head, 40, 18, 10)
    fill, light, dark = _hair_paint(sheet, head)
    shade = [(x, y + 7) for x, y in hairline]
    sheet.path(ribbon(shell, shade), head.tones.deep, opacity=0.16)
    opacity = {"buzz": 0.72, "receding": 0.85}.get(style, 1.0)
    sheet.path(ribbon(shell, hairline), fill, opacity=opacity)
    if style in ("curls", "afro"):
        _draw_curls(sheet, head, shell, hairline, light, dark)
    elif style != "buzz":
        _draw_strands(sheet, head, shell, hairline, light, dark)
    if style == "beanie":
        _draw_beanie(sheet, head)


def _draw_strands(
    sheet: Sheet, head: Head, shell: list[Point], line: list[Point], light: str, dark: str
) -> None:
    """Draw strands that follow the hair's flow from its outer edge to the hairline."""
    rng = random.Random(head.person.key + 1)
    swept = head.person.hair in ("quiff", "bun", "pony", "receding", "crop", "bangs")
    for _ in range(20):
        colour, width = rng.choice((light, light, dark, dark)), rng.uniform(1.0, 3.2)
        if swept:  # combed back: across, from the hairline to the crown
            k = rng.uniform(1.0, 7.0)
            i = int(k)
            a = between([line[i]], [line[i + 1]], k - i)[0]
            b = between([shell[i]], [shell[i + 1]], k - i)[0]
            bend = (a[0] * 0.5 + b[0] * 0.5 + (a[0] - b[0]) * 0.2 + 4, (a[1] + b[1]) / 2)
            sheet.line([a, bend, between([a], [b], 0.92)[0]], colour, width * 0.8, 0.2)
        else:  # hanging: along, from the parting to an end
            share = rng.uniform(0.08, 0.92)
            strand = between(shell, line, share)
            strand = strand[:5] if rng.random() < 0.5 else strand[4:]
            sheet.line(strand, colour, width, 0.3)
    shine = between(shell, line, 0.42)
    part = slice(4, 8) if head.light >= 0 else slice(1, 5)
    sheet.line(shine[part], light, 9, 0.16)
    sheet.line(shine[part], light, 4, 0.18)


def _draw_curls(
    sheet: Sheet, head: Head, shell: list[Point], line: list[Point], light: str, dark: str
) -> None:
    """Cover the hair with curls: small discs, darker below and lighter towards the light."""
    rng = random.Random(head.person.key + 2)
    colour = head.person.hair_colour
    count = 80
    for k in range(count):
        share = 1 - k / count  # from the hairline outwards, so that upper curls overlap
        place = rng.uniform(0.3, 7.7)
        i = int(place)
        row = between(shell, line, share * 1.04 - 0.02)
        x, y = between([row[i]], [row[i + 1]], place - i)[0]
        lit = 0.5 + 0.35 * math.tanh((x * head.light - y - 60) / 60)
        tint = mix(mix(dark, colour, 0.6), mix(colour, light, 0.45), lit)
        size = rng.uniform(10, 16)
        sheet.ellipse((x, y), size, size, tint, opacity=0.85)
        sheet.path(
            f"M{x - size * 0.5:.1f},{y - size * 0.2:.1f}a{size * 0.5:.1f},{size * 0.5:.1f} 0 0 1 "
            f"{size:.1f},0", stroke=light, stroke_width=1.4, stroke_opacity=0.25,
        )  # fmt: skip


def _draw_beanie(sheet: Sheet, head: Head) -> None:
    """Draw a knitted cap over the hair."""
    cloth = head.person.under_colour
    dark = turn(cloth, 0, 0.55)
    side = 1 if head.light >= 0 else -1
    shell = _shell(head, 20, -52)
    brim = head.curve([(-96, -48), (-90, -62), (-70, -68), (-36, -70), (0, -71), (36, -70),
                       (70, -68), (90, -62), (96, -48)], 6)  # fmt: skip
    sheet.path(ribbon(shell, brim), sheet.linear(
        (side * 100, -120), (-side * 100, -60), (0, mix(cloth, "#ffffff", 0.2), 1), (1, dark, 1)
    ))  # fmt: skip
    fold = [(x * 1.05, y - 32 + abs(x) * 0.06) for x, y in brim]
    sheet.path(ribbon(fold, brim), turn(cloth, 0, 0.82), opacity=0.9)
    for i in range(1, 8):
        for share in (0.0, 0.5):
            a = between([fold[i]], [fold[min(i + 1, 8)]], share)[0]
            b = between([brim[i]], [brim[min(i + 1, 8)]], share)[0]
            sheet.line([a, b], dark, 2.2, 0.4)


def _draw_scarf(sheet: Sheet, head: Head) -> None:
    """Draw a headscarf: cloth round the face and under the chin, with folds."""
    cloth, side = head.person.under_colour, 1 if head.light >= 0 else -1
    drop = head.jaw_drop
    inner = head.curve([(-74, 112), (-88, 60), (-90, -10), (-72, -66), (0, -88), (72, -66),
                        (90, -10), (88, 60), (74, 112)], 3)  # fmt: skip
    outer = _shell(head, 16, 150, 14)
    fill = sheet.linear(
        (side * 110, -100), (-side * 110, 80),
        (0, mix(cloth, "#ffffff", 0.25), 1), (0.5, cloth, 1), (1, turn(cloth, 0, 0.55), 1),
    )  # fmt: skip
    sheet.path(ribbon(outer, inner), fill)
    chin = head.at(0, 128 + drop, depth=46)
    under = [inner[0], (chin[0] - 30, chin[1] + 2), (chin[0] + 30, chin[1] + 2), inner[-1]]
    wrap = [(outer[0][0], 160), (chin[0] - 50, 222), (chin[0] + 60, 226), (outer[-1][0], 160)]
    sheet.path(ribbon(under, wrap), fill)
    for share in (0.25, 0.55, 0.8):
        sheet.line(between(under, wrap, share), turn(cloth, 0, 0.5), 3, 0.3)
        sheet.line(between(outer, inner, share)[1:8], turn(cloth, 0, 0.5), 2.4, 0.18)


def draw_beard(sheet: Sheet, head: Head) -> None:
    """Draw stubble, moustache, goatee or full beard; the mouth is drawn over it."""
    kind, mouth = head.person.beard, Mouth(head)
    if kind == "none":
        return
    colour = mix(turn(head.person.hair_colour, 0, 0.85), head.tones.line, 0.2)
    shape = outline(head)
    jaw = shape[5:15]
    lip = mouth.outer_top
    if kind in ("stubble", "full"):
        above = head.curve([(96, 44), (84, 58), (66, 74), (54, 70), (34, 58), (-34, 58), (-54, 70),
                            (-66, 74), (-84, 58), (-96, 44)], 1)  # fmt: skip
        if kind == "full":
            jaw = [(x * 1.04, y + 9) for x, y in jaw]
        fill = sheet.linear(
            (0, 40), (0, 110), (0, colour, 0.15), (0.35, colour, 0.95), (1, colour, 1)
        )
        sheet.path(ribbon(jaw, above), fill, opacity=0.3 if kind == "stubble" else 0.9)
    if kind == "goatee":
        drop = mouth.outer_bottom[3][1]
        chin = [
            (lip[0][0] + 4, lip[0][1] + 6),
            (lip[3][0] - 26, drop + 12),
            (lip[3][0], drop + 40),
            (lip[3][0] + 26, drop + 12),
            (lip[6][0] - 4, lip[6][1] + 6),
            (lip[3][0], drop + 4),
        ]
        sheet.path(smooth(chin, closed=True), colour, opacity=0.85)
    if kind in ("moustache", "goatee", "full"):
        top = [(x, y - 13 + abs(i - 3) * 1.4) for i, (x, y) in enumerate(lip)]
        bottom = [
            (x + (i - 3) * 1.6, y + (2.5 if i in (0, 6) else 1)) for i, (x, y) in enumerate(lip)
        ]
        sheet.path(ribbon(top, bottom), colour, opacity=0.92)
        for i in (1, 2, 4, 5):
            sheet.line([top[i], bottom[i]], mix(colour, head.tones.light, 0.35), 1.4, 0.35)


def draw_glasses(sheet: Sheet, head: Head) -> None:
    """Draw the frame, its bridge and sides, and a reflection on the lenses."""
    kind = head.person.glasses
    if kind == "none":
        return
    frame = "#241c1e" if head.person.key % 3 else "#7a5a34"
    for side in (-1, 1):
        x, y = 43 * head.person.eye_gap, 5
        corners: list[Point] = [(0, -25), (20, -22), (27, -2), (22, 19), (0, 25), (-20, 19),
                                (-26, -2), (-20, -22)]  # fmt: skip
        if kind == "round":
            turns = [k * math.tau / 8 for k in range(8)]
            corners = [(26 * math.cos(a), 26 * math.sin(a)) for a in turns]
        lens = [head.at(side * (x + dx), y + dy, 12) for dx, dy in corners]
        data = smooth(lens, closed=True)
        middle = head.at(side * x, y, 12)
        sheet.path(data, sheet.linear(
            (middle[0] - 25, middle[1] - 25), (middle[0] + 20, middle[1] + 25),
            (0, "#ffffff", 0.26), (0.45, "#ffffff", 0.05), (1, "#ffffff", 0.12),
        ), stroke=frame, stroke_width=3.6)  # fmt: skip
        sheet.line([head.at(side * 69, 0, 12), head.at(side * 99, -2, depth=4)], frame, 3.4)
    sheet.line([head.at(-17, 0, 13), head.at(0, -4, 15), head.at(17, 0, 13)], frame, 3.4)
