"""Whole or absent: files, records, checkpoints."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from neuron_pruning import UserError, load_network, save_network
from neuron_pruning.core.array_store import reserve_array
from neuron_pruning.core.files import atomic_path, read_json, write_text
from neuron_pruning.core.parquet import column, read_rows, schema, write_rows
from neuron_pruning.models.checkpoints import check_belongs

SCRIPTS = Path(__file__).parents[2] / "scripts"
TABLE = schema(column("loss", pa.float64(), "mean loss", "nats"), run=False)


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    target = tmp_path / "x.txt"
    write_text(target, "old")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]


FULL = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, {scripts!r})
from neuron_pruning import build_network, save_network, UserError
from neuron_pruning.core.array_store import reserve_array
from neuron_pruning.core.files import atomic_path, write_text
network = build_network("vgg", (128, 128), widths=[64, 3])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
def array():
    reserve_array(Path("out/a.npy"), (10, 100, 100, 3))
def activations():
    import numpy as np
    from safetensors.numpy import save_file
    with atomic_path(Path("out/s.safetensors")) as temporary:
        save_file({{"fc1": np.zeros((100, 100))}}, temporary)
for write in (lambda: write_text(Path("out/t.txt"), "x" * 50_000),
              lambda: save_network(network, Path("out/n.safetensors"), {{}}), array, activations):
    try:
        write()
    except UserError as error:
        print(error)
"""


def test_a_full_disk_is_reported_and_leaves_no_half_file(tmp_path):
    """A limit on the file size stands in for a disk that fills while an output is written."""
    code = FULL.format(scripts=str(SCRIPTS))
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    lines = ran.stdout.splitlines()
    names = ["out/t.txt", "out/n.safetensors", "out/a.npy", "out/s.safetensors"]
    assert [line.split(":")[0] for line in lines] == names
    assert all("the disk is full" in line and "free some space" in line for line in lines)
    assert list((tmp_path / "out").iterdir()) == []


def test_the_space_of_an_array_is_claimed_before_it_is_filled(tmp_path):
    path = tmp_path / "a.npy"
    reserve_array(path, (30, 100, 100, 3))
    assert path.stat().st_blocks * 512 >= path.stat().st_size > 900_000
    assert np.load(path, mmap_mode="r").shape == (30, 100, 100, 3)


def test_records_carry_keys_types_units(tmp_path):
    path = tmp_path / "r.parquet"
    wanted = schema(column("loss", pa.float64(), "mean loss", "nats"))
    keys = {
        "experiment": "e", "split": "s", "crop": "none", "recipe": "r", "model": "vgg",
        "learning_rate": 0.0005, "batch_size": 64, "seed": 0,
    }  # fmt: skip
    write_rows(path, [{"loss": 1.5}, {"loss": None}], wanted, keys)
    assert read_rows(path) == [{**keys, "loss": 1.5}, {**keys, "loss": None}]
    field = pq.read_schema(path).field("loss")
    assert field.metadata == {b"description": b"mean loss", b"unit": b"nats"}
    assert pq.read_schema(path).field("learning_rate").type == pa.float64()


def test_records_of_another_shape_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"differ in \['accuracy', 'loss'\]"):
        write_rows(tmp_path / "r.parquet", [{"accuracy": 1.0}], TABLE)
    with pytest.raises(ValueError, match=r"differ in \['loss'\]"):
        write_rows(tmp_path / "r.parquet", [{"loss": 1.0}], TABLE, {"loss": 2.0})
    assert not (tmp_path / "r.parquet").exists()


def test_damaged_files_are_named(tmp_path):
    for name, read in (("r.parquet", read_rows), ("d.json", read_json)):
        (tmp_path / name).write_text("{broken")
        with pytest.raises(UserError, match=rf"{name}.*delete it and run again"):
            read(tmp_path / name)


def test_a_network_comes_back_the_same(small_network, tmp_path):
    save_network(small_network, tmp_path / "n.safetensors", {"seed": 3})
    loaded = load_network(tmp_path / "n.safetensors")
    assert loaded.architecture == small_network.architecture
    assert not loaded.training
    for name, tensor in small_network.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name])
    assert json.loads((tmp_path / "n.json").read_text())["provenance"] == {"seed": 3}


def test_checkpoints_that_do_not_fit(small_network, tmp_path):
    path = tmp_path / "n.safetensors"
    save_network(small_network, path, {"seed": 3, "model": "m"})
    check_belongs(path, small_network.architecture, {"seed": 3})
    with pytest.raises(UserError, match=r"does not belong to this config \(seed: 3 instead of 4\)"):
        check_belongs(path, small_network.architecture, {"seed": 4, "model": "m"})
    description = json.loads((tmp_path / "n.json").read_text())
    description["architecture"]["widths"] = [12, 11, 3]
    (tmp_path / "n.json").write_text(json.dumps(description))
    with pytest.raises(UserError, match=r"n\.safetensors does not hold what belongs there"):
        load_network(path)
    (tmp_path / "n.json").write_text("{}")
    with pytest.raises(UserError, match="describes no network"):
        load_network(path)
    with pytest.raises(UserError, match="does not exist"):
        load_network(tmp_path / "other.safetensors")


def test_a_truncated_checkpoint_is_named(small_network, tmp_path):
    path = tmp_path / "n.safetensors"
    save_network(small_network, path, {})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"n\.safetensors does not hold"):
        load_network(path)


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_files_have_the_modes_that_umask_asks_for(small_network, tmp_path, mask):
    """Also where a library writes private files, as safetensors does."""
    before = os.umask(mask)
    try:
        save_network(small_network, tmp_path / "n.safetensors", {})
        write_text(tmp_path / "t.txt", "text")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == dict.fromkeys(["n.safetensors", "n.json", "t.txt"], 0o666 & ~mask)
