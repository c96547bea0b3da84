"""Tests of the drawn faces: what is planned, what is drawn and what is written."""

from __future__ import annotations

import re
from collections import Counter
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neuron_pruning.data.drawn_faces import (
    EXPRESSIONS,
    FacePlan,
    FacesSettings,
    draw_face,
    plan_faces,
    write_faces,
)
from neuron_pruning.data.drawn_faces.planning import (
    GARMENTS,
    LONG_STYLES,
    PROTOTYPES,
    SFEW_COUNTS,
    SHORT_STYLES,
    VIEW,
)
from neuron_pruning.data.drawn_faces.scenes import SETTINGS

SMALL = FacesSettings(counts=dict.fromkeys(EXPRESSIONS, 8), width=90, height=72, movies=6)


@pytest.fixture(scope="module")
def plans() -> list[FacePlan]:
    """Plan of the whole set."""
    return plan_faces(FacesSettings())


def pixels(plan: FacePlan, settings: FacesSettings = SMALL) -> np.ndarray:
    """Return a drawn face as numbers, (height, width, 3)."""
    return np.asarray(draw_face(plan, settings), dtype=float)


def clip_of(plan: FacePlan) -> tuple[str, str]:
    """Return what all frames of a clip share."""
    return plan.movie, plan.timestamp


def test_counts_are_those_of_sfew(plans: list[FacePlan]) -> None:
    counts = Counter(plan.label for plan in plans)
    assert counts == dict(SFEW_COUNTS)
    assert [counts[name] for name in EXPRESSIONS] == [100, 75, 100, 100, 100, 100, 100]


def test_names_follow_sfew_and_are_unique(plans: list[FacePlan]) -> None:
    names = [plan.file_name for plan in plans]
    assert all(re.fullmatch(r"[A-Za-z0-9]+_\d{9}_\d{8}\.png", name) for name in names)
    assert len(set(names)) == len(names)
    for plan in plans:
        assert plan.file_name == f"{plan.movie}_{plan.timestamp}_{plan.frame:08d}.png"
        assert int(plan.timestamp[2:4]) < 60 and int(plan.timestamp[4:6]) < 60


def test_movies_and_clips_have_sfews_shares(plans: list[FacePlan]) -> None:
    movies = Counter(plan.movie for plan in plans)
    clips = Counter(clip_of(plan) for plan in plans)
    assert len(movies) == 54
    assert max(movies.values()) > 40 and min(movies.values()) <= 3  # very unequal
    assert 440 <= len(clips) <= 500
    assert max(clips.values()) <= 4


def test_a_clip_shows_one_person_and_one_expression(plans: list[FacePlan]) -> None:
    shared: dict[tuple[str, str], tuple] = {}
    camera = [name for name, (_, _, between_frames) in VIEW.items() if between_frames == 0]
    assert {"light", "exposure", "shift"} <= set(camera)
    for plan in plans:
        view = tuple(plan.view[name] for name in camera)
        what = (plan.label, plan.person, plan.look, plan.setting, view)
        assert shared.setdefault(clip_of(plan), what) == what
    casts: dict[str, set] = {}
    for plan in plans:
        casts.setdefault(plan.movie, set()).add(plan.person)
    assert all(len(casts[plan.movie]) <= plan.look.cast for plan in plans)
    assert max(map(len, casts.values())) > 1


def test_a_change_of_counts_leaves_the_rest_as_it_was(plans: list[FacePlan]) -> None:
    fewer = plan_faces(FacesSettings(counts={**SFEW_COUNTS, "Happy": 40}))
    same = {(plan.label, plan.file_name) for plan in plans}
    assert len(fewer) == 615
    assert all((plan.label, plan.file_name) in same for plan in fewer)


def test_another_seed_gives_other_faces(plans: list[FacePlan]) -> None:
    other = plan_faces(FacesSettings(seed=1))
    assert not {plan.file_name for plan in plans} & {plan.file_name for plan in other}


def test_fewer_images_than_movies() -> None:
    few = plan_faces(FacesSettings(counts={"Happy": 2, "Sad": 1}))
    assert [plan.label for plan in few] == ["Happy", "Happy", "Sad"]
    assert {plan.movie for plan in plan_faces(SMALL)} == {
        plan.movie for plan in plan_faces(replace(SMALL, seed=0))
    }
    assert len({plan.movie for plan in plan_faces(SMALL)}) == 6
    assert plan_faces(FacesSettings(counts={})) == []


@pytest.mark.parametrize("size", [(90, 72), (64, 64), (40, 90)])
def test_any_size_can_be_drawn(size: tuple[int, int]) -> None:
    settings = replace(SMALL, width=size[0], height=size[1])
    image = draw_face(plan_faces(settings)[0], settings)
    assert image.mode == "RGB"
    assert image.size == size
    assert np.asarray(image).std() > 10


def test_every_kind_of_look_can_be_drawn() -> None:
    """All hair, beards, garments and settings, a few at a time."""
    settings = replace(SMALL, width=32, height=32)
    plan = plan_faces(settings)[0]
    bare = pixels(plan, settings)
    for k, style in enumerate(SHORT_STYLES + LONG_STYLES):
        person = copy(plan.person)
        person.hair, person.garment = style, GARMENTS[k % len(GARMENTS)]
        person.beard = (0.0, 0.3, 0.9)[k % 3]
        setting = list(SETTINGS)[k % len(SETTINGS)]
        drawn = pixels(replace(plan, person=person, setting=setting), settings)
        assert np.abs(drawn - bare).mean() > 2, style


@pytest.mark.parametrize(
    ("name", "values"), [("hair", SHORT_STYLES + LONG_STYLES), ("garment", GARMENTS)]
)
def test_every_style_and_garment_shows(name: str, values: tuple[str, ...]) -> None:
    plan, drawn = plan_faces(SMALL)[0], []
    for value in values:
        person = copy(plan.person)
        setattr(person, name, value)
        drawn.append(draw_face(replace(plan, person=person), SMALL).tobytes())
    assert len(set(drawn)) == len(values)


def test_a_person_and_a_look_are_the_same_wherever_they_are_drawn(plans: list[FacePlan]) -> None:
    people: dict[object, dict] = {}
    for plan in plans:
        assert people.setdefault(plan.person, vars(plan.person)) == vars(plan.person)
    assert len({person.skin for person in {plan.person for plan in plans}}) > 50


def test_drawing_repeats_exactly() -> None:
    first, again = plan_faces(SMALL)[3], plan_faces(SMALL)[3]
    assert first == again
    assert draw_face(first, SMALL).tobytes() == draw_face(again, SMALL).tobytes()


def test_files_do_not_depend_on_processes(tmp_path: Path) -> None:
    tiny = replace(SMALL, counts={"Angry": 2, "Fear": 3}, width=45, height=36)
    seen: list[Path] = []

    def watch(paths):  # type: ignore[no-untyped-def]
        for path in paths:
            seen.append(path)
            yield path

    one = write_faces(tiny, tmp_path / "one", progress=watch)
    two = write_faces(tiny, tmp_path / "two", processes=2)
    assert seen == one
    names = [path.relative_to(tmp_path / "one") for path in one]
    assert names == [path.relative_to(tmp_path / "two") for path in two]
    assert names == [Path(p.label) / p.file_name for p in plan_faces(tiny)]
    assert [a.read_bytes() for a in one] == [b.read_bytes() for b in two]
    everything = {path for path in (tmp_path / "one").rglob("*") if path.is_file()}
    assert everything == set(one)  # no unfinished file is left
    with Image.open(one[0]) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (45, 36))


def test_frames_of_a_clip_are_nearer_than_movies() -> None:
    plans = plan_faces(SMALL)
    first_frames = {clip_of(plan): plan for plan in reversed(plans)}
    within = [
        np.abs(pixels(plan) - pixels(first_frames[clip_of(plan)])).mean()
        for plan in plans
        if first_frames[clip_of(plan)] is not plan
    ]
    one_a_movie = list({plan.movie: plan for plan in plans}.values())
    between = [
        np.abs(pixels(a) - pixels(b)).mean() for a in one_a_movie for b in one_a_movie if a is not b
    ]
    assert within and min(within) > 0
    assert max(within) < np.median(between)
    assert np.mean(within) < 0.5 * np.mean(between)


@pytest.mark.parametrize("label", [name for name in EXPRESSIONS if name != "Neutral"])
def test_an_expression_shows_with_all_else_equal(label: str) -> None:
    """Brows, eyes or mouth change in the middle of the face and nothing in the corners."""
    settings = replace(SMALL, width=180, height=144)
    plan = plan_faces(settings)[0]
    middle = {"x": 0.0, "y": 0.5, "size": 0.2 / plan.look.head_size}
    turn = {"yaw": 0.0, "pitch": 0.0, "roll": 0.0}
    plain = replace(plan, units={}, view={**plan.view, **middle, **turn})
    moved = np.abs(
        pixels(replace(plain, units=PROTOTYPES[label][0]), settings) - pixels(plain, settings)
    ).max(axis=2)
    face = moved[40:110, 60:120]
    assert (face > 25).mean() > 0.03
    assert moved[:20, :30].max() == 0


def test_expressions_differ_from_each_other() -> None:
    plain = plan_faces(SMALL)[0]
    drawn = {
        name: draw_face(replace(plain, units=variants[0]), SMALL).tobytes()
        for name, variants in PROTOTYPES.items()
    }
    assert len(set(drawn.values())) == len(EXPRESSIONS)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"counts": {"Joy": 3}}, "Joy.*known.*Happy"),
        ({"counts": {"Happy": -1}}, "must not be negative.*Happy"),
        ({"width": 4}, "at least 16 pixels, got 4x576"),
        ({"movies": 0}, "movies must be between 1 and .*got 0"),
        ({"movies": 10**6}, "got 1000000"),
    ],
)
def test_impossible_settings_are_refused(wrong: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FacesSettings(**wrong)


def test_no_process_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="processes must be at least 1, got 0"):
        write_faces(SMALL, tmp_path, processes=0)
