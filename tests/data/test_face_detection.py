import dataclasses
import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage.data import astronaut  # a photograph in the public domain

from find_faces import find_faces
from neuron_pruning import UserError
from neuron_pruning.core.parquet import read_rows, write_rows
from neuron_pruning.data import face_detection as detection
from neuron_pruning.data.face_crops import BOXES_SCHEMA, FaceBox, read_boxes, read_given_boxes
from neuron_pruning.data.face_detection import (
    View,
    centre_box,
    find_face,
    overlaps,
    roll_angle,
)

FACE = (183, 69, 91)  # left, top, side of the astronaut's face
SIZES = {"Happy/a.png": (720, 576), "Sad/b.png": (100, 50)}
HEADER = "image,x,y,width,height\n"


@pytest.fixture(scope="module")
def photograph():
    return astronaut()[:256]


@pytest.fixture(scope="module")
def found(photograph):
    return find_face(photograph)


def middle(box):
    return box.x + box.width / 2, box.y + box.height / 2


def assert_face(box, left, top, side):
    """The box's middle within a fifth of the face's side, its size within a third."""
    reach = side / 5
    np.testing.assert_allclose(middle(box), (left + side / 2, top + side / 2), atol=reach)
    assert box.width == pytest.approx(side, rel=1 / 3)
    assert box.height == pytest.approx(side, rel=1 / 3)
    assert box.score > detection.FEWEST_VOTES


def test_a_face_is_found_level_and_by_the_plainest_detector(photograph, found):
    assert_face(found, *FACE)
    assert found.rule == "frontal"
    assert abs(found.angle) < 6
    assert find_face(photograph) == found


def test_the_mirror_image_has_the_mirrored_face(photograph):
    box = find_face(photograph[:, ::-1])
    assert_face(box, photograph.shape[1] - FACE[0] - FACE[2], *FACE[1:])


def test_a_grey_image_has_the_same_face_in_two_or_three_dimensions(photograph):
    grey = np.asarray(Image.fromarray(photograph).convert("L"))
    box = find_face(grey)
    assert_face(box, *FACE)
    assert find_face(np.stack([grey] * 3, axis=2)) == box


@pytest.mark.parametrize("size", [(4000, 2000), (200, 100)])
def test_the_face_is_in_pixels_of_the_image_whatever_its_size(photograph, size):
    zoom = size[0] / photograph.shape[1]
    box = find_face(np.asarray(Image.fromarray(photograph).resize(size)))
    assert_face(box, *(zoom * number for number in FACE))


@pytest.mark.parametrize("turn", [-15, 15])
def test_the_angle_follows_the_roll(photograph, turn):
    head = Image.fromarray(photograph).crop((96, 0, 352, 256))
    box = FaceBox(FACE[0] - 96, FACE[1], FACE[2], FACE[2], 0.0, "given", 0.0)
    level = roll_angle(np.asarray(head), box)
    centre = middle(box)
    turned = head.rotate(-turn, Image.Resampling.BICUBIC, center=centre)  # clockwise by turn
    assert roll_angle(np.asarray(turned), box) - level == pytest.approx(turn, abs=4)


def test_without_eyes_there_is_no_angle(photograph):
    hidden = photograph.copy()
    hidden[FACE[1] + 20 : FACE[1] + 50, FACE[0] : FACE[0] + FACE[2]] = 128
    assert roll_angle(hidden, FaceBox(*FACE, FACE[2], 0.0, "given", 0.0)) == 0
    outside = FaceBox(-50, -50, 20, 20, 0.0, "given", 0.0)
    assert roll_angle(photograph, outside) == 0


@pytest.mark.parametrize("shape", [(8, 8, 3), (1, 1, 3), (8, 8), (2, 900, 3), (300, 200, 3)])
def test_an_empty_image_gets_the_centre(shape):
    box = find_face(np.zeros(shape, dtype=np.uint8))
    assert box == centre_box(shape[1], shape[0])
    assert box.rule == "centre" and box.score == 0


@given(st.integers(1, 6000), st.integers(1, 6000))
def test_the_centre_box_is_a_square_within_the_image(width, height):
    box = centre_box(width, height)
    assert box.width == box.height == detection.CENTRE_SHARE * min(width, height)
    assert box.x >= 0 and box.y >= 0
    assert box.x + box.width <= width and box.y + box.height <= height
    assert box.x + box.width / 2 == pytest.approx(width / 2)
    assert box.angle == 0


@given(
    st.lists(
        st.tuples(*[st.integers(0, 50)] * 2, *[st.integers(1, 50)] * 2), min_size=1, max_size=9
    )
)
def test_overlaps_are_those_of_counted_pixels(windows):
    found = overlaps(np.array(windows, dtype=float))
    masks = np.zeros((len(windows), 100, 100), dtype=bool)
    for mask, (x, y, width, height) in zip(masks, windows, strict=True):
        mask[y : y + height, x : x + width] = True
    for i, one in enumerate(masks):
        for j, other in enumerate(masks):
            assert found[i, j] == pytest.approx((one & other).sum() / (one | other).sum())


def windows_of(*groups):
    """Windows (x, y, width, height) and numbers of their views."""
    windows = [window for window, views in groups for _ in views]
    return np.array(windows, dtype=float), np.array([v for _, views in groups for v in views])


def test_agreement_outweighs_a_lonely_window():
    windows, views = windows_of(((10, 10, 40, 40), [0]), ((60, 10, 40, 40), [0, 0, 1, 2]))
    box, rule, score = detection._elect(windows, views, (110, 60))
    np.testing.assert_array_equal(box, (60, 10, 40, 40))
    assert score == sum(detection.VIEWS[view].votes for view in (0, 0, 1, 2))
    assert rule == "frontal"


def test_of_two_agreed_faces_the_larger_is_the_main_one():
    small, large = (10, 35, 30, 30), (55, 30, 40, 40)  # as far from the middle of 100 x 119
    windows, views = windows_of((small, [0, 0]), (large, [0, 0]))
    np.testing.assert_array_equal(detection._elect(windows, views, (100, 119))[0], large)


@pytest.mark.parametrize("aside", [(5, 40, 20, 20), (40, 75, 20, 20)])
def test_of_two_agreed_faces_the_more_central_is_the_main_one(aside):
    central = (40, 30, 20, 20)
    windows, views = windows_of((aside, [0, 0]), (central, [0, 0]))
    np.testing.assert_array_equal(detection._elect(windows, views, (100, 100))[0], central)


def test_the_box_is_the_mean_of_its_windows_by_votes():
    windows, views = windows_of(((10, 10, 40, 40), [0]), ((13, 10, 40, 40), [2]))
    box, _, _ = detection._elect(windows, views, (60, 60))
    weights = [detection.VIEWS[view].votes for view in (0, 2)]
    np.testing.assert_allclose(box, (np.average([10, 13], weights=weights), 10, 40, 40))


@pytest.mark.parametrize(
    ("aside", "number", "found"), [(0.1, 3, True), (0.2, 3, False), (0, 2, False)]
)
def test_an_eye_is_where_eyes_are_and_seen_in_several_windows(aside, number, found):
    place = detection.EYES[0]
    window = (place[0] + aside - 0.05, place[1] - 0.05, 0.1, 0.1)
    eye = detection._eye(np.array([window] * number), place)
    assert (eye is not None) == found
    if eye is not None:
        np.testing.assert_allclose(eye, (place[0] + aside, place[1]))


def test_the_rule_is_the_first_kind_of_detector_that_suffices():
    rules = [view.rule for view in detection.VIEWS]
    frontal, alternative, profile = map(rules.index, ("frontal", "alternative", "profile"))
    assert detection._rule([profile, frontal, profile, frontal, profile, frontal]) == "frontal"
    assert detection._rule([profile] * 9 + [alternative] * 3 + [frontal]) == "alternative"
    assert detection._rule([profile] * 3 + [alternative] * 2) == "profile"
    assert detection._rule([profile] * 2 + [alternative] * 2 + [frontal] * 2) == "together"


@pytest.fixture(scope="module")
def grey(photograph):
    return np.asarray(Image.fromarray(photograph).convert("L").resize((240, 120)))


EVERY_SIZE = (20, 240)
ALL_OF_GREY = np.array([60.0, 0, 120, 120])  # its surroundings are the image of 240 x 120


def plain_view(mirrored=False, shift=0.0):
    return View("frontal", "frontalface_alt2", 1.0, mirrored, equalised=False, shift=shift)


def test_windows_of_a_mirrored_view_are_in_the_image_as_it_is(grey):
    plain = detection._windows(grey, plain_view(), *EVERY_SIZE)
    mirrored = detection._windows(grey[:, ::-1], plain_view(mirrored=True), *EVERY_SIZE)
    assert len(plain) > 2
    expected = {(240 - x - width, y, width, height) for x, y, width, height in plain.tolist()}
    assert set(map(tuple, mirrored.tolist())) == expected


def test_windows_are_shifted_onto_the_face(grey):
    plain, shifted = (
        detection._windows(grey, plain_view(shift=shift), *EVERY_SIZE) for shift in (0, -0.5)
    )
    np.testing.assert_allclose(shifted[:, 0], plain[:, 0] - 0.5 * plain[:, 2])
    np.testing.assert_array_equal(shifted[:, 1:], plain[:, 1:])


def test_every_view_sees_its_own_copy(grey, monkeypatch):
    seen = []

    def search(image, view, *sizes):
        seen.append((int(image.min()), int(image.max())))
        return np.array([[view.votes, 0, 9, 9]])

    pale = 100 + grey // 8
    monkeypatch.setattr(detection, "_windows", search)
    windows, views = detection._all_windows(detection._copies(pale, 240), ALL_OF_GREY)
    assert views.tolist() == list(range(len(detection.VIEWS)))
    assert windows[:, 0].tolist() == [view.votes for view in detection.VIEWS]
    stored, stretched = (int(pale.min()), int(pale.max())), (0, 255)
    copies = [stretched if view.equalised else stored for view in detection.VIEWS]
    assert seen == copies


def test_no_more_windows_vote_than_can_be_compared(grey, monkeypatch):
    copies, face = detection._copies(grey, 240), np.array([86.0, 32, 43, 43])
    every, _ = detection._all_windows(copies, face)
    monkeypatch.setattr(detection, "MOST_WINDOWS", 20)
    some, views = detection._all_windows(copies, face)
    assert len(every) > 40 and 10 <= len(some) == len(views) <= 20
    assert set(map(tuple, some.tolist())) <= set(map(tuple, every.tolist()))


def watch_searches(monkeypatch):
    """List that gets the number of every search of a whole image."""
    seen, windows = [], detection._windows
    sides = {search.long_side for search in detection.SEARCHES}

    def watched(image, view, smallest, largest):
        if largest in sides:
            seen.append((largest, detection.VIEWS.index(view)))
        return windows(image, view, smallest, largest)

    monkeypatch.setattr(detection, "_windows", watched)
    return seen


def test_a_plain_face_needs_the_cheapest_search_alone(photograph, monkeypatch):
    seen, first = watch_searches(monkeypatch), detection.SEARCHES[0]
    assert find_face(photograph).rule == "frontal"
    assert seen == [(first.long_side, first.view)]


def test_every_search_is_tried_where_there_is_no_face(photograph, monkeypatch):
    seen = watch_searches(monkeypatch)
    assert find_face(np.zeros_like(photograph)).rule == "centre"
    assert seen == [(search.long_side, search.view) for search in detection.SEARCHES]


@pytest.mark.parametrize("search", detection.SEARCHES[:4])
def test_any_frontal_search_leads_to_the_same_face(photograph, found, monkeypatch, search):
    monkeypatch.setattr(detection, "SEARCHES", (search,))
    face = find_face(photograph)
    boxes = [[box.x, box.y, box.width, box.height] for box in (face, found)]
    assert overlaps(np.array(boxes))[0, 1] > 0.85


def test_a_search_proposes_no_place_that_has_been_looked_at():
    places = np.array([[0.0, 0, 10, 10]])
    windows = np.array([[1.0, 1, 10, 10], [8, 8, 10, 10], [50, 50, 10, 10]])
    assert detection._away_from(places, windows).tolist() == [False, True, True]
    assert detection._away_from(np.empty((0, 4)), windows).all()
    assert detection._away_from(places, np.empty((0, 4))).shape == (0,)


def test_windows_about_a_place_are_near_it_and_about_as_large(photograph):
    grey = np.asarray(Image.fromarray(photograph).convert("L").resize((360, 180)))
    place = np.array([129.0, 49, 64, 64])
    windows, _ = detection._all_windows(detection._copies(grey, 360), place)
    assert len(windows) > 20
    factor, reach = detection.PLACE_RANGE * 1.05, detection.PLACE_REACH * 1.1 * 64
    assert (windows[:, 2] >= 64 / factor).all() and (windows[:, 2] <= 64 * factor).all()
    ends = np.abs(np.stack([windows[:, :2], windows[:, :2] + windows[:, 2:]]) - (161, 81))
    assert ends.max() <= reach
    face = windows.mean(axis=0)
    assert overlaps(np.array([face, place]))[0, 1] > 0.6


def test_few_votes_are_no_face(photograph, monkeypatch):
    monkeypatch.setattr(detection, "FEWEST_VOTES", 1e6)
    assert find_face(photograph).rule == "centre"


def test_threads_find_the_same(photograph, found):
    images = [photograph, np.zeros_like(photograph), photograph, photograph]
    with ThreadPoolExecutor(3) as pool:
        faces = list(pool.map(find_face, images))
    assert faces == [found, centre_box(512, 256), found, found]


def test_boxes_are_stored_with_every_field(tmp_path):
    fields = {field.name for field in dataclasses.fields(FaceBox)}
    names = {"image", "label", "image_width", "image_height"}
    assert set(BOXES_SCHEMA.names) == fields | names
    box = FaceBox(1.5, 2.0, 3.0, 4.0, -5.0, "profile", 6.0)
    row = {"image": "A/b.png", "label": "A", "image_width": 8, "image_height": 9}
    write_rows(tmp_path / "boxes.parquet", [{**row, **dataclasses.asdict(box)}], BOXES_SCHEMA)
    assert read_boxes(tmp_path / "boxes.parquet") == {"A/b.png": box}


def given_file(folder, text, encoding="utf-8"):
    path = folder / "boxes.csv"
    path.write_text(text, encoding=encoding)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_given_boxes_are_read(tmp_path, encoding):
    lines = f"note,{HEADER}blurred,Happy/a.png, 10.5,20,300,400\n,Sad/b.png,0,0,100,50\n"
    boxes = read_given_boxes(given_file(tmp_path, lines, encoding), SIZES)
    assert boxes == {
        "Happy/a.png": FaceBox(10.5, 20.0, 300.0, 400.0, 0.0, "given", 0.0),
        "Sad/b.png": FaceBox(0.0, 0.0, 100.0, 50.0, 0.0, "given", 0.0),
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Sad/b.png,1,1,100,20", "line 3.* out of the image, which has 100 x 50 pixels"),
        ("Sad/b.png,1,31,20,20", "line 3.* out of the image"),
        ("Sad/b.png,-1,1,20,20", "line 3.* out of the image"),
        ("Sad/b.png,1,-1,20,20", "line 3.* out of the image"),
        ("Sad/b.png,1,1,0,20", "line 3.*empty"),
        ("Sad/b.png,1,1,20,-3", "line 3.*empty"),
        ("Sad/b.png,nan,1,20,20", "line 3.*keep it inside"),
        ("Sad/b.png,1,one,20,20", "line 3.*'one'.*are numbers"),
        ("Sad/b.png,1,1,20", "line 3.*''.*are numbers"),
        ("Sad/c.png,1,1,20,20", "line 3: there is no image 'Sad/c.png' in the data set.*or remove"),
        ("Happy/a.png,1,1,20,20", "line 3: Happy/a.png stands there twice; keep one"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    path = given_file(tmp_path, f"{HEADER}Happy/a.png,10,20,300,400\n{line}\n")
    with pytest.raises(UserError, match=f"boxes.csv, {message}"):
        read_given_boxes(path, SIZES)


@pytest.mark.parametrize("header", ["", "image,x,y,height", "image;x;y;width;height"])
def test_a_missing_column_is_named(tmp_path, header):
    with pytest.raises(UserError, match=r"line 1: no column.*width.*needs image,x,y,width,height"):
        read_given_boxes(given_file(tmp_path, header + "\n"), SIZES)


def test_a_missing_file_or_a_wrong_encoding_is_reported(tmp_path):
    with pytest.raises(UserError, match=r"none.csv cannot be read"):
        read_given_boxes(tmp_path / "none.csv", SIZES)
    path = tmp_path / "boxes.csv"
    path.write_bytes(HEADER.encode("utf-16"))
    with pytest.raises(UserError, match=r"boxes.csv cannot be read.*UTF-8"):
        read_given_boxes(path, SIZES)


def test_the_rule_writes_one_box_an_image_and_counts_the_rules(tmp_path, photograph):
    folder = tmp_path / "images"
    images = {"A/face.png": photograph[:256, 96:352], "B/empty.png": np.zeros_like(photograph)}
    images["B/given.png"] = photograph
    rows = []
    for name, pixels in images.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / name)
        height, width = pixels.shape[:2]
        row = {"image": name, "label": name[0], "width": width, "height": height}
        rows.append({**row, "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest()})
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "index.parquet")
    csv = given_file(tmp_path, f"{HEADER}B/given.png,{FACE[0]},{FACE[1]},{FACE[2]},{FACE[2]}\n")
    boxes = tmp_path / "boxes.parquet"
    mirrored = find_faces(
        tmp_path / "index.parquet", boxes, str(folder), str(csv), tmp_path / "kept", threads=2
    )
    read = read_rows(boxes)
    assert [row["image"] for row in read] == list(images)
    assert [row["rule"] for row in read] == ["frontal", "centre", "given"]
    assert [row["label"] for row in read] == ["A", "B", "B"]
    assert (read[0]["image_width"], read[0]["image_height"]) == (256, 256)
    assert (read[2]["x"], read[2]["width"]) == (FACE[0], FACE[2])
    assert read[2]["angle"] != 0  # a given box is levelled too
    assert mirrored.metrics == {"faces_centre": 1, "faces_frontal": 1, "faces_given": 1}
    assert pq.read_schema(boxes).equals(BOXES_SCHEMA)
