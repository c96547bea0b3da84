"""What reads files from outside, as functions of bytes: each returns, or says what is wrong.

``TARGETS`` are fed by hypothesis in tests/fuzz/test_hostile_input.py, and for longer by
``python -m tests.fuzz NAME`` with atheris.
"""

import io
import json
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import openpyxl
import torch
import yaml
from PIL import Image
from safetensors.torch import save
from torch import nn

from neuron_pruning import UserError, build_network, load_network, save_network
from neuron_pruning.baselines.feature_table import COLUMNS, read_workbook
from neuron_pruning.configuration.validation import check_config
from neuron_pruning.core.parquet import read_frame, read_rows, write_rows
from neuron_pruning.data.face_crops import GIVEN_COLUMNS, read_given_boxes
from neuron_pruning.data.index import INDEX_SCHEMA, upright_rgb
from neuron_pruning.data.split_file import read_split
from neuron_pruning.data.splits import SplitSettings, listed_parts, name_groups
from neuron_pruning.models.architectures import describe
from neuron_pruning.models.networks import Network
from neuron_pruning.models.pretrained import load_weights

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Target:
    """A reader, and files that it accepts."""

    read: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]


@contextmanager
def a_file(name: str, data: bytes) -> Iterator[Path]:
    """A file of these bytes; the block may leave no other beside it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        yield path
        assert {p.name for p in path.parent.iterdir()} == {name}


def read_config(data: bytes) -> None:
    """A config as Snakemake hands it over."""
    try:
        config = yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError):
        return  # Snakemake's own matter
    if not isinstance(config, dict):
        return
    try:
        check_config(config)
    except UserError:
        return


def config_seeds() -> list[bytes]:
    """The example configs."""
    examples = sorted((ROOT / "configs").glob("*.yaml"))
    return [path.read_bytes() for path in [ROOT / "config.yaml", *examples]]


def read_index(data: bytes) -> None:
    """The index, and a split, which both are Parquet files."""
    with a_file("index.parquet", data) as path:
        for reader in (
            lambda p: read_rows(p, ["image", "sha256", "width", "height"]),
            lambda p: read_frame([p]),
            read_split,
        ):
            try:
                reader(path)
            except UserError:
                continue


def index_seeds() -> list[bytes]:
    """An index of two images."""
    numbers = {"position": 0, "width": 3, "height": 4}
    texts = [field.name for field in INDEX_SCHEMA if field.name not in numbers]
    row = {**numbers, **dict.fromkeys(texts, "Happy/Film_1_2.png")}
    with tempfile.TemporaryDirectory() as folder:
        write_rows(Path(folder) / "i.parquet", [row, {**row, "position": 1}], INDEX_SCHEMA)
        return [(Path(folder) / "i.parquet").read_bytes()]


@cache
def workbook() -> bytes:
    """A workbook of two rows."""
    book = openpyxl.Workbook()
    book.active.append(list(COLUMNS))
    for label in (1, 2):
        book.active.append([f"Film_{label}", label, *range(10)])
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


SHEET = "xl/worksheets/sheet1.xml"
SHEET_START = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'


def with_sheet(sheet: bytes) -> bytes:
    """The workbook with another worksheet."""
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(workbook())) as old,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, sheet if name == SHEET else old.read(name))
    return stream.getvalue()


def read_xlsx(data: bytes) -> None:
    """The spreadsheet of published features; what begins with < replaces its worksheet."""
    if data[:1] == b"<":
        data = with_sheet(data)
    with a_file("s.xlsx", data) as path:
        try:
            read_workbook(path, ["Angry", "Happy"])
        except UserError:
            return


def xlsx_seeds() -> list[bytes]:
    """A workbook, and its worksheet."""
    with zipfile.ZipFile(io.BytesIO(workbook())) as archive:
        return [workbook(), archive.read(SHEET)]


def read_boxes(data: bytes) -> None:
    """A list of face boxes."""
    with a_file("b.csv", data) as path:
        try:
            read_given_boxes(path, {"A/x.png": (100, 80)})
        except UserError:
            return


def boxes_seeds() -> list[bytes]:
    """A list of one box."""
    return [f"{','.join(GIVEN_COLUMNS)}\nA/x.png,1,2,30,40.5\n".encode()]


LISTED = [
    {"image": f"{label}/{n}.png", "label": label, "sha256": f"{label}{n}"}
    for label in "AB"
    for n in range(2)
]


def read_splits(data: bytes) -> None:
    """A list of parts, and of groups."""
    with a_file("s.csv", data) as path:
        settings = SplitSettings(
            "group", file=str(path), column="person", near_duplicate_distance=None
        )
        for reader in (lambda: listed_parts(LISTED, path), lambda: name_groups(LISTED, settings)):
            try:
                found = reader()
            except UserError:
                continue
            assert len(found) == len(LISTED)


def splits_seeds() -> list[bytes]:
    """Lists of four images, with and without the mark of spreadsheets."""
    lines = [f"{row['image']},{('train', 'test')[n % 2]},p{n}" for n, row in enumerate(LISTED)]
    text = "\n".join(["image,part,person", *lines, ""])
    return [text.encode(), text.encode("utf-8-sig")]


def read_image(data: bytes) -> None:
    """An image of the folder, as it is and with the checksums of a PNG made right."""
    for content in (data, with_right_checksums(data)):
        with a_file("i.png", content) as path:
            try:
                upright = upright_rgb(path)
            except UserError:
                continue
        assert upright.mode == "RGB"


def with_right_checksums(data: bytes) -> bytes:
    """A PNG whose chunks a decoder does not refuse at once."""
    found, place = bytearray(data), 8
    while place + 12 <= len(found):
        length = int.from_bytes(found[place : place + 4], "big")
        stop = place + 8 + length
        if stop + 4 > len(found):
            break
        found[stop : stop + 4] = zlib.crc32(found[place + 4 : stop]).to_bytes(4, "big")
        place = stop + 4
    return bytes(found)


def image_seeds() -> list[bytes]:
    """Small images of every kind that is decoded."""
    seeds = []
    pixels = Image.fromarray(np.arange(5 * 6 * 3, dtype=np.uint8).reshape(5, 6, 3))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned
    for mode, kind in [("RGB", "PNG"), ("P", "PNG"), ("LA", "PNG"), ("I;16", "PNG"), ("1", "PNG"),
                       ("RGB", "JPEG"), ("L", "JPEG"), ("CMYK", "JPEG")]:  # fmt: skip
        stream = io.BytesIO()
        grey = Image.fromarray(np.arange(30, dtype=np.uint16).reshape(5, 6))
        (grey if mode == "I;16" else pixels.convert(mode)).save(stream, kind, exif=exif)
        seeds.append(stream.getvalue())
    return seeds


@cache
def checkpoint_files() -> tuple[bytes, bytes]:
    """Weights and description of a small network."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "n.safetensors"
        save_network(build_network("vgg8", (48, 48), [2, 2], [1] * 8), path, {"seed": 0})
        return path.read_bytes(), path.with_suffix(".json").read_bytes()


def read_checkpoint(data: bytes) -> None:
    """A network: the first byte says whether weights or description are replaced."""
    weights, description = checkpoint_files()
    if data[:1] == b"{":
        description = data
    else:
        weights = data
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "n.safetensors"
        path.write_bytes(weights)
        path.with_suffix(".json").write_bytes(description)
        try:
            load_network(path)
        except UserError:
            return


def checkpoint_seeds() -> list[bytes]:
    """Weights, and a description."""
    weights, description = checkpoint_files()
    return [weights, json.dumps(json.loads(description)).encode()]


@cache
def pretrained_network() -> Network:
    """A network of torchvision's, whose body is two small layers: weights of few bytes."""
    network = Network(describe("torchvision/squeezenet1_1", (64, 64), [2, 2]))
    network.features.body = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2))
    return network


def read_weights(data: bytes) -> None:
    """Weights from outside, as ``.pth`` and as safetensors: what is loaded is finite."""
    for name in ("w.pth", "w.safetensors"):
        with a_file(name, data) as path:
            try:
                load_weights(pretrained_network(), str(path))
            except UserError:
                continue
        values = pretrained_network().state_dict().values()
        assert all(value.isfinite().all() for value in values)


@cache
def weights_seeds() -> list[bytes]:
    """Weights in both formats of torch.save, and as safetensors."""
    tensors = pretrained_network().features.body.state_dict()
    archive, legacy = io.BytesIO(), io.BytesIO()
    torch.save({"model": tensors}, archive)
    torch.save(tensors, legacy, _use_new_zipfile_serialization=False)
    return [archive.getvalue(), legacy.getvalue(), save(tensors)]


TARGETS = {
    "config": Target(read_config, config_seeds),
    "index": Target(read_index, index_seeds),
    "xlsx": Target(read_xlsx, xlsx_seeds),
    "boxes": Target(read_boxes, boxes_seeds),
    "splits": Target(read_splits, splits_seeds),
    "image": Target(read_image, image_seeds),
    "checkpoint": Target(read_checkpoint, checkpoint_seeds),
    "weights": Target(read_weights, weights_seeds),
}
