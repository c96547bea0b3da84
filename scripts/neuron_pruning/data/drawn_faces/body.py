"""Neck, shoulders and clothes; in body coordinates (head units, without the head's turn)."""

import numpy as np

from neuron_pruning.data.drawn_faces.colours import fade, mix, turn
from neuron_pruning.data.drawn_faces.head import Head
from neuron_pruning.data.drawn_faces.svg import Sheet, mirrored, points, sides, smooth

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
