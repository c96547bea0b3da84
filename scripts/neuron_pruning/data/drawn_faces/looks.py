"""The look of a movie and of each person in its cast."""

from __future__ import annotations

import random
from dataclasses import dataclass

from neuron_pruning.data.drawn_faces.svg import mix, turn

PALETTES = (
    ("#1d2b3a", "#4a6b82", "#cfe0e6", "#f2a65a", "#d65a4a"),  # harbour blue and lamp orange
    ("#2b1e2e", "#7a4b5e", "#f0d3c4", "#e8896b", "#5d8a8c"),  # plum and peach
    ("#17302b", "#4f8069", "#dfead2", "#e9c46a", "#c8553d"),  # garden green
    ("#2a2218", "#8a6a45", "#f3e3c3", "#d98f3d", "#6b8f71"),  # amber room
    ("#14203a", "#3d5a98", "#c7d6f5", "#ff9fb2", "#ffd07b"),  # night and neon rose
    ("#202a30", "#6d858b", "#e9efee", "#d9b08c", "#7a9e9f"),  # grey morning
    ("#301a1c", "#94484a", "#f5d0c0", "#f0b35e", "#43646e"),  # brick and gold
    ("#12292f", "#2f7f86", "#c9efe6", "#f7b267", "#f4845f"),  # teal and coral
    ("#261d3b", "#6b5aa0", "#e2d6f5", "#f6bd60", "#84c7c0"),  # violet dusk
    ("#2d2a1c", "#85854f", "#eeeccb", "#d17b49", "#4e6e81"),  # olive
    ("#1b1f2b", "#56607a", "#d5dae6", "#e07a5f", "#81b29a"),  # slate
    ("#332014", "#a8683c", "#fbe0bd", "#e9c46a", "#2a7f86"),  # desert
    ("#16263d", "#5a86b5", "#e3f0fa", "#f4d58d", "#bf6f73"),  # sea and sand
    ("#2b1d22", "#85606b", "#f4e3e1", "#d8a48f", "#7d9a86"),  # dusty rose
)
"""Five colours a palette: dark, middle, light and two accents."""

SETTINGS = (
    "room", "window", "bokeh", "shelves", "street", "foliage", "dusk", "cafe", "corridor", "studio",
)  # fmt: skip
SKINS = ("#f6d9c4", "#f0c8a8", "#e8b78f", "#dba67c", "#c68c62", "#a9714b", "#8a5638", "#6a4029")
HAIR_COLOURS = (
    "#1e1a1d", "#2c211e", "#46301f", "#5e3d26", "#7a4e2c", "#a06a35", "#c79a5b", "#8f3d22",
    "#9a9794", "#d9d4cd",
)  # fmt: skip
EYE_COLOURS = ("#4a2f1d", "#5f3e22", "#2f241d", "#6b7a4a", "#4d7488", "#5a7f9e", "#71848c")
SHORT_STYLES = ("crop", "quiff", "side", "curls", "buzz", "receding", "waves", "beanie")
LONG_STYLES = ("bob", "long", "bangs", "bun", "afro", "wavy", "pony", "scarf")
GARMENTS = ("tee", "vneck", "shirt", "suit", "turtleneck", "hoodie", "scoop")


@dataclass(frozen=True)
class Look:
    """What all clips of a movie share.

    Attributes:
        name: Movie's name.
        palette: Dark, middle, light and two accent colours, '#rrggbb'.
        settings: Two kinds of background, among `SETTINGS`.
        light: Usual side of the light, -1 (left) to 1 (right).
        light_colour: Colour of the key light.
        shadow_tint: Colour that the grading adds to the shadows.
        contrast: Factor on contrast around middle grey.
        saturation: Factor on saturation; 0 is black and white.
        grain: Standard deviation of the film grain, in grey levels of 255.
        letterbox: Height of each black bar, in picture heights.
        head_size: Usual half head width, in picture heights.
        cast: Number of people.
    """

    name: str
    palette: tuple[str, ...]
    settings: tuple[str, str]
    light: float
    light_colour: str
    shadow_tint: str
    contrast: float
    saturation: float
    grain: float
    letterbox: float
    head_size: float
    cast: int


@dataclass(frozen=True)
class Person:
    """What stays the same of a person from clip to clip; lengths are factors around 1.

    Attributes:
        key: Number that seeds small details (strands, freckles).
        skin: Skin colour, '#rrggbb'; likewise `hair_colour`, `eye_colour` and `cloth_colour`.
        hair: Style, one of `SHORT_STYLES` or `LONG_STYLES`.
        age: 0 (young) to 1 (old): depth of lines.
        beard: 'none', 'stubble', 'moustache', 'goatee' or 'full'.
        glasses: 'none', 'round' or 'square'.
        garment: One of `GARMENTS`.
        makeup: 0 to 1: colour on lips and lashes.
    """

    key: int
    skin: str
    hair: str
    hair_colour: str
    eye_colour: str
    cloth_colour: str
    under_colour: str
    garment: str
    age: float
    makeup: float
    beard: str
    glasses: str
    width: float
    length: float
    jaw: float
    chin: float
    eye_size: float
    eye_gap: float
    eye_tilt: float
    brow_weight: float
    brow_height: float
    brow_tilt: float
    nose_width: float
    nose_length: float
    mouth_width: float
    lips: float
    ears: float
    freckles: bool
    earrings: bool


def make_look(rng: random.Random, name: str, rank: int) -> Look:
    """Draw the look of one movie; consecutive movies take different palettes and settings."""
    hue = rng.uniform(-0.03, 0.03)
    palette = tuple(turn(colour, hue) for colour in PALETTES[rank % len(PALETTES)])
    first = SETTINGS[(rank * 3 + rank // len(SETTINGS)) % len(SETTINGS)]
    warm = rng.random()
    return Look(
        name=name,
        palette=palette,
        settings=(first, rng.choice(SETTINGS)),
        light=rng.choice((-0.8, -0.5, 0.5, 0.8)),
        light_colour=mix("#dcebff", "#ffdcae", warm),
        shadow_tint=mix(palette[0], "#1c2c4c", warm * 0.6),
        contrast=rng.uniform(0.94, 1.12),
        saturation=rng.choice((0.0, 0.65)) if rng.random() < 0.1 else rng.uniform(0.85, 1.1),
        grain=rng.uniform(1.0, 4.0),
        letterbox=rng.choice((0.0, 0.0, 0.0, 0.06, 0.09)),
        head_size=rng.uniform(0.18, 0.235),
        cast=rng.randint(2, 5),
    )


def make_person(rng: random.Random, look: Look) -> Person:
    """Draw one member of a movie's cast."""
    feminine = rng.random() < 0.5
    age = min(1.0, max(0.0, rng.betavariate(1.5, 2.5)))
    tone = rng.choice(SKINS)
    skin = turn(tone, rng.uniform(-0.01, 0.01), rng.uniform(0.96, 1.03))
    hair_colour = rng.choice(HAIR_COLOURS[-2:] if age > 0.75 else HAIR_COLOURS[:8])
    if tone in SKINS[4:] and age <= 0.75:
        hair_colour = rng.choice(HAIR_COLOURS[:3])
    cloth, under = rng.sample(
        (look.palette[1], look.palette[3], look.palette[4], look.palette[2], look.palette[0]), 2
    )
    spread = rng.gauss
    return Person(
        key=rng.randrange(1 << 30),
        skin=skin,
        hair=rng.choice(LONG_STYLES if feminine else SHORT_STYLES),
        hair_colour=hair_colour,
        eye_colour=rng.choice(EYE_COLOURS[:4] if tone in SKINS[4:] else EYE_COLOURS),
        cloth_colour=turn(cloth, 0.0, rng.uniform(0.8, 1.1), 0.85),
        under_colour=mix(under, "#f4efe8", 0.45),
        garment=rng.choice(GARMENTS),
        age=age,
        makeup=rng.uniform(0.2, 1.0) if feminine else 0.0,
        beard="none" if feminine else rng.choice(
            ("none", "none", "none", "stubble", "moustache", "goatee", "full")
        ),
        glasses=rng.choice(("round", "square")) if rng.random() < 0.16 else "none",
        width=spread(0.97 if feminine else 1.0, 0.03),
        length=spread(1.0, 0.03),
        jaw=spread(0.93 if feminine else 1.03, 0.05),
        chin=spread(0.88 if feminine else 1.08, 0.1),
        eye_size=spread(1.12 if feminine else 1.0, 0.06),
        eye_gap=spread(1.0, 0.04),
        eye_tilt=spread(2.0 if feminine else 0.8, 1.5),
        brow_weight=max(0.45, spread(0.75 if feminine else 1.15, 0.18)),
        brow_height=spread(2.0 if feminine else -1.0, 2.0),
        brow_tilt=spread(0.0, 2.0),
        nose_width=spread(0.93 if feminine else 1.07, 0.1),
        nose_length=spread(1.0, 0.06),
        mouth_width=spread(1.0, 0.07),
        lips=max(0.6, spread(1.15 if feminine else 0.9, 0.18)),
        ears=spread(1.0, 0.1),
        freckles=rng.random() < 0.12,
        earrings=feminine and rng.random() < 0.4,
    )  # fmt: skip
