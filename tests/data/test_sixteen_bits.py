"""No PNG of 16 bits turns black because it uses fewer, and what turns plain is told."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from neuron_pruning.data.decoding import read_upright
from neuron_pruning.data.index import audit_images, index_images, plain_images
from neuron_pruning.data.sixteen_bits import PNG, used_bits

COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}  # PNG's colour type by the number of channels


def png(values, significant=None):
    """A PNG of 16 bits of height x width x channels values, perhaps with a chunk sBIT."""

    def chunk(kind, data):
        whole = kind + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    height, width, channels = values.shape
    header = struct.pack(">IIBBBBB", width, height, 16, COLOURS[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    stated = b"" if significant is None else chunk(b"sBIT", bytes([significant] * channels))
    return (
        PNG + chunk(b"IHDR", header) + stated + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )  # fmt: skip


def gradient(bits, channels):
    """Values of all brightnesses that so many bits have."""
    values = np.linspace(0, 2**bits - 1, 96 * channels).astype(np.uint16)
    return values.reshape(8, 12, channels)


def shown(data):
    return np.asarray(read_upright(data)[0])


@pytest.mark.parametrize("channels", COLOURS)
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_every_depth_and_colour_has_the_whole_range(bits, channels):
    values = gradient(bits, channels)
    colours = values[..., :3] if channels > 2 else values[..., :1].repeat(3, axis=2)
    np.testing.assert_array_equal(shown(png(values)), colours >> (bits - 8))


@pytest.mark.parametrize("significant", [5, 8, 10, 12, 14])
def test_what_the_file_says_decides(significant):
    """Scaled to 16 bits, as the specification demands, dark or not; or, against it, unscaled."""
    values = gradient(significant, 1)
    right = (values << (16 - significant)) >> 8
    np.testing.assert_array_equal(shown(png(values << (16 - significant), significant)), right[
        ..., [0, 0, 0]
    ])  # fmt: skip
    np.testing.assert_array_equal(shown(png(values, significant)), right[..., [0, 0, 0]])
    dark = (values >> 3) << (16 - significant)
    np.testing.assert_array_equal(shown(png(dark, significant)), (dark >> 8)[..., [0, 0, 0]])


def test_used_bits_at_their_limits():
    for largest, bits in ((0, 8), (255, 8), (256, 12), (4095, 12), (4096, 16), (65535, 16)):
        assert used_bits(np.array([[0, largest]], dtype=np.uint16)) == bits
    assert used_bits(np.array([[256, 512]], dtype=np.uint16), 8) == 16


def test_images_of_one_colour_are_told(tmp_path):
    outline = np.zeros((8, 8, 4), dtype=np.uint8)
    for label in ("Cat", "Dog"):
        (tmp_path / label).mkdir()
        for number in range(5):
            outline[2:6, : 2 + number, 3] = 255  # a shape in the transparency alone
            picture = np.full((8, 8, 3), number, dtype=np.uint8)
            picture[0, 0] = 255
            pixels = outline if label == "Cat" else picture
            Image.fromarray(pixels).save(tmp_path / label / f"{number}.png")
    index, bad = index_images(tmp_path)
    assert [row["plain_colour"] for row in index] == ["#000000"] * 5 + [""] * 5
    (row,) = [row for row in audit_images(index, bad) if row["check"] == "one plain colour"]
    assert (row["subject"], row["count"]) == ("Cat", 5)
    assert row["detail"] == "Cat/0.png, Cat/1.png, Cat/2.png and 2 more"
    line = plain_images(index)
    assert "5 images show one plain colour" in line and "Cat/2.png and 2 more" in line
    assert "background" in line and plain_images(index[5:]) == ""
