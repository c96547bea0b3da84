"""The seven expressions as combinations of facial action units (AUs).

The numbers are those of the Facial Action Coding System (Ekman & Friesen, 1978; Ekman, Friesen &
Hager, 2002); the combinations follow its table of emotion prototypes and their major variants.
"""

import random
from collections.abc import Mapping

EXPRESSIONS = ("Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")

PROTOTYPES: Mapping[str, tuple[Mapping[int, float], ...]] = {
    "Angry": (
        {4: 1.0, 5: 0.6, 7: 0.6, 23: 0.9}, {4: 0.9, 7: 0.9, 17: 0.6, 24: 1.0},
        {4: 1.0, 5: 0.5, 7: 0.6, 10: 0.6, 23: 0.4, 25: 0.9, 26: 0.5}),
    "Disgust": (
        {9: 1.0, 15: 0.6, 16: 0.7, 25: 0.4}, {4: 0.4, 9: 0.8, 10: 1.0, 17: 0.6},
        {7: 0.6, 9: 0.7, 10: 0.8, 16: 0.5, 25: 0.7}),
    "Fear": (
        {1: 1.0, 2: 0.6, 4: 0.6, 5: 1.0, 7: 0.3, 20: 1.0, 25: 0.6, 26: 0.5},
        {1: 0.9, 2: 0.5, 4: 0.7, 5: 0.9, 20: 0.8, 25: 0.5},
        {1: 0.8, 2: 0.7, 4: 0.5, 5: 1.0, 20: 0.5, 25: 0.8, 27: 0.4}),
    "Happy": ({6: 0.9, 12: 1.0, 25: 0.9}, {6: 0.6, 12: 0.8}, {6: 1.0, 12: 1.1, 25: 1.0, 26: 0.6}),
    "Neutral": ({},),
    "Sad": (
        {1: 1.0, 4: 0.5, 15: 1.0}, {1: 0.9, 4: 0.4, 15: 0.8, 17: 0.8, 64: 0.5},
        {1: 0.8, 4: 0.6, 7: 0.4, 15: 0.9, 25: 0.3, 64: 0.8}),
    "Surprise": (
        {1: 1.0, 2: 1.0, 5: 0.9, 25: 0.8, 26: 1.0}, {1: 1.0, 2: 1.0, 5: 1.0, 25: 1.0, 27: 0.9},
        {1: 0.9, 2: 0.9, 5: 0.7, 25: 0.6, 26: 0.4}),
}  # fmt: skip
"""For each expression, variants as {action unit: strength}; 1 is a full, not an extreme, one."""


def action_units(label: str, rng: random.Random) -> dict[int, float]:
    """Draw the action units of one clip of an expression.

    ASSUME: one clip in eight is weak and one in six carries a trace of another expression, so that
    the classes overlap as acted expressions in film do; SFEW's own annotators agreed only in part.

    Args:
        label: One of `EXPRESSIONS`.
        rng: Random number generator of this clip.

    Returns:
        Strength (0 to about 1.2) by action-unit number.
    """
    strength = rng.uniform(0.35, 0.6) if rng.random() < 0.125 else rng.uniform(0.75, 1.2)
    units = {
        unit: value * strength * rng.uniform(0.75, 1.2)
        for unit, value in rng.choice(PROTOTYPES[label]).items()
        if rng.random() > 0.05
    }
    if rng.random() < 1 / 6:
        other = rng.choice([name for name in EXPRESSIONS if name != label])
        share = rng.uniform(0.15, 0.4)
        for unit, value in rng.choice(PROTOTYPES[other]).items():
            units[unit] = max(units.get(unit, 0.0), value * share)
    if rng.random() < 0.15:  # a word being spoken
        units[25] = max(units.get(25, 0.0), rng.uniform(0.2, 0.7))
        units[26] = max(units.get(26, 0.0), rng.uniform(0.0, 0.3))
    for unit in (1, 2, 4, 7, 12, 15):
        units[unit] = max(units.get(unit, 0.0) + rng.gauss(0.0, 0.07), 0.0)
    if rng.random() < 0.04:  # a blink
        units[43] = rng.uniform(0.6, 1.0)
    return units
