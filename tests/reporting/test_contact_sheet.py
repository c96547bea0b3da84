import base64
import io
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from neuron_pruning.data.face_crops import FaceBox, crop_face
from neuron_pruning.data.face_detection import VIEWS, centre_box
from neuron_pruning.reporting.contact_sheet import (
    FRAME,
    MARKS,
    OTHER,
    contact_sheet,
    corners_of,
    dashed,
    pick_examples,
)

GREY = (120, 120, 120)


def example(rule="frontal", angle=0.0, colour=GREY, caption="Happy/a.png", size=(640, 512)):
    box = FaceBox(0.25 * size[0], 0.25 * size[1], 0.5 * size[0], 0.5 * size[1], angle, rule, 9.0)
    return Image.new("RGB", size, colour), box, caption


def opened(uri):
    """Pixels of a data URI."""
    kind, _, data = uri.partition(",")
    assert kind == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")).astype(int)


@pytest.mark.parametrize(("number", "columns", "grid"), [(5, 2, (3, 2)), (2, 4, (1, 2))])
def test_the_sheet_is_a_grid(number, columns, grid):
    one = opened(contact_sheet([example()]))
    sheet = opened(contact_sheet([example()] * number, columns=columns))
    assert sheet.shape == (one.shape[0] * grid[0], one.shape[1] * grid[1], 3)
    for line, place in itertools.product(range(grid[0]), range(grid[1])):
        height, width = one.shape[:2]
        cell = sheet[line * height : (line + 1) * height, place * width : (place + 1) * width]
        filled = line * grid[1] + place < number
        assert abs(cell - (one if filled else 255)).mean() < 4


def test_the_box_is_drawn_where_the_face_is():
    frame = opened(contact_sheet([example()]))[: FRAME[1], : FRAME[0]]
    drawn = abs(frame - GREY).max(axis=2) > 60
    drawn[:16, :16] = False  # the rule's letter
    rows, columns = np.where(drawn.any(axis=1))[0], np.where(drawn.any(axis=0))[0]
    edges = [columns[0], columns[-1], rows[0], rows[-1]]
    share = (0.25, 0.75)
    expected = [*(FRAME[0] * s for s in share), *(FRAME[1] * s for s in share)]
    np.testing.assert_allclose(edges, expected, atol=4)
    assert not drawn[
        FRAME[1] // 2 - 9 : FRAME[1] // 2 + 9, FRAME[0] // 2 - 9 : FRAME[0] // 2 + 9
    ].any()


def test_the_crop_stands_beside_the_frame():
    image, box, caption = example()
    noise = np.random.default_rng(0).integers(0, 2, (8, 10, 3), dtype=np.uint8) * 255
    image = Image.fromarray(noise).resize(image.size, Image.Resampling.NEAREST)
    sheet = opened(contact_sheet([(image, box, caption)], margin=0.2))
    crop = np.asarray(crop_face(image, box, (FRAME[1], FRAME[1]), 0.2)).astype(int)
    shown = sheet[: FRAME[1], FRAME[0] + 2 : FRAME[0] + 2 + FRAME[1]]
    assert abs(shown - crop).mean() < 25  # JPEG's own loss on hard edges


def test_the_crop_has_the_networks_aspect_ratio():
    wide = opened(contact_sheet([example()], crop_size=(576, 720)))
    square = opened(contact_sheet([example()], crop_size=(1, 1)))
    assert wide.shape[1] - square.shape[1] == round(FRAME[1] * 720 / 576) - FRAME[1]
    high = opened(contact_sheet([example()], crop_size=(900, 1)))
    assert high.shape[1] < square.shape[1] and high.shape[0] == square.shape[0]


def test_every_rule_is_told_apart_without_its_colour():
    rules = {view.rule for view in VIEWS} | {"together", "given", centre_box(9, 9).rule}
    assert rules == set(MARKS)
    marks = [*MARKS.values(), OTHER]
    assert len({mark.letter for mark in marks}) == len(marks)
    greys = {}
    for rule in MARKS:
        sheet = opened(contact_sheet([example(rule)]))[: FRAME[1], : FRAME[0]].mean(axis=2)
        greys[rule] = sheet
    for one, other in itertools.combinations(greys, 2):
        assert abs(greys[one] - greys[other]).max() > 60, (one, other)


def test_an_unknown_rule_is_drawn_too():
    assert opened(contact_sheet([example("somebody's own")])).min() < 50


def test_a_caption_of_any_length_keeps_the_size_and_is_seen():
    none, short, long = (
        opened(contact_sheet([example(caption=caption)])) for caption in ("", "Sad", "Sad/" * 99)
    )
    assert none.shape == short.shape == long.shape
    below = FRAME[1] + 18  # under the line that names the rule
    assert none[below:].min() > 150 > short[below:].min()
    assert (long[below:] < 100).sum() > 3 * (short[below:] < 100).sum()


def test_no_examples_is_an_error_of_the_caller():
    with pytest.raises(ValueError, match="one image at least"):
        contact_sheet([])


def test_corners_turn_clockwise_about_the_middle():
    box = FaceBox(10, 20, 40, 20, 90.0, "frontal", 9.0)
    np.testing.assert_allclose(corners_of(box), [(40, 10), (40, 50), (20, 50), (20, 10)], atol=1e-9)


POINT = st.tuples(st.floats(-99, 99), st.floats(-99, 99))


@given(
    POINT, POINT, st.lists(st.integers(1, 20), min_size=2, max_size=4).filter(lambda d: len(d) != 3)
)
def test_dashes_lie_on_the_line_in_turn(start, end, dashes):
    pieces = dashed(start, end, dashes)
    length = np.hypot(end[0] - start[0], end[1] - start[1])
    drawn = [np.hypot(b[0] - a[0], b[1] - a[1]) for a, b in pieces]
    assert pieces[0][0] == pytest.approx(start)
    assert sum(drawn) <= length + 1e-6
    if length > sum(dashes):
        np.testing.assert_allclose(drawn[: len(dashes) // 2], dashes[::2])
        assert sum(drawn) < length
    assert dashed(start, end, ()) == [(start, end)]


def rows_of(**numbers):
    return [
        {"image": f"{rule}/{n}.png", "rule": rule.replace("_", " "), "score": float(n)}
        for rule, number in numbers.items()
        for n in range(number)
    ]


def test_a_few_of_every_rule_are_picked_from_weak_to_strong():
    rows = rows_of(frontal=40, centre=30, mirrored_profile=2, home_made=3)
    picked = pick_examples(rows, each=4, fallbacks=6)
    assert [row["rule"] for row in picked] == (
        ["frontal"] * 4 + ["mirrored profile"] * 2 + ["home made"] * 3 + ["centre"] * 6
    )
    assert [row["score"] for row in picked[:4]] == [0, 13, 26, 39]
    assert pick_examples(reversed(rows), each=4, fallbacks=6) == picked
    assert pick_examples([]) == []


@given(st.integers(0, 50), st.integers(1, 20))
def test_picked_rows_are_as_many_as_asked_and_different(available, number):
    picked = pick_examples(rows_of(frontal=available), each=number)
    assert len({row["image"] for row in picked}) == len(picked) == min(available, number)
