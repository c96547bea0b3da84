"""What is in each picture: movies, their casts, clips and frames, all from named hashes.

Every draw of chance starts from a hash of the seed and of what is drawn (movie, person, clip,
frame), never from the draws before it, so that a change of the counts leaves the rest as it was.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from neuron_pruning.data.drawn_faces.expressions import EXPRESSIONS, action_units
from neuron_pruning.data.drawn_faces.looks import Look, Person, make_look, make_person

SFEW_COUNTS: Mapping[str, int] = MappingProxyType(
    {name: 75 if name == "Disgust" else 100 for name in EXPRESSIONS}
)
"""Images a class in SFEW (Dhall et al., 2011, "Static facial expression analysis in tough
conditions"): 675 in all."""

FIRST_WORDS = (
    "Alpha", "Amber", "Autumn", "Blue", "Broken", "Cedar", "Copper", "Crimson", "Distant",
    "Early", "Empty", "Falling", "Golden", "Hidden", "Iron", "Ivory", "Jade", "Last", "Little",
    "Lunar", "Midnight", "Northern", "Open", "Paper", "Quiet", "Red", "Second", "Silent",
    "Silver", "Summer", "Velvet", "Winter",
)  # fmt: skip
SECOND_WORDS = (
    "Avenue", "Bridge", "Canyon", "Carnival", "Circle", "Crossing", "Echo", "Ferry", "Garden",
    "Harbor", "Hotel", "Island", "Journey", "Lantern", "Letter", "Market", "Meadow", "Mirror",
    "Orchard", "Parade", "Promise", "River", "Season", "Shore", "Signal", "Station", "Summit",
    "Theater", "Tide", "Visitor", "Window", "Yard",
)  # fmt: skip
CLIP_SIZES = ((1, 0.70), (2, 0.20), (3, 0.07), (4, 0.03))
"""Frames in a clip and how often: SFEW has 675 images in 469 clips."""


@dataclass(frozen=True)
class FacesSettings:
    """How many faces to draw, of how many movies, and how large.

    Attributes:
        seed: Another seed gives other movies, people and clips.
        counts: Images a class; keys among `EXPRESSIONS`, a class left out has none.
        width: Pixels across.
        height: Pixels from top to bottom.
        movies: Number of movies that the clips are spread over. Each is used once the classes
            have as many clips as there are movies.
    """

    seed: int = 0
    counts: Mapping[str, int] = field(default_factory=lambda: dict(SFEW_COUNTS))
    width: int = 720
    height: int = 576
    movies: int = 54

    def __post_init__(self) -> None:
        """Refuse settings that nothing can be drawn from."""
        unknown = sorted(set(self.counts) - set(EXPRESSIONS))
        if unknown:
            raise ValueError(f"counts: unknown classes {unknown}; known: {list(EXPRESSIONS)}")
        negative = {name: n for name, n in self.counts.items() if n < 0}
        if negative:
            raise ValueError(f"counts: images a class must not be negative, got {negative}")
        if min(self.width, self.height) < 16:
            raise ValueError(
                f"width and height must be at least 16 pixels, got {self.width}x{self.height}"
            )
        most = len(FIRST_WORDS) * len(SECOND_WORDS)
        if not 1 <= self.movies <= most:
            raise ValueError(f"movies must be between 1 and {most}, got {self.movies}")


@dataclass(frozen=True)
class Pose:
    """Where the head is and how it is turned.

    Attributes:
        x: Centre of the head across, in picture heights from the middle of the picture.
        y: Centre of the head down, in picture heights from the top.
        size: Half the head's width, in picture heights.
        yaw: Turn to the right of the picture, in radians.
        pitch: Turn upwards, in radians.
        roll: Tilt clockwise, in degrees.
        gaze: Where the eyes look, (right, down), each about -1..1.
    """

    x: float
    y: float
    size: float
    yaw: float
    pitch: float
    roll: float
    gaze: tuple[float, float]


@dataclass(frozen=True)
class Shot:
    """What the camera does with a clip.

    Attributes:
        setting: Which of the movie's settings is behind the head (0, 1).
        shift: How far the background is moved, in picture heights.
        light: Side the light comes from, -1 (left) to 1 (right).
        exposure: Factor on the brightness.
        defocus: Blur of the whole picture, in picture heights (standard deviation).
        companions: Number of blurred people behind.
        occlusion: What hides a part of the picture; one of `OCCLUSIONS`.
    """

    setting: int
    shift: float
    light: float
    exposure: float
    defocus: float
    companions: int
    occlusion: str


OCCLUSIONS = ("none", "shoulder", "leaves", "edge", "hand", "glass", "lights")


@dataclass(frozen=True)
class FacePlan:
    """One picture of the set: its place in the set and all that is drawn in it.

    Attributes:
        label: Class, one of `EXPRESSIONS`.
        movie: Movie's name, letters only.
        timestamp: Start of the clip in the movie, HHMMSSmmm.
        frame: Number of the frame in the clip, from 1.
        look: The movie's look.
        person: Who is shown.
        units: Strength of the facial action units, by number.
        pose: Head's place and turn.
        shot: Camera, light and surroundings.
    """

    label: str
    movie: str
    timestamp: str
    frame: int
    look: Look
    person: Person
    units: Mapping[int, float]
    pose: Pose
    shot: Shot

    @property
    def file_name(self) -> str:
        """SFEW's kind of name: `Movie_timestamp_frame.png`."""
        return f"{self.movie}_{self.timestamp}_{self.frame:08d}.png"


def dice(*names: object) -> random.Random:
    """Return a source of chance that depends on the given names alone."""
    digest = hashlib.sha256("/".join(map(str, names)).encode()).digest()
    return random.Random(int.from_bytes(digest[:16], "big"))


def movie_names(settings: FacesSettings) -> list[str]:
    """Return as many different names as there are movies; fewer movies keep the first names."""
    names = [first + second for first in FIRST_WORDS for second in SECOND_WORDS]
    dice(settings.seed, "movies").shuffle(names)
    return names[: settings.movies]


def make_pose(rng: random.Random, look: Look) -> Pose:
    """Draw the pose of a clip; most heads are near the middle and nearly upright."""
    size = look.head_size * rng.uniform(0.9, 1.12)
    return Pose(
        x=max(-0.38, min(0.38, rng.gauss(0.0, 0.08))),
        y=rng.uniform(0.42, 0.48),
        size=size,
        yaw=max(-0.42, min(0.42, rng.gauss(0.0, 0.16))),
        pitch=max(-0.2, min(0.2, rng.gauss(0.0, 0.09))),
        roll=max(-16.0, min(16.0, rng.gauss(0.0, 4.5))),
        gaze=(rng.gauss(0.0, 0.35), rng.gauss(0.0, 0.15)),
    )


def make_shot(rng: random.Random, look: Look) -> Shot:
    """Draw the camera's part of a clip."""
    return Shot(
        setting=rng.randrange(2),
        shift=rng.uniform(-0.15, 0.15),
        light=max(-1.0, min(1.0, look.light + rng.gauss(0.0, 0.25))),
        exposure=rng.uniform(0.9, 1.1),
        defocus=rng.choice((0.0, 0.0, 0.0, 0.0, 0.0015, 0.004)),
        companions=rng.choice((0, 0, 0, 0, 1, 2)),
        occlusion=rng.choice(OCCLUSIONS) if rng.random() < 0.24 else "none",
    )


def _make_timestamp(rng: random.Random, taken: set[str]) -> str:
    """Return a free HHMMSSmmm within two hours, on a frame of 25 a second."""
    time = rng.randrange(30 * 25, 7000 * 25) * 40
    while True:
        seconds, thousandths = divmod(time, 1000)
        hours, minutes = seconds // 3600, seconds // 60 % 60
        text = f"{hours:02d}{minutes:02d}{seconds % 60:02d}{thousandths:03d}"
        if text not in taken:
            taken.add(text)
            return text
        time += 40


def _jitter(clip: FacePlan, rng: random.Random, frame: int) -> FacePlan:
    """Return the clip's picture a few frames later: nearly the same pose and expression."""
    pose = clip.pose
    strength = rng.uniform(0.88, 1.1)
    return replace(
        clip,
        frame=frame,
        units={unit: value * strength for unit, value in clip.units.items()},
        pose=replace(
            pose,
            x=pose.x + rng.gauss(0.0, 0.006),
            y=pose.y + rng.gauss(0.0, 0.005),
            size=pose.size * rng.uniform(0.98, 1.02),
            yaw=pose.yaw + rng.gauss(0.0, 0.025),
            pitch=pose.pitch + rng.gauss(0.0, 0.015),
            roll=pose.roll + rng.gauss(0.0, 0.8),
        ),
    )


def _clip_frames(settings: FacesSettings, clip: FacePlan, key: object) -> Iterator[FacePlan]:
    """Yield the frames of one clip in the order of their numbers."""
    sizes = [size for size, _ in CLIP_SIZES]
    weights = [share for _, share in CLIP_SIZES]
    rng = dice(settings.seed, clip.label, "clip", key, "frames")
    frame = 0
    for _ in range(rng.choices(sizes, weights)[0]):
        frame += rng.randint(1, 30)
        yield _jitter(clip, rng, frame)


def _class_clips(
    settings: FacesSettings, label: str, looks: list[Look], taken: dict[str, set[str]]
) -> Iterator[Iterator[FacePlan]]:
    """Yield clip after clip of one class, without end."""
    # ASSUME: movies are as unequal as SFEW's, whose largest has 83 images and smallest one.
    weights = [(rank + 4) ** -1.2 for rank in range(len(looks))]
    classes = [name for name in EXPRESSIONS if settings.counts.get(name, 0) > 0]
    number = 0
    while True:
        turn = number * len(classes) + classes.index(label)
        rng = dice(settings.seed, label, "clip", number)
        drawn = rng.choices(looks, weights)[0]
        look = looks[turn] if turn < len(looks) else drawn  # each movie has its turn first
        member = rng.randrange(look.cast)
        clip = FacePlan(
            label=label,
            movie=look.name,
            timestamp=_make_timestamp(rng, taken[look.name]),
            frame=1,
            look=look,
            person=make_person(dice(settings.seed, look.name, "person", member), look),
            units=action_units(label, rng),
            pose=make_pose(rng, look),
            shot=make_shot(rng, look),
        )
        yield _clip_frames(settings, clip, number)
        number += 1


def plan_faces(settings: FacesSettings) -> list[FacePlan]:
    """Plan every picture of the set, class by class; nothing is drawn.

    Args:
        settings: Seed, counts and number of movies; the size plays no part.

    Returns:
        One plan an image; `label` and `file_name` together are unique.
    """
    looks = [
        make_look(dice(settings.seed, name, "look"), name, rank)
        for rank, name in enumerate(movie_names(settings))
    ]
    taken: dict[str, set[str]] = {look.name: set() for look in looks}
    plans: list[FacePlan] = []
    for label in EXPRESSIONS:
        wanted = len(plans) + settings.counts.get(label, 0)
        if wanted == len(plans):
            continue
        for frames in _class_clips(settings, label, looks, taken):
            plans.extend(frames)
            if len(plans) >= wanted:
                break
        del plans[wanted:]
    return plans
