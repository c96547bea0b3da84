import hashlib
import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageOps

from neuron_pruning import UserError
from neuron_pruning.core.array_store import write_rows_of
from neuron_pruning.data.decoding import read_upright
from neuron_pruning.data.image_folder import list_ignored, list_images
from neuron_pruning.data.index import (
    audit_images,
    group_names,
    index_images,
    resize_image,
    upright_rgb,
)


@pytest.fixture
def folder(tmp_path):
    """Two classes of five images of 10 x 12, width x height."""
    rng = np.random.default_rng(0)
    for label in ("Cat", "Dog"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for n in range(5):
            pixels = rng.integers(0, 256, (12, 10, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / label / f"Film_00{n // 2}_{n}.png")
    return tmp_path / "data"


def write_array(array, images, folder, kept):
    def look(row):
        return np.asarray(upright_rgb(folder / images[row]))

    write_rows_of(array, images, (12, 10), look, kept, threads=2)


def check_rows(rows, check):
    return {row["subject"]: row["count"] for row in rows if row["check"] == check}


def test_index_and_array_hold_every_image(folder, tmp_path):
    index, bad = index_images(folder, threads=2)
    images = [row["image"] for row in index]
    write_array(tmp_path / "a.npy", images, folder, tmp_path / "kept")
    array = np.load(tmp_path / "a.npy")
    assert array.shape == (10, 12, 10, 3) and array.dtype == np.uint8 and not bad
    for row in index:
        path = folder / row["image"]
        np.testing.assert_array_equal(array[row["position"]], np.asarray(Image.open(path)))
        assert row["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert row["label"] == path.parent.name
        assert len(row["perceptual_hash"]) == 16
    assert images == sorted(images)
    assert (index[0]["movie"], index[0]["clip"]) == ("Film", "Film_000")


def test_an_image_that_went_bad_after_it_was_indexed_is_named(folder, tmp_path):
    index, _ = index_images(folder)
    (folder / index[3]["image"]).write_text("gone")
    with pytest.raises(UserError, match=f"{index[3]['image']} is no readable image any more"):
        images = [row["image"] for row in index]
        write_array(tmp_path / "out" / "a.npy", images, folder, tmp_path / "kept")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("stem", "groups"),
    [
        ("Cat/Juno_000123_00000004", ("Juno", "Juno_000123")),
        ("Cat/Potter_Part_1_0012_03", ("Potter_Part_1", "Potter_Part_1_0012")),
        ("Cat/Sam_0138__0055", ("Sam", "Sam_0138")),
        ("Cat/Thirteen-0106_0087", ("Thirteen", "Thirteen_0106")),
        ("Cat/0001", ("Cat/0001", "Cat/0001")),
    ],
)
def test_groups_come_from_the_name(stem, groups):
    assert group_names(stem) == groups


def test_grey_palette_alpha_and_sixteen_bits_become_rgb(tmp_path):
    grey = np.arange(120, dtype=np.uint8).reshape(12, 10)
    variants = {
        "L": Image.fromarray(grey),
        "P": Image.fromarray(grey).convert("P"),
        "RGBA": Image.fromarray(grey).convert("RGBA"),
        "I;16": Image.fromarray(grey.astype(np.uint16) * 256),
    }
    for mode, image in variants.items():
        image.save(tmp_path / "x.png")
        upright, found = read_upright((tmp_path / "x.png").read_bytes())
        assert (found, upright.mode, upright.size) == (mode, "RGB", (10, 12))
        np.testing.assert_array_equal(np.asarray(upright), np.repeat(grey[..., None], 3, axis=2))


def test_exif_orientation_is_honoured(tmp_path):
    pixels = np.zeros((10, 12, 3), dtype=np.uint8)
    pixels[:, :6] = 255  # white on the left; turned by 90 degrees it is white on top
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "x.jpg", exif=exif, quality=95)
    found = np.asarray(upright_rgb(tmp_path / "x.jpg"))
    assert found.shape == (12, 10, 3)
    assert found[:4].mean() > 240 and found[-4:].mean() < 15


def jpeg(pixels, entries):
    """A JPEG with an EXIF block of raw entries: tag, type, count and the four bytes of a value."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=95)
    listed = b"".join(struct.pack(">HHI", *entry[:3]) + entry[3] for entry in entries)
    block = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, len(entries)) + listed + bytes(4)
    # A fraction that entries may point to lies behind them: -1/0.
    block += struct.pack(">ii", -1, 0)
    whole = b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block
    return stream.getvalue()[:2] + whole + stream.getvalue()[2:]


TURNED = (0x0112, 3, 1, b"\0\6\0\0")  # orientation 6
ODD_FIELDS = {
    "a fraction without a denominator": (0x011A, 5, 1, struct.pack(">I", 8 + 2 + 24 + 4)),
    "a signed fraction": (0x011A, 10, 1, struct.pack(">I", 8 + 2 + 24 + 4)),
    "a negative number": (0x0128, 8, 1, b"\xff\xff\0\0"),
    "a number without a place": (0x0111, 4, 100, b"\xff\xff\xff\xff"),
    "an unknown type": (0x0128, 99, 1, b"\0\1\0\0"),
    "a text that ends nowhere": (0x010F, 2, 1000, b"\0\0\0\x20"),
}


@pytest.mark.parametrize("field", ODD_FIELDS)
def test_no_other_field_of_the_exif_block_refuses_an_image_or_hides_its_orientation(field):
    pixels = np.zeros((10, 12, 3), dtype=np.uint8)
    pixels[:, :6] = 255
    entries = sorted([TURNED, ODD_FIELDS[field]])
    found = np.asarray(read_upright(jpeg(pixels, entries))[0])
    assert found.shape == (12, 10, 3)
    assert found[:4].mean() > 240 and found[-4:].mean() < 15


@pytest.mark.parametrize("value", [b"\0\0\0\0", b"\0\x09\0\0", b"\xff\xff\0\0"])
def test_an_orientation_that_is_none_turns_nothing(value):
    pixels = np.zeros((10, 12, 3), dtype=np.uint8)
    upright, _ = read_upright(jpeg(pixels, [(0x0112, 3, 1, value)]))
    assert upright.size == (12, 10)
    assert read_upright(jpeg(pixels, [(0x0112, 2, 4, b"abc\0")]))[0].size == (12, 10)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_as_pillow_turns_it(orientation):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    exif, stream = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(stream, "PNG", exif=exif)
    wanted = ImageOps.exif_transpose(Image.open(stream))
    np.testing.assert_array_equal(read_upright(stream.getvalue())[0], np.asarray(wanted))


@pytest.mark.parametrize(("width", "height"), [(8192, 6144), (9248, 6936)])
def test_photos_of_phones_are_read(width, height):
    stream = io.BytesIO()
    Image.new("L", (width, height)).save(stream, "PNG", compress_level=1)
    assert read_upright(stream.getvalue())[0].size == (width, height)


def test_other_sizes_are_padded_or_stretched():
    wide = Image.new("RGB", (10, 4), "white")
    fitted = np.asarray(resize_image(wide, (12, 10)))
    assert (fitted[:4] == 128).all() and (fitted[4:8] == 255).all() and (fitted[8:] == 128).all()
    stretched = np.asarray(resize_image(wide, (12, 10), "stretch"))
    assert stretched.shape == (12, 10, 3) and (stretched == 255).all()
    assert resize_image(wide, (4, 10)) is wide
    with pytest.raises(UserError, match=r"dataset\.resize must be fit or stretch"):
        resize_image(wide, (12, 10), "squeeze")


def test_audit_counts_and_finds_the_same_image_twice(folder):
    first = folder / "Cat" / "Film_000_0.png"
    (folder / "Dog" / "Copy_000_9.png").write_bytes(first.read_bytes())
    (folder / "Cat" / "Copy_000_8.png").write_bytes(
        (folder / "Cat" / "Film_001_2.png").read_bytes()
    )
    Image.new("L", (7, 7)).save(folder / "Dog" / "Small_000_1.png")
    index, bad = index_images(folder)
    rows = audit_images(index, bad)
    assert check_rows(rows, "images of class") == {"Cat": 6, "Dog": 7}
    assert check_rows(rows, "stored size") == {"10 x 12": 12, "7 x 7": 1}
    assert check_rows(rows, "same image, two labels") == {"Cat/Film_000_0.png": 2}
    assert check_rows(rows, "byte-identical") == {"Cat/Copy_000_8.png": 2}
    assert check_rows(rows, "movies") == {"": 3}


def test_files_that_are_no_images_by_their_name_are_audited(folder):
    (folder / "Cat" / "notes.txt").write_text("hello")
    index, bad = index_images(folder)
    rows = audit_images(index, bad, list_ignored(folder))
    assert check_rows(rows, "ignored file") == {"Cat/notes.txt": 1} and len(index) == 10


def broken_png(folder):
    whole = (folder / "Dog" / "Film_000_0.png").read_bytes()
    (folder / "Dog" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "Cat" / "text.jpg").write_text("no image at all")
    damaged = bytearray(whole)
    damaged[37:41] = b"\x00\x00\x00\x00"  # the name of the second chunk
    (folder / "Dog" / "damaged.png").write_bytes(bytes(damaged))


def test_broken_files_are_named(folder):
    broken_png(folder)
    with pytest.raises(
        UserError, match=r"(?s)3 file\(s\).*text\.jpg.*cut\.png.*on_bad_image: skip"
    ):
        index_images(folder)


def test_broken_files_are_skipped_on_request_and_audited(folder):
    broken_png(folder)
    index, bad = index_images(folder, "skip")
    assert [row["position"] for row in index] == list(range(10))
    skipped = check_rows(audit_images(index, bad), "skipped file")
    assert set(skipped) == {"Cat/text.jpg", "Dog/cut.png", "Dog/damaged.png"}


def test_too_few_good_images_are_refused_even_when_skipping(folder):
    for path in (folder / "Dog").iterdir():
        path.write_bytes(b"")
    with pytest.raises(UserError, match="class Dog has 0"):
        index_images(folder, "skip")


def test_unusable_folders(folder, tmp_path):
    with pytest.raises(UserError, match=r"dataset.path: .*nowhere is no folder"):
        list_images(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no class folders"):
        list_images(tmp_path / "empty")
    (tmp_path / "empty" / "Only").mkdir()
    with pytest.raises(UserError, match="one class, Only"):
        list_images(tmp_path / "empty")
    for path in list((folder / "Cat").iterdir())[:2]:
        path.unlink()
    with pytest.raises(UserError, match=r"Cat has 3 .*5 at least"):
        list_images(folder)
