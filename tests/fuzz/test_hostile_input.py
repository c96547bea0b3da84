"""Files from outside: whatever they hold, one clear error, and nothing half-written."""

import io
import os
import struct
import time
import tracemalloc
import zipfile
import zlib
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from index_images import index_dataset
from neuron_pruning import UserError
from neuron_pruning.baselines.feature_table import read_workbook
from neuron_pruning.core.files import LARGEST_FILE
from neuron_pruning.data.decoding import LARGEST_IMAGE
from neuron_pruning.data.image_lists import read_image_list
from neuron_pruning.data.index import index_images
from prepare_frames import prepare_frames
from tests.fuzz.targets import SHEET, SHEET_START, TARGETS, with_sheet, workbook

CASES = int(os.environ.get("HOSTILE_CASES", "150"))


@pytest.mark.parametrize("name", TARGETS)
def test_valid_files_are_read(name):
    for seed in TARGETS[name].seeds():
        TARGETS[name].read(seed)


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data())
@settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))
def test_damaged_files_are_an_error_at_most(name, data):
    """Valid files with bytes changed, cut out, doubled or cut off."""
    content = bytearray(data.draw(st.sampled_from(TARGETS[name].seeds())))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        stop = min(len(content), start + data.draw(st.integers(0, 8)))
        content[start:stop] = data.draw(
            st.one_of(
                st.binary(max_size=8),
                st.just(bytes(content[start:stop] * 2)),
                st.sampled_from([b"null", b"-1", b"1e999", b"[]", b"\xff\xff\xff\xff", b"\x00"]),
            )
        )
    TARGETS[name].read(bytes(content))


@pytest.mark.parametrize("name", TARGETS)
@given(content=st.binary(max_size=200))
@settings(max_examples=CASES, deadline=None)
def test_any_bytes_are_an_error_at_most(name, content):
    TARGETS[name].read(content)


def bomb(side):
    """PNG of a few kB that says it holds ``side`` x ``side`` pixels."""

    def chunk(kind, data):
        whole = kind + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    body = zlib.compress(bytes(1_000_000))
    end = chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + end


def folder_of_images(folder, labels=("Cat", "Dog"), names=tuple(f"{n}.png" for n in range(6))):
    for place, label in enumerate(labels):
        (folder / label).mkdir(parents=True)
        for number, name in enumerate(names):
            picture = Image.new("RGB", (8, 8), (number, place, 0))
            stream = io.BytesIO()
            picture.save(stream, "PNG")
            (folder / label / name).write_bytes(stream.getvalue())
    return folder


@pytest.mark.parametrize("side", [9_000, 30_000, 100_000])
def test_a_decompression_bomb_is_not_decoded(tmp_path, side):
    folder = folder_of_images(tmp_path)
    assert side**2 > LARGEST_IMAGE
    (folder / "Cat" / "bomb.png").write_bytes(bomb(side))
    with pytest.raises(UserError, match=r"bomb\.png: .*(pixels|exceeds limit)"):
        index_images(folder)
    _, bad = index_images(folder, "skip")
    assert [image.image for image in bad] == ["Cat/bomb.png"]


def test_a_spreadsheet_that_unpacks_to_gigabytes_is_not_read(tmp_path):
    path = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", bytes(30_000_000))
    assert path.stat().st_size < 1_000_000
    with pytest.raises(UserError, match="unpacks to"):
        read_workbook(path, ["A", "B"])


HUGE_SHEETS = {
    "row number": b'<row r="1048576"><c r="A1048576"><v>1</v></c></row>',
    "rows without numbers": b"<row/>" * 200_000,
    "last cell of all": b'<row r="2"><c r="XFD1048576"><v>1</v></c></row>',
    "many wide rows": b'<row><c r="XFD1"><v>1</v></c></row>' * 100_000,
}


@pytest.mark.parametrize("kind", HUGE_SHEETS)
def test_a_sheet_that_reaches_far_is_refused_before_its_cells_are_made(tmp_path, kind):
    path, name = tmp_path / "huge.xlsx", b'<dimension ref="A1:XFD1048576"/>'
    sheet = SHEET_START + name + b"<sheetData>" + HUGE_SHEETS[kind] + b"</sheetData></worksheet>"
    path.write_bytes(with_sheet(sheet))
    assert path.stat().st_size < 100_000
    before = time.process_time()
    with memory_below(100_000_000), pytest.raises(UserError, match="beyond row 100,000 or column"):
        read_workbook(path, ["A", "B"])
    assert time.process_time() - before < 20


def test_a_merged_range_and_a_claimed_size_make_no_cells(tmp_path):
    """Of a valid workbook that says it is as large as a workbook can be."""
    with zipfile.ZipFile(io.BytesIO(workbook())) as archive:
        sheet = archive.read(SHEET)
    assert b'<dimension ref="A1:L3"' in sheet
    sheet = sheet.replace(b"A1:L3", b"A1:XFD1048576")
    merged = b'</sheetData><mergeCells count="1"><mergeCell ref="A9:XFD1048576"/></mergeCells>'
    (tmp_path / "s.xlsx").write_bytes(with_sheet(sheet.replace(b"</sheetData>", merged)))
    with memory_below(100_000_000):
        table = read_workbook(tmp_path / "s.xlsx", ["A", "B"])
    assert table.rows == (2, 3) and table.features[1].tolist() == list(range(10))


@contextmanager
def memory_below(size):
    """The block's Python objects take less than ``size`` bytes at any time."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < size
    finally:
        tracemalloc.stop()


def test_a_list_of_images_is_bounded(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("image,part\nA/x.png," + "t" * 1001)
    with pytest.raises(UserError, match=r"s\.csv, line 2: part has 1,001 characters; shorten"):
        read_image_list(path, ["part"], ["A/x.png"])
    path.unlink()
    os.mkfifo(path)  # as /dev/zero, it would be read for ever
    with pytest.raises(UserError, match=r"s\.csv cannot be read \(no file"):
        read_image_list(path, ["part"], ["A/x.png"])
    path.unlink()
    path.touch()
    os.truncate(path, LARGEST_FILE + 1)
    with pytest.raises(UserError, match=r"s\.csv cannot be read \(200,000,001 bytes; 200"):
        read_image_list(path, ["part"], ["A/x.png"])


STRANGE = [
    "-rf.png", "--help.png", "a b.png", "it's \"quoted\".png", "new\nline.png", "tab\t.png",
    "Gesicht_ä_日本_🙂.png", "..png", "...png", "$(touch gone).png", "`id`;ls|cat.png",
    "{wildcard}.png", "%s%n.png", "a\\b.png", "*.png", "~.png", " .png",
]  # fmt: skip


def test_strange_names_are_names(tmp_path):
    names = tuple(STRANGE)
    folder = folder_of_images(tmp_path / "a 'b\" $c\n", ("-x y", "ü {a} | & \n"), names)
    index, bad = index_images(folder)
    assert bad == []
    assert {r["image"] for r in index} == {
        f"{c}/{n}" for c in ("-x y", "ü {a} | & \n") for n in names
    }


def test_a_name_that_is_no_text_is_reported(tmp_path):
    folder = folder_of_images(tmp_path)
    source = os.fsencode(folder / "Cat" / "0.png")
    os.rename(source, source.replace(b"0.png", b"\xff\xfe.png"))  # noqa: PTH104 - bytes
    with pytest.raises(UserError, match="not valid UTF-8; rename it"):
        index_images(folder)


def test_links_in_circles_pipes_folders_and_empty_files(tmp_path):
    folder = folder_of_images(tmp_path)
    cat = folder / "Cat"
    (cat / "loop.png").symlink_to(cat / "loop.png")
    (cat / "nowhere.png").symlink_to(tmp_path / "gone")
    (cat / "folder.png").mkdir()
    (cat / "empty.png").touch()
    os.mkfifo(cat / "pipe.png")
    (folder / "circle").symlink_to(folder)
    (folder / "endless").symlink_to(folder / "endless")
    (cat / "inside").symlink_to(folder)
    (cat / "linked.png").symlink_to(cat / "1.png")
    with pytest.raises(UserError, match="circle has 0 readable"):  # a class without images
        index_images(folder, "skip")
    (folder / "circle").unlink()
    index, bad = index_images(folder, "skip")
    names = ["empty", "folder", "loop", "nowhere", "pipe"]
    assert sorted(image.image for image in bad) == [f"Cat/{name}.png" for name in names]
    assert "Cat/linked.png" in {row["image"] for row in index}


def test_another_format_under_a_known_name_is_not_decoded(tmp_path):
    folder = folder_of_images(tmp_path)
    Image.new("RGB", (8, 8)).save(folder / "Cat" / "x.tiff")
    (folder / "Cat" / "x.tiff").rename(folder / "Cat" / "x.png")
    with pytest.raises(UserError, match=r"x\.png: cannot identify image file"):
        index_images(folder)


def prepare(folder, tmp_path):
    """The array of an index that was made before the folder changed."""
    array = tmp_path / "images.npy"
    prepare_frames(tmp_path / "i.parquet", array, folder, [8, 8], "fit", tmp_path / "kept")
    return array


def indexed(tmp_path):
    folder = folder_of_images(tmp_path / "data")
    index_dataset(tmp_path / "i.parquet", tmp_path / "a.parquet", folder, "fail", tmp_path / "k")
    return folder


@pytest.mark.parametrize("change", ["replaced", "deleted", "emptied", "a pipe"])
def test_an_image_that_changes_during_the_run_is_named(tmp_path, change):
    folder = indexed(tmp_path)
    victim = folder / "Dog" / "3.png"
    if change == "replaced":
        victim.write_bytes((folder / "Cat" / "0.png").read_bytes())
    elif change == "emptied":
        victim.write_bytes(b"")
    else:
        victim.unlink()
    if change == "a pipe":
        os.mkfifo(victim)
    with pytest.raises(UserError, match=r"Dog/3\.png (has changed|is no readable image any more)"):
        prepare(folder, tmp_path)
    assert not (tmp_path / "images.npy").exists()


def test_an_image_that_is_added_during_the_run_waits_for_the_next(tmp_path):
    folder = indexed(tmp_path)
    (folder / "Cat" / "new.png").write_bytes((folder / "Cat" / "0.png").read_bytes())
    assert len(np.load(prepare(folder, tmp_path))) == 12
