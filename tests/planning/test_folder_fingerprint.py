"""A job depends on what the images of a folder hold, and on nothing else about the folder."""

import os
import shutil
import time

import pytest
from PIL import Image

from planning import folder_fingerprint as module
from planning.folder_fingerprint import folder_fingerprint


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two classes of images, in a working directory of its own."""
    monkeypatch.chdir(tmp_path)
    for number in range(10):
        path = tmp_path / "data" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(path)
    return tmp_path / "data"


def system_files(folder):
    for name in (
        ".DS_Store",
        "Thumbs.db",
        "a/.DS_Store",
        "a/Thumbs.db",
        "a/notes.txt",
        "b/._1.png",
    ):
        (folder / name).write_text("x")
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints" / "1.png").write_text("x")
    return folder


def touched(folder):
    for path in folder.rglob("*"):
        os.utime(path, (1, 1))
    return folder


def copied(folder):
    return shutil.copytree(folder, folder.parent / "elsewhere" / "other name")


def linked(folder):
    (folder.parent / "link").symlink_to(folder)
    return folder.parent / "link"


@pytest.mark.parametrize("change", [system_files, touched, copied, linked])
def test_what_matters_to_no_image_changes_nothing(folder, change):
    before = folder_fingerprint(folder)
    assert folder_fingerprint(change(folder)) == before


def rewritten(folder):
    path = folder / "a" / "0.png"
    content, status = bytearray(path.read_bytes()), path.stat()
    content[-1] ^= 1
    path.write_bytes(content)  # of the same size
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


@pytest.mark.parametrize(
    "change",
    [
        rewritten,
        lambda folder: (folder / "a" / "0.png").rename(folder / "a" / "00.png"),
        lambda folder: (folder / "a" / "0.png").rename(folder / "b" / "0.png"),
        lambda folder: (folder / "a" / "0.png").unlink(),
        lambda folder: shutil.copy(folder / "a" / "0.png", folder / "a" / "x.JPG"),
    ],
    ids=["rewritten", "renamed", "of another class", "removed", "added"],
)
def test_every_change_of_the_images_counts(folder, change):
    before = folder_fingerprint(folder)
    change(folder)
    assert folder_fingerprint(folder) != before


def test_no_file_is_read_twice(folder, monkeypatch):
    read, original = [], module.file_digest
    monkeypatch.setattr(module, "file_digest", lambda p: (read.append(p.name), original(p))[1])
    first = folder_fingerprint(folder)
    assert len(read) == 10
    assert folder_fingerprint(folder) == first and len(read) == 10
    os.utime(folder / "b" / "1.png", (1, 1))
    assert folder_fingerprint(folder) == first and read[10:] == ["1.png"]


@pytest.mark.parametrize("content", ["", "[]", "no json"])
def test_a_damaged_cache_costs_its_reading_alone(folder, content):
    first = folder_fingerprint(folder)
    for place in module.READ.iterdir():
        place.write_text(content)
    assert folder_fingerprint(folder) == first


def test_what_cannot_be_read_is_not_waited_for(folder):
    (folder / "a" / "gone.png").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "a" / "pipe.png")
    (folder / "a" / "folder.png").mkdir()
    began = time.monotonic()
    assert folder_fingerprint(folder) and time.monotonic() - began < 5
    assert folder_fingerprint(folder.parent / "not there") == ""
