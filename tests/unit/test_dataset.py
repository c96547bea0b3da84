import hashlib

import numpy as np
import pytest
from PIL import Image

from neuron_pruning import UserError
from neuron_pruning.dataset import (
    DatasetSettings,
    audit_images,
    group_names,
    list_ignored,
    list_images,
    prepare_images,
    read_image,
)

SETTINGS = DatasetSettings((12, 10))


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


def check_rows(rows, check):
    return {row["subject"]: row["count"] for row in rows if row["check"] == check}


def test_array_and_index_hold_every_image(folder, tmp_path):
    index, bad = prepare_images(folder, tmp_path / "a.npy", SETTINGS, threads=2)
    array = np.load(tmp_path / "a.npy")
    assert array.shape == (10, 12, 10, 3) and array.dtype == np.uint8 and not bad
    for record in index:
        path = folder / record.image
        np.testing.assert_array_equal(array[record.position], np.asarray(Image.open(path)))
        assert record.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert record.label == path.parent.name
    assert [r.image for r in index] == sorted(r.image for r in index)
    assert (index[0].movie, index[0].clip) == ("Film", "Film_000")


@pytest.mark.parametrize(
    ("stem", "groups"),
    [
        ("Cat/Juno_000123_00000004", ("Juno", "Juno_000123")),
        ("Cat/Potter_Part_1_0012_03", ("Potter_Part_1", "Potter_Part_1_0012")),
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
        pixels, found, width, height = read_image(tmp_path / "x.png", SETTINGS)
        assert (found, width, height, pixels.shape) == (mode, 10, 12, (12, 10, 3))
        np.testing.assert_array_equal(pixels, np.repeat(grey[..., None], 3, axis=2))


def test_exif_orientation_is_honoured(tmp_path):
    pixels = np.zeros((10, 12, 3), dtype=np.uint8)
    pixels[:, :6] = 255  # white on the left; turned by 90 degrees it is white on top
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "x.jpg", exif=exif, quality=95)
    found, _, width, height = read_image(tmp_path / "x.jpg", SETTINGS)
    assert (width, height, found.shape) == (10, 12, (12, 10, 3))
    assert found[:4].mean() > 240 and found[-4:].mean() < 15


def test_other_sizes_are_padded_or_stretched(tmp_path):
    Image.new("RGB", (10, 4), "white").save(tmp_path / "x.png")
    fitted = read_image(tmp_path / "x.png", SETTINGS)[0]
    assert (fitted[:4] == 128).all() and (fitted[4:8] == 255).all() and (fitted[8:] == 128).all()
    stretched = read_image(tmp_path / "x.png", DatasetSettings((12, 10), "stretch"))[0]
    assert (stretched == 255).all()


def test_audit_counts_and_finds_the_same_image_twice(folder, tmp_path):
    first = folder / "Cat" / "Film_000_0.png"
    (folder / "Dog" / "Copy_000_9.png").write_bytes(first.read_bytes())
    (folder / "Cat" / "Copy_000_8.png").write_bytes(
        (folder / "Cat" / "Film_001_2.png").read_bytes()
    )
    Image.new("L", (7, 7)).save(folder / "Dog" / "Small_000_1.png")
    index, bad = prepare_images(folder, tmp_path / "a.npy", SETTINGS)
    rows = audit_images(index, bad, SETTINGS)
    assert check_rows(rows, "images of class") == {"Cat": 6, "Dog": 7}
    assert check_rows(rows, "stored size") == {"10 x 12": 12, "7 x 7": 1}
    assert check_rows(rows, "resized") == {"10 x 12": 1}
    assert check_rows(rows, "same image, two labels") == {"Cat/Film_000_0.png": 2}
    assert check_rows(rows, "byte-identical") == {"Cat/Copy_000_8.png": 2}
    assert check_rows(rows, "movies") == {"": 3}


def test_files_that_are_no_images_by_their_name_are_audited(folder, tmp_path):
    (folder / "Cat" / "notes.txt").write_text("hello")
    index, bad = prepare_images(folder, tmp_path / "a.npy", SETTINGS)
    rows = audit_images(index, bad, SETTINGS, list_ignored(folder))
    assert check_rows(rows, "ignored file") == {"Cat/notes.txt": 1} and len(index) == 10


def broken_png(folder):
    whole = (folder / "Dog" / "Film_000_0.png").read_bytes()
    (folder / "Dog" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "Cat" / "text.jpg").write_text("no image at all")
    damaged = bytearray(whole)
    damaged[37:41] = b"\x00\x00\x00\x00"  # the name of the second chunk
    (folder / "Dog" / "damaged.png").write_bytes(bytes(damaged))


def test_broken_files_are_named_and_nothing_stays(folder, tmp_path):
    broken_png(folder)
    with pytest.raises(
        UserError, match=r"(?s)3 file\(s\).*text\.jpg.*cut\.png.*on_bad_image: skip"
    ):
        prepare_images(folder, tmp_path / "out" / "a.npy", SETTINGS)
    assert list((tmp_path / "out").iterdir()) == []


def test_broken_files_are_skipped_on_request_and_audited(folder, tmp_path):
    broken_png(folder)
    settings = DatasetSettings((12, 10), on_bad_image="skip")
    index, bad = prepare_images(folder, tmp_path / "a.npy", settings)
    assert np.load(tmp_path / "a.npy").shape[0] == len(index) == 10
    skipped = check_rows(audit_images(index, bad, settings), "skipped file")
    assert set(skipped) == {"Cat/text.jpg", "Dog/cut.png", "Dog/damaged.png"}


def test_too_few_good_images_are_refused_even_when_skipping(folder, tmp_path):
    for path in (folder / "Dog").iterdir():
        path.write_bytes(b"")
    settings = DatasetSettings((12, 10), on_bad_image="skip")
    with pytest.raises(UserError, match="class Dog has 0"):
        prepare_images(folder, tmp_path / "a.npy", settings)
    assert not (tmp_path / "a.npy").exists()


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
