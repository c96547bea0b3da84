"""Hair and beards in head coordinates; neck and clothes in the same without the head's turn."""

import random
from typing import NamedTuple

import numpy as np

from neuron_pruning.data.drawn_faces.head import Head
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


class Style(NamedTuple):
    """A way to wear the hair; lengths in head units."""

    hairline: str  # on the face, from the middle of the forehead to the right side
    volume: int  # distance from the skull at the crown
    texture: str = "hanging"  # or "swept" to the crown, or "curls"
    ends: int = 2  # y at which the hair in front ends on both sides
    back: str = ""  # right half of the hair's outline behind head and neck, from the top
    parting: int = 0  # how far the hairline's middle is to the left


STYLES = {
    "crop": Style("0,-86 48,-88 80,-66 92,-30 97,6", 7, "swept"),
    "side": Style("0,-100 46,-84 76,-64 91,-30 97,8", 12, parting=24),
    "curls": Style("0,-80 44,-74 78,-62 91,-34 98,4", 20, "curls"),
    "receding": Style("0,-106 70,-112 90,-66 95,-30 98,8", 4, "swept"),
    "bob": Style("0,-108 48,-78 82,-36 90,30 101,84", 17, "hanging", 92,
                 "0,-150 92,-90 105,-10 118,58 114,88 78,104 0,86", parting=14),
    "long": Style("0,-112 57,-77 86,-20 93,60 112,170", 22, "hanging", 175,
                  "0,-150 92,-90 105,-10 122,141 118,216 82,243 0,225"),
    "bangs": Style("0,-46 56,-42 86,-34 90,20 100,76", 16, "hanging", 88,
                   "0,-150 92,-90 105,-10 116,72 112,110 76,128 0,110"),
    "bun": Style("0,-97 42,-94 76,-74 91,-38 97,-4", 8, "swept", 2,
                 "0,-198 32,-187 46,-158 38,-130 0,-118"),
    "pigtails": Style("0,-97 42,-94 76,-74 91,-38 97,-4", 9, "swept", 2,
                      "40,-100 118,-90 150,0 138,120 116,190 108,90 96,0"),
    "afro": Style("0,-80 44,-74 78,-62 91,-34 98,4", 40, "curls", 18,
                  "0,-166 60,-152 106,-110 122,-50 112,10 76,50 0,60"),
}  # fmt: skip
COLLARS = {
    "tee": "0,226 44,214 76,184", "vneck": "0,286 34,232 74,182", "scoop": "0,272 62,246 98,190",
    "shirt": "0,262 36,214 66,172", "suit": "0,250 36,214 66,172",
}  # fmt: skip
"""Right half of each garment's neckline, from its lowest point."""
SHIRT = (("pale", "62,160 80,184 58,262 6,262 34,214"),)
SUIT = (
    ("pale", "0,252 60,170 84,190 24,460 0,460"),
    ("tie", "0,246 15,246 9,272 22,440 0,470"),
    ("white", "62,158 74,178 46,256 2,248 34,214"),
    ("lapel", "84,182 132,246 104,268 118,288 20,480 14,470"),
)
"""What is sewn onto a garment: colour and right half of each piece."""


def draw_back_hair(sheet: Sheet, head: Head) -> None:
    """Draw what hangs or stands behind head and neck."""
    style, colour = STYLES[head.person.hair], head.person.hair_colour
    if style.back:
        outline = mirrored(points(style.back)) + head.at((0, -30), depth=-40) * (1, 0)
        dark = mix(turn(colour, 0, 0.6), "#120d14", 0.25)
        fill = sheet.linear((0, -120), (0, 200), colour, dark, dark)
        sheet.path(smooth(outline, closed=True), fill)


def draw_front_hair(sheet: Sheet, head: Head) -> None:
    """Draw what lies over the forehead and the sides of the head."""
    style, colour, lit = STYLES[head.person.hair], head.person.hair_colour, head.side
    light = mix(turn(colour, 0.01, 1.45), head.light, 0.22)
    dark = mix(turn(colour, 0, 0.5), "#120d14", 0.3)
    front = mirrored(points(style.hairline))
    front[4, 0] -= style.parting
    shell, hairline = _shell(head, style), head.at(front, 2)
    sheet.path(ribbon(shell, hairline + 7 * DOWN), fade(head.deep, 0.16))
    colours = mix(colour, light, 0.5), colour, dark
    sheet.path(ribbon(shell, hairline), sheet.linear((lit * 95, -130), (-lit * 90, 40), *colours))
    rng = random.Random(colour)  # any seed that stays the same from clip to clip
    if style.texture == "curls":
        for k in range(110):  # from the hairline outwards, so that upper curls overlap
            share = 1.02 - k / 104
            place = _along(shell + share * (hairline - shell), rng.uniform(0, 8))
            bright = 0.5 + 0.35 * np.tanh((0.6 * lit * place[0] - place[1] - 60) / 60)
            tint = mix(mix(dark, colour, 0.6), mix(colour, light, 0.45), bright)
            sheet.ellipse(place, rng.uniform(10, 16), rng.uniform(10, 16), fade(tint, 0.85))
            sheet.line(place + points("-6,-3 0,-9 6,-3"), light, 1.4, 0.25)
        return
    for _ in range(20):
        if style.texture == "swept":  # from the hairline to the crown
            where = rng.uniform(1, 7)
            start, end = _along(hairline, where), _along(shell, where)
            strand = start + np.outer((0.05, 0.5, 0.95), end - start)
        else:  # from the parting to an end
            strand = shell + rng.uniform(0.08, 0.92) * (hairline - shell)
            strand = strand[:5] if rng.random() < 0.5 else strand[4:]
        sheet.line(strand, rng.choice((light, dark)), rng.uniform(1.0, 3.0), 0.25)
    shine = (0.58 * shell + 0.42 * hairline)[slice(4, 7) if lit > 0 else slice(2, 5)]
    sheet.line(shine, light, 6, 0.25)


def _along(curve: Curve, place: float) -> Curve:
    """Return the point of a curve at an index that need not be whole."""
    return np.array([np.interp(place, np.arange(len(curve)), values) for values in curve.T])


def _shell(head: Head, style: Style) -> Curve:
    """Return the hair's outer edge, left to right over the crown, nine points."""
    angle = np.array([0.0, 0.44, 0.864, 1.257, np.pi / 2])
    x = (101 + 0.72 * style.volume) * np.sin(angle)
    y = -42 - (99 + style.volume) * np.cos(angle)
    y[3] += 0.08 * (style.ends + 42)
    x[4], y[4] = 99 + 0.6 * style.volume, style.ends
    return head.at(mirrored(np.stack([x, y], axis=1)), depth=-4.0)


def draw_beard(sheet: Sheet, head: Head) -> None:
    """Draw stubble or a full beard from ear to ear; the mouth is drawn over it."""
    if (strength := head.person.beard) > 0:
        colour = mix(turn(head.person.hair_colour, 0, 0.85), head.line, 0.2)
        jaw = head.outline()[4:15] * (1 + 0.04 * strength, 1) + 9 * strength * DOWN
        edge = head.at(mirrored(points("0,57 18,58 34,58 54,70 66,74 96,44")), 1)
        fades = [fade(colour, strength * share) for share in (0.15, 0.9, 1.0)]
        sheet.path(ribbon(jaw, edge), sheet.linear((0, 40), (0, 110), *fades))


def draw_body(sheet: Sheet, head: Head) -> None:
    """Draw neck and clothed shoulders, lit from the same side as the face."""
    person, lit, jaw = head.person, head.side, head.person.shape["jaw"]
    wide, broad = 24 + 28 * jaw, 0.7 + 0.3 * jaw
    neck = points("0,50 0,110 4,150 24,182 62,205 40,290") + np.array([wide, 0])
    data = smooth(mirrored(neck), closed=True)
    sheet.path(data, sheet.linear((lit * 70, 0), (-lit * 70, 30), head.base, head.shade))
    shadow = [fade(head.deep, opacity) for opacity in (0.85, 0.55, 0.0)]
    sheet.path(data, sheet.radial(head.outline()[9] * (0.5, 1), 92, *shadow, squash=0.75))
    collar = points(COLLARS[person.garment])
    cloth, dark = person.cloth_colour, turn(person.cloth_colour, 0, 0.5)
    shoulder = points("128,206 196,236 238,300 262,420") * (broad, 1)
    data = smooth(mirrored(np.concatenate([collar, shoulder]))) + "L300,760L-300,760z"
    colours = mix(cloth, head.light, 0.3), cloth, dark
    sheet.path(data, sheet.linear((lit * 230, 180), (-lit * 230, 330), *colours))
    sheet.path(data, sheet.linear((0, 240), (0, 620), fade("#0c0a10", 0), fade("#0c0a10", 0.5)))
    sheet.line(mirrored(collar), dark, 5, 0.7)
    paints = {
        "pale": mix(cloth, "#ffffff", 0.3 if person.garment == "shirt" else 0.75),
        "white": mix(cloth, "#ffffff", 0.6 if person.garment == "shirt" else 0.9),
        "tie": turn(cloth, 0.45, 0.8, 1.3),
        "lapel": mix(cloth, dark, 0.35),
    }
    for colour, half in {"shirt": SHIRT, "suit": SUIT}.get(person.garment, ()):
        for piece in sides(points(half)):
            edges = "M" + "L".join(f"{x},{y}" for x, y in piece) + "z"
            sheet.path(edges, paints[colour], stroke=fade(dark, 0.4), stroke_width=2)
