"""What is in each picture: movies, their casts, clips and frames, all from named hashes.

Every random number comes from a generator that is seeded by a hash of the seed and of what is
drawn (movie, person, clip), so that a change of the counts leaves the rest as it was.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain, count, islice, product

from neuron_pruning.core.seeds import derive_seed
from neuron_pruning.data.drawn_faces.scenes import SETTINGS
from neuron_pruning.data.drawn_faces.svg import mix, turn

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
"""For each expression, variants as {action unit: strength}; 1 is a full, not an extreme, one.

The numbers are those of the Facial Action Coding System (Ekman & Friesen, 1978; Ekman, Friesen &
Hager, 2002); the combinations follow its table of emotion prototypes and their major variants.
"""
SFEW_COUNTS = {name: 75 if name == "Disgust" else 100 for name in EXPRESSIONS}
"""Images a class in SFEW, 675 in all (Dhall et al., 2011)."""
MOVIE_WORDS = (
    "Alpha Amber Autumn Blue Broken Cedar Copper Crimson Distant Early Empty Falling Golden Hidden "
    "Iron Ivory Jade Last Little Lunar Midnight Northern Open Paper Quiet Red Silent Silver Velvet",
    "Avenue Bridge Canyon Carnival Circle Crossing Echo Ferry Garden Harbor Hotel Island Journey "
    "Lantern Letter Market Meadow Mirror Orchard Parade Promise River Season Shore Signal Station",
)
MOVIES = ["".join(words) for words in product(*map(str.split, MOVIE_WORDS))]
CLIP_SIZES = ((1, 2, 3, 4), (0.70, 0.20, 0.07, 0.03))
"""Frames in a clip, and their weights: SFEW has 675 images in 469 clips."""
VIEW = {
    "x": (0.0, 0.08, 0.006),  # the head's centre, to the right of the picture's, in heights
    "y": (0.45, 0.015, 0.005),  # the head's centre, from the top, in picture heights
    "size": (1.0, 0.05, 0.012),  # factor on the movie's usual size of heads
    "yaw": (0.0, 0.16, 0.025),  # turn to the right of the picture, in radians
    "pitch": (0.0, 0.08, 0.015),  # turn upwards, in radians
    "roll": (0.0, 4.5, 0.8),  # tilt clockwise, in degrees
    "gaze_right": (0.0, 0.35, 0.0),  # where the eyes look, about -1 to 1
    "gaze_down": (0.0, 0.15, 0.0),
    "light": (0.0, 0.25, 0.0),  # added to the movie's usual side of the light
    "shift": (0.0, 0.08, 0.0),  # of the background to the right, in picture heights
    "exposure": (1.0, 0.05, 0.0),  # factor on the brightness
}
"""Mean, standard deviation between clips and between the frames of a clip of what the camera sees;
no clip is more than 2.6 deviations from the mean."""
PALETTES = (
    "#1d2b3a #4a6b82 #cfe0e6 #f2a65a #d65a4a", "#2b1e2e #7a4b5e #f0d3c4 #e8896b #5d8a8c",
    "#17302b #4f8069 #dfead2 #e9c46a #c8553d", "#2a2218 #8a6a45 #f3e3c3 #d98f3d #6b8f71",
    "#14203a #3d5a98 #c7d6f5 #ff9fb2 #ffd07b", "#202a30 #6d858b #e9efee #d9b08c #7a9e9f",
    "#301a1c #94484a #f5d0c0 #f0b35e #43646e", "#12292f #2f7f86 #c9efe6 #f7b267 #f4845f",
    "#261d3b #6b5aa0 #e2d6f5 #f6bd60 #84c7c0", "#16263d #5a86b5 #e3f0fa #f4d58d #bf6f73",
)  # fmt: skip
"""Five colours a palette: dark, middle, light and two accents."""
SKINS = "#f6d9c4 #f0c8a8 #e8b78f #dba67c #c68c62 #a9714b #8a5638 #6a4029"
HAIR_COLOURS = "#1e1a1d #2c211e #46301f #5e3d26 #7a4e2c #a06a35 #c79a5b #8f3d22"
GREY_HAIR = "#9a9794 #d9d4cd"
EYE_COLOURS = "#4a2f1d #5f3e22 #2f241d #6b7a4a #4d7488 #5a7f9e #71848c"
SHORT_STYLES = ("crop", "side", "curls", "receding")
LONG_STYLES = ("bob", "long", "bangs", "bun", "afro", "pigtails")
GARMENTS = ("tee", "vneck", "scoop", "shirt", "suit")
PROPORTIONS = {
    "width": (0.97, 1.0, 0.03), "length": (1.0, 1.0, 0.03),
    "jaw": (0.93, 1.03, 0.05), "chin": (0.88, 1.08, 0.1),
    "eye_size": (1.12, 1.0, 0.06), "eye_gap": (1.0, 1.0, 0.04),
    "brow_weight": (0.75, 1.1, 0.13), "brow_rise": (33.0, 30.0, 2.0),  # the latter in head units
    "nose_width": (0.93, 1.07, 0.1), "mouth_width": (1.0, 1.0, 0.07), "lips": (1.15, 0.95, 0.15),
}  # fmt: skip
"""Mean of women, mean of men and standard deviation of the factors that vary between faces."""


@dataclass(frozen=True)
class FacesSettings:
    """How many faces to draw, of how many movies, and how large."""

    seed: int = 0  # another seed gives other movies, people and clips
    counts: Mapping[str, int] = field(default_factory=lambda: dict(SFEW_COUNTS))  # by expression
    width: int = 720  # pixels
    height: int = 576  # pixels
    movies: int = 54  # each is used once the classes have as many clips as there are movies

    def __post_init__(self) -> None:
        """Refuse settings that nothing can be drawn from."""
        if unknown := sorted(set(self.counts) - set(EXPRESSIONS)):
            raise ValueError(f"counts: unknown classes {unknown}; known: {list(EXPRESSIONS)}")
        if negative := {name: n for name, n in self.counts.items() if n < 0}:
            raise ValueError(f"counts: images a class must not be negative, got {negative}")
        if min(self.width, self.height) < 16:
            got = f"got {self.width}x{self.height}"
            raise ValueError(f"width and height must be at least 16 pixels, {got}")
        if not 1 <= self.movies <= len(MOVIES):
            raise ValueError(f"movies must be between 1 and {len(MOVIES)}, got {self.movies}")


def generator(seed: int, *names: object) -> random.Random:
    """Return a random number generator that depends on the seed and the given names alone."""
    return random.Random(derive_seed(seed, "/".join(map(str, names))))


@dataclass(unsafe_hash=True)
class Look:
    """What all clips of a movie share, drawn from its name; consecutive movies differ most."""

    seed: int
    name: str
    rank: int

    def __post_init__(self) -> None:
        """Draw the look."""
        rng, places = generator(self.seed, self.name, "look"), list(SETTINGS)
        hue, warm = rng.uniform(-0.03, 0.03), rng.random()
        self.palette = [turn(colour, hue) for colour in PALETTES[self.rank % len(PALETTES)].split()]
        self.settings = places[self.rank % len(places)], rng.choice(places)
        self.light = rng.choice((-0.8, -0.5, 0.5, 0.8))  # its usual side, -1 (left) to 1 (right)
        self.light_colour = mix("#dcebff", "#ffdcae", warm)
        self.shadow_tint = mix(self.palette[0], "#1c2c4c", warm * 0.6)
        self.contrast = rng.uniform(0.94, 1.12)  # factor around middle grey
        self.saturation = rng.uniform(0.85, 1.1) if rng.random() < 0.95 else 0.0  # 0: grey
        self.grain = rng.uniform(1.0, 4.0)  # standard deviation, in grey levels of 255
        self.head_size = rng.uniform(0.18, 0.235)  # usual half width, in picture heights
        self.cast = rng.randint(2, 5)  # number of people


@dataclass(unsafe_hash=True)
class Person:
    """What stays the same of a person from clip to clip, drawn from the movie and a number."""

    look: Look
    number: int

    def __post_init__(self) -> None:
        """Draw the person."""
        rng = generator(self.look.seed, self.look.name, "person", self.number)
        woman, tone = rng.random() < 0.5, rng.randrange(8)
        self.age = rng.betavariate(1.5, 2.5)  # 0 (young) to 1 (old): depth of folds
        self.skin = turn(SKINS.split()[tone], rng.uniform(-0.01, 0.01), rng.uniform(0.96, 1.03))
        self.hair = rng.choice(LONG_STYLES if woman else SHORT_STYLES)
        hair_colours = GREY_HAIR if self.age > 0.75 else HAIR_COLOURS
        self.hair_colour = rng.choice(hair_colours.split()[: 3 if tone >= 4 else 8])
        self.eye_colour = rng.choice(EYE_COLOURS.split()[: 4 if tone >= 4 else 7])
        self.cloth_colour = turn(rng.choice(self.look.palette), 0.0, rng.uniform(0.8, 1.1), 0.85)
        self.garment = rng.choice(GARMENTS)
        self.beard = 0.0 if woman else rng.choice((0.0, 0.0, 0.3, 0.9))  # 0.3 is stubble
        self.makeup = rng.uniform(0.2, 1.0) if woman else 0.0  # colour on lips and lashes
        self.shape = {
            name: rng.gauss(mean[0 if woman else 1], deviation)
            for name, (*mean, deviation) in PROPORTIONS.items()
        }


@dataclass(frozen=True)
class FacePlan:
    """One picture of the set: its place in the set and all that is drawn in it."""

    label: str  # one of `EXPRESSIONS`
    movie: str  # letters only
    timestamp: str  # start of the clip in the movie, HHMMSSmmm
    frame: int  # number of the frame in the clip, from 1
    look: Look
    person: Person
    setting: str  # background, one of the movie's two
    units: Mapping[int, float]  # strength of the facial action units, by number
    view: Mapping[str, float]  # a value for each of `VIEW`

    @property
    def file_name(self) -> str:
        """SFEW's kind of name: `Movie_timestamp_frame.png`."""
        return f"{self.movie}_{self.timestamp}_{self.frame:08d}.png"


def plan_faces(settings: FacesSettings) -> list[FacePlan]:
    """Plan every picture, class by class; `label` and `file_name` together are unique."""
    names = generator(settings.seed, "movies").sample(MOVIES, len(MOVIES))[: settings.movies]
    looks = [Look(settings.seed, name, rank) for rank, name in enumerate(names)]
    plans: list[FacePlan] = []
    for label in EXPRESSIONS:
        clips = (_clip(settings, label, number, looks) for number in count())
        plans += islice(chain.from_iterable(clips), settings.counts.get(label, 0))
    return plans


def _clip(
    settings: FacesSettings, label: str, number: int, looks: Sequence[Look]
) -> Iterator[FacePlan]:
    """Yield the frames of one clip of a class: nearly the same view and expression."""
    rng = generator(settings.seed, label, "clip", number)
    # ASSUME: movies are as unequal as SFEW's, whose largest has 83 images and smallest one.
    look = rng.choices(looks, [(rank + 4) ** -1.2 for rank in range(len(looks))])[0]
    classes = [name for name in EXPRESSIONS if settings.counts.get(name, 0) > 0]
    turn = number * len(classes) + classes.index(label)
    look = looks[turn] if turn < len(looks) else look  # each movie has its turn first
    person, units = Person(look, rng.randrange(look.cast)), action_units(label, rng)
    view = {
        name: mean + deviation * max(-2.6, min(2.6, rng.gauss(0.0, 1.0)))
        for name, (mean, deviation, _) in VIEW.items()
    }
    timestamp = _timestamp(settings.seed, number * len(EXPRESSIONS) + EXPRESSIONS.index(label))
    setting, frame = rng.choice(look.settings), 0
    for _ in range(rng.choices(*CLIP_SIZES)[0]):
        frame += rng.randint(1, 30)
        strength = rng.uniform(0.88, 1.1)
        yield FacePlan(
            label, look.name, timestamp, frame, look, person, setting,
            {unit: value * strength for unit, value in units.items()},
            {name: value + rng.gauss(0.0, VIEW[name][2]) for name, value in view.items()},
        )  # fmt: skip


def action_units(label: str, rng: random.Random) -> dict[int, float]:
    """Draw the action units of one clip of an expression: strength, 0 to about 1.2, by number.

    ASSUME: one clip in eight is weak and one in six carries a trace of another expression, so that
    the classes overlap as acted expressions in film do; SFEW's own annotators agreed only in part.
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


def _timestamp(seed: int, clip: int) -> str:
    """Return HHMMSSmmm within two hours, on a frame of 25 a second; clips have different ones."""
    frames = 179_993  # a prime number, so that multiplying only permutes the frames
    frame = (generator(seed, "timestamps").randrange(frames) + 61_339 * clip) % frames
    return f"{datetime.min + timedelta(milliseconds=40 * frame):%H%M%S%f}"[:9]
