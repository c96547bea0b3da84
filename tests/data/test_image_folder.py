"""Whatever lies in a folder of class folders is used, or is counted and named."""

import pytest
from PIL import Image

from index_images import index_dataset
from neuron_pruning import UserError
from neuron_pruning.core.parquet import read_rows
from neuron_pruning.data.image_folder import list_ignored, list_images, list_unused
from neuron_pruning.data.index import index_images


def put(folder, *places):
    """An image of two colours at each place."""
    for number, place in enumerate(places):
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.new("RGB", (8, 8), (number % 256, 0, 9))
        image.putpixel((0, 0), (200, 0, 0))
        image.save(path, "PNG")
    return folder


@pytest.fixture
def folder(tmp_path):
    """Two classes of six images."""
    return put(tmp_path / "data", *(f"{c}/{n}.png" for c in ("Cat", "Dog") for n in range(6)))


def audit_of(folder, tmp_path, on_bad_image="fail"):
    files = tmp_path / "index.parquet", tmp_path / "audit.parquet"
    index_dataset(*files, folder, on_bad_image, tmp_path / "kept")
    index, rows = map(read_rows, files)
    return index, {(row["check"], row["subject"]): row["count"] for row in rows}


def misplace(folder, tmp_path):
    """Images in deeper folders, beside the class folders and behind links."""
    put(folder, "Cat/day2/a.png", "Cat/day2/b.JPG", "Cat/day2/night/c.png", "loose.png")
    (folder / "Emu").symlink_to(tmp_path / "gone")
    put(tmp_path / "elsewhere", "x.png")
    (folder / "Dog" / "more").symlink_to(tmp_path / "elsewhere")


def test_what_is_not_used_is_counted_and_named_in_the_audit_and_on_the_terminal(
    folder, tmp_path, capsys
):
    misplace(folder, tmp_path)
    index, audit = audit_of(folder, tmp_path)
    places = {"Cat/day2": 2, "Cat/day2/night": 1, "loose.png": 1, "Emu": 0, "Dog/more": 0}
    assert {s: n for (check, s), n in audit.items() if check == "not used"} == places
    assert len(index) == 12
    (line,) = capsys.readouterr().err.splitlines()
    assert "4 images are not used: Emu (0: a link that leads to no folder" in line
    assert "loose.png (1: beside the class folders" in line and " and 2 more" in line


def test_every_image_of_a_folder_is_in_the_index_or_in_the_audit(folder, tmp_path):
    misplace(folder, tmp_path)
    (folder / "Dog" / "bad.png").write_text("no image")
    (folder / "Dog" / "scan.tiff").write_text("not read")
    index, audit = audit_of(folder, tmp_path, "skip")
    left_out = sum(
        n
        for (check, _), n in audit.items()
        if check in ("not used", "ignored file", "skipped file")
    )
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(index) + left_out == len(files)


def test_other_formats_and_skipped_files_are_told_on_the_terminal(folder, tmp_path, capsys):
    (folder / "Dog" / "bad.png").write_text("no image")
    (folder / "Dog" / "scan.tiff").write_text("not read")
    (folder / "Dog" / ".DS_Store").write_text("hidden")
    audit_of(folder, tmp_path, "skip")
    skipped, ignored = capsys.readouterr().err.splitlines()
    assert "1 files are no readable images and left out: Dog/bad.png (cannot identify" in skipped
    assert "1 files are neither PNG nor JPEG by their names: Dog/scan.tiff; see" in ignored


def test_a_folder_in_which_all_is_used_tells_nothing(folder, tmp_path, capsys):
    (folder / ".DS_Store").write_text("hidden")
    put(folder, ".ipynb_checkpoints/a.png")
    _, audit = audit_of(folder, tmp_path)
    assert capsys.readouterr().err == "" and list_unused(folder) == []
    assert not {check for check, _ in audit} & {"not used", "one plain colour", "skipped file"}


def test_companion_files_of_macos_are_left_out(folder, tmp_path, capsys):
    for number in range(6):
        (folder / "Cat" / f"._{number}.png").write_bytes(b"\x00\x05\x16\x07")
    index, audit = audit_of(folder, tmp_path)
    assert len(index) == 12 and capsys.readouterr().err == ""
    assert audit["ignored file", "Cat/._*"] == 6
    assert list_ignored(folder) == [("Cat/._*", "companion files of macOS, no images", 6)]


def test_no_address_in_memory_is_in_a_message(folder, tmp_path):
    (folder / "Cat" / "text.png").write_text("no image")
    with pytest.raises(UserError) as error:
        index_images(folder)
    assert "cannot identify image file" in str(error.value) and "0x" not in str(error.value)


def test_folders_of_parts_are_no_classes(tmp_path):
    names = [f"{p}/{c}/{n}.png" for p in ("train", "val") for c in ("a", "b") for n in range(6)]
    folder = put(tmp_path, *names)
    with pytest.raises(UserError) as error:
        list_images(folder)
    told = str(error.value)
    assert (
        "class train has 0 readable" in told and "holds folders of images, such as train/a" in told
    )
    assert f"name {folder / 'train'} instead" in told and "protocol list" in told


def test_no_message_tells_to_delete_data(folder):
    (folder / "Emu").mkdir()
    with pytest.raises(UserError, match=r"Emu has 0 readable.*move this folder") as error:
        list_images(folder)
    assert "remove" not in str(error.value) and "delete" not in str(error.value)
