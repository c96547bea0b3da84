"""What is behind and in front of the people: tables of scattered shapes, drawn out of focus."""

import random
from collections.abc import Iterable
from typing import NamedTuple

from neuron_pruning.data.drawn_faces.svg import Sheet, fade, mix

Length = float | tuple[float, float]  # fixed, or the limits between which it is random


class Layer(NamedTuple):
    """Shapes of one kind at random places; lengths in thousandths of the picture's height."""

    shape: str  # "rect" (x is its middle, y its bottom), "ellipse" (radii), "leaf" or "glow"
    number: int
    colours: str  # one is chosen for each shape; "a+b" is halfway between two colours
    x: Length  # in picture widths
    y: Length
    width: Length
    height: Length = 0.0
    opacity: float = 1.0
    grid: tuple[int, int] = (1, 1)  # x and y are rounded to multiples of these


SETTINGS: dict[str, tuple[Layer, ...]] = {
    "window": (
        Layer("rect", 1, "middle+dark", 0.5, 1000, 3000, 1000),
        Layer("glow", 1, "light", 0.5, 380, 650, opacity=0.8),
        Layer("rect", 1, "light+#ffffff", 0.5, 730, 700, 680),
        Layer("rect", 3, "middle+light", (0.2, 0.8), 730, 16, 680, grid=(300, 1)),
        Layer("rect", 1, "middle+light", 0.5, 390, 700, 16),
        Layer("rect", 24, "accent accent+middle", (0.1, 0.24), 800, 24, 780),
        Layer("rect", 24, "accent accent+middle", (0.76, 0.9), 800, 24, 780),
        Layer("rect", 1, "light+middle", 0.5, 764, 900, 34),
        Layer("leaf", 16, "#3c6b45 #3c6b45+dark", (0.65, 0.75), (590, 720), 46, 18)),
    "bokeh": (
        Layer("rect", 1, "dark", 0.5, 1000, 3000, 1000),
        Layer("glow", 3, "middle", (0, 1), (300, 700), (400, 600), opacity=0.6),
        Layer("ellipse", 50, "accent second light middle", (0, 1), (50, 850), (14, 60), 0, 0.5)),
    "shelves": (
        Layer("rect", 1, "dark", 0.5, 1000, 3000, 1000),
        Layer("rect", 190, "dark+accent dark+second middle dark+light", (-0.1, 1.1), (0, 1000),
              (30, 42), (140, 210), grid=(44, 250)),
        Layer("rect", 20, "dark+#7a5238", 0.5, (0, 1000), 3000, 26, grid=(1, 250))),
    "street": (
        Layer("rect", 1, "light+middle", 0.5, 1000, 3000, 1000),
        Layer("glow", 1, "light+accent", (0, 1), 700, 900),
        Layer("rect", 12, "dark+middle dark+second dark", (0, 1), 1000, (150, 290), (670, 980)),
        Layer("rect", 90, "accent+#ffe9b0 dark+light", (0, 1), (420, 740), 36, 58, 1, (66, 105)),
        Layer("rect", 1, "dark+middle", 0.5, 1000, 3000, 240)),
    "foliage": (
        Layer("rect", 1, "#465b42+middle", 0.5, 1000, 3000, 1000),
        Layer("glow", 1, "accent+#fff3c0", (0, 1), 120, 700),
        Layer("leaf", 90, "#4f7f4a+dark #7f9c55", (0, 1), (0, 1000), (40, 99), (18, 44), 0.7)),
    "dusk": (
        Layer("rect", 1, "middle+dark", 0.5, 1000, 3000, 1000),
        Layer("glow", 2, "second+light", (0.4, 0.6), 520, 1100),
        Layer("glow", 1, "accent+#fff0c8", (0.1, 0.9), 560, 480),
        Layer("ellipse", 5, "middle+dark", (0, 1), (720, 760), (260, 420), (110, 200)),
        Layer("ellipse", 5, "dark", (0, 1), (840, 880), (260, 420), (110, 200), 0.8),
        Layer("rect", 1, "dark+middle", 0.5, 1000, 3000, 190),
        Layer("rect", 16, "accent+light", (0.2, 0.8), (830, 1000), (30, 140), 7, 0.6)),
}  # fmt: skip
"""Backgrounds, from back to front."""


def paint(
    sheet: Sheet, rng: random.Random, layers: Iterable[Layer], palette: Iterable[str], wide: float
) -> None:
    """Paint layers in picture coordinates, `wide` x 1000 units, from back to front."""
    names = dict(zip(("dark", "middle", "light", "accent", "second"), palette, strict=True))
    for layer in layers:
        for _ in range(layer.number):
            parts = rng.choice(layer.colours.split()).split("+")
            first, second = (names.get(part, part) for part in (parts[0], parts[-1]))
            _paint_shape(sheet, rng, layer, mix(first, second, 0.5), wide)


def _paint_shape(sheet: Sheet, rng: random.Random, layer: Layer, colour: str, wide: float) -> None:
    """Draw the lengths of one shape at random and add it."""
    lengths = (layer.x, layer.y, layer.width, layer.height)
    x, y, width, height = (n if isinstance(n, float | int) else rng.uniform(*n) for n in lengths)
    x, y = (step * round(n / step) for n, step in zip((x * wide, y), layer.grid, strict=True))
    fill = fade(colour, layer.opacity)
    if layer.shape == "rect":
        sheet.add("rect", x=x - width / 2, y=y - height, width=width, height=height, fill=fill)
    elif layer.shape == "glow":
        sheet.glow((x, y), width, colour, layer.opacity)
    else:
        angle = rng.uniform(-75, 75) if layer.shape == "leaf" else 0.0
        sheet.ellipse((x, y), width, height or width, fill, angle)
