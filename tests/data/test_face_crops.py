import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from neuron_pruning.data.face_crops import PADDING, FaceBox, crop_face, crop_region


def face_box(x, y, width, height, angle=0.0):
    return FaceBox(x, y, width, height, angle, "frontal", 10.0)


def white_square():
    """White square from (100, 50), 80 pixels a side, on black, 400 x 300."""
    image = Image.new("RGB", (400, 300))
    ImageDraw.Draw(image).rectangle((100, 50, 179, 129), fill=(255, 255, 255))
    return image


def extent(mask):
    """First and last column, first and last row of a mask."""
    columns, rows = np.where(mask.any(axis=0))[0], np.where(mask.any(axis=1))[0]
    return columns[0], columns[-1], rows[0], rows[-1]


@pytest.mark.parametrize(("side", "zoom"), [(104, 1), (52, 0.5), (26, 0.25), (208, 2)])
def test_the_box_lies_in_the_middle_with_its_margin(side, zoom):
    crop = np.asarray(crop_face(white_square(), face_box(100, 50, 80, 80), (side, side), 0.15))
    assert crop.shape == (side, side, 3)
    margin = 0.15 * 80 * zoom
    first, last = round(margin), round(margin + 80 * zoom) - 1
    assert extent(crop[..., 0] > 127) == (first, last, first, last)


def test_without_a_margin_the_crop_is_the_box():
    crop = np.asarray(crop_face(white_square(), face_box(100, 50, 80, 80), (80, 80)))
    assert (crop == 255).all()


def test_another_aspect_ratio_widens_and_does_not_distort():
    crop = np.asarray(crop_face(white_square(), face_box(100, 50, 80, 80), (52, 104), 0.15))
    left, right, top, bottom = extent(crop[..., 0] > 127)
    assert (right - left, bottom - top) == (39, 39)  # half the size on both sides
    assert (left + right, top + bottom) == (103, 51)  # in the middle


@given(st.floats(1, 500), st.floats(1, 500), st.integers(1, 300), st.integers(1, 300),
       st.floats(-0.4, 2))  # fmt: skip
def test_region_holds_box_and_margin(width, height, rows, columns, margin):
    box = face_box(0, 0, width, height)
    region_width, region_height = crop_region(box, (rows, columns), margin)
    assert region_width * rows == pytest.approx(region_height * columns)
    needed = (1 + 2 * margin) * width, (1 + 2 * margin) * height
    assert region_width >= needed[0] * 0.999 and region_height >= needed[1] * 0.999
    assert region_width == pytest.approx(needed[0]) or region_height == pytest.approx(needed[1])


@pytest.mark.parametrize("angle", [-25.0, 10.0, 30.0])
@pytest.mark.parametrize("side", [260, 65])
def test_tilted_eyes_come_out_level(angle, side):
    """Red left of the middle and blue right of it, on a line that falls by the angle."""
    image = Image.new("RGB", (600, 500))
    draw = ImageDraw.Draw(image)
    across, down = 60 * np.cos(np.radians(angle)), 60 * np.sin(np.radians(angle))
    for sign, colour in ((-1, (255, 0, 0)), (1, (0, 0, 255))):
        x, y = 300 + sign * across, 220 + sign * down
        draw.ellipse((x - 8, y - 8, x + 8, y + 8), fill=colour)
    crop = np.asarray(crop_face(image, face_box(200, 120, 200, 200, angle), (side, side), 0.15))
    centres = [np.argwhere(crop[..., channel] > 127).mean(axis=0) for channel in (0, 2)]
    zoom = side / 260
    for centre, sign in zip(centres, (-1, 1), strict=True):
        expected = side / 2 - 0.5, side / 2 - 0.5 + sign * 60 * zoom
        np.testing.assert_allclose(centre, expected, atol=1)


def test_beyond_the_border_is_mid_grey():
    image = Image.new("RGB", (100, 100), (255, 0, 0))
    crop = np.asarray(crop_face(image, face_box(0, 0, 50, 50), (65, 65), 0.15))
    grey = (crop == PADDING).all(axis=2)
    edge = round(0.15 * 50)
    assert grey[: edge - 1].all() and grey[:, : edge - 1].all()
    assert (crop[edge + 1 :, edge + 1 :] == (255, 0, 0)).all()


def test_shrinking_a_fine_pattern_leaves_its_mean_and_no_waves():
    pixels = np.zeros((900, 900, 3), dtype=np.uint8)
    pixels[:, ::2] = 255
    crop = np.asarray(crop_face(Image.fromarray(pixels), face_box(100, 100, 650, 650), (60, 60)))
    assert abs(crop.astype(int) - 127).max() <= 3


@pytest.mark.parametrize("image_size", [(8, 8), (1, 40), (3000, 20)])
def test_any_image_gives_a_crop_of_the_size(image_size):
    image = Image.new("RGB", image_size, (9, 9, 9))
    side = min(image_size)
    crop = crop_face(image, face_box(0, 0, side, side, 7.0), (48, 32))
    assert crop.size == (32, 48) and crop.mode == "RGB"
    assert crop.getpixel((16, 24)) == (9, 9, 9)
