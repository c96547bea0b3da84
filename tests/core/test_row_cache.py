"""What is known is not done again, what a kill or a damage took is, and rows are always right."""

import errno
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import neuron_pruning.core.array_store as array_store
import neuron_pruning.core.row_cache as row_cache
from neuron_pruning import UserError
from neuron_pruning.core.array_store import write_rows_of
from neuron_pruning.core.row_cache import rows_by_key
from neuron_pruning.data.index import index_images

SIZE = (2, 3)


class Killed(BaseException):
    """As abrupt as a signal."""


def pixels_of(key):
    return np.full((*SIZE, 3), int(key) % 251, dtype=np.uint8)


def write(folder, keys, stop_after=None):
    """How many rows were looked at; the array is right, or the job was killed."""
    looked = []

    def look(row):
        if stop_after is not None and len(looked) >= stop_after:
            raise Killed
        looked.append(row)
        return pixels_of(keys[row])

    array = folder / "a.npy"
    array.unlink(missing_ok=True)  # as Snakemake does
    worked = write_rows_of(array, keys, SIZE, look, folder / "kept")
    found = np.load(array)
    assert np.array_equal(found, np.stack([pixels_of(key) for key in keys]))
    assert worked == len(looked)
    return worked


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(array_store, "CHUNK", 4)
    monkeypatch.setattr(row_cache, "CHUNK", 4)


def test_only_new_rows_are_looked_at_wherever_they_stand(tmp_path):
    assert write(tmp_path, [str(n) for n in range(20)]) == 20
    assert write(tmp_path, [str(n) for n in range(20)]) == 0
    assert write(tmp_path, [str(n) for n in [99, *range(10), 98, *range(10, 20), 97]]) == 3
    assert write(tmp_path, ["98", "5"]) == 0
    assert write(tmp_path, ["98", "5", "1"]) == 1, "rows without an item are forgotten"


def test_a_killed_job_loses_the_chunk_it_was_at(tmp_path):
    keys = [str(n) for n in range(20)]
    with pytest.raises(Killed):
        write(tmp_path, keys, stop_after=14)
    assert not (tmp_path / "a.npy").exists()
    assert write(tmp_path, keys) == 20 - 12


def test_the_work_of_a_killed_job_is_not_mixed_into_another_array(tmp_path):
    with pytest.raises(Killed):
        write(tmp_path, [str(n) for n in range(20)], stop_after=14)
    assert write(tmp_path, [str(n) for n in range(100, 120)]) == 20


def test_the_second_name_takes_no_space(tmp_path):
    write(tmp_path, ["1", "2"])
    known = tmp_path / "kept" / "known.npy"
    assert known.stat().st_ino == (tmp_path / "a.npy").stat().st_ino
    assert {p.name for p in (tmp_path / "kept").iterdir()} == {"known.npy", "known.keys"}


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_damage_costs_work_but_never_a_row(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("store")
    keys = [str(n) for n in range(11)]
    stop = data.draw(st.one_of(st.none(), st.integers(0, 10)))
    with suppress(Killed):
        write(folder, keys, stop)
    files = sorted(p for p in (folder / "kept").iterdir() if p.stat().st_size)
    victim = data.draw(st.sampled_from(files)) if files else None
    if victim is not None:
        content = bytearray(victim.read_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            content = content[:place]
        else:
            content[place] ^= 1 << data.draw(st.integers(0, 7))
        victim.write_bytes(content)
    write(folder, data.draw(st.sampled_from([keys, [*keys, "50"]])))


@pytest.mark.parametrize("line", ['{"x": "1"}', '["only"]', "7", '{"1": 2}', "[[], 1]"])
@pytest.mark.parametrize("name", ["partial.keys", "known.keys"])
def test_lines_of_another_kind_are_not_believed(tmp_path, name, line):
    keys = [str(n) for n in range(11)]
    with suppress(Killed):
        write(tmp_path, keys, 9 if name == "partial.keys" else None)
    file = tmp_path / "kept" / name
    file.write_text(file.read_text() + "\n" + line)
    write(tmp_path, keys)


def test_a_full_disk_is_reported_before_the_work(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(array_store.os, "posix_fallocate", full)
    with pytest.raises(UserError, match="the disk is full"):
        write(tmp_path, ["1"], stop_after=0)
    assert list((tmp_path / "kept").iterdir()) == []


def test_links_are_not_needed(tmp_path, monkeypatch):
    def no_links(*_):
        raise OSError(errno.EPERM, "not here")

    monkeypatch.setattr(array_store.os, "link", no_links)
    assert write(tmp_path, ["1", "2"]) == 2
    assert write(tmp_path, ["1", "2"]) == 2


def find(folder, names, fail_at=None):
    asked = []

    def work(name):
        if name == fail_at:
            raise Killed
        asked.append(name)
        return None if name.startswith("bad") else {"length": len(name), "name": name}

    found = list(rows_by_key({n: n for n in names}, work, folder))
    assert [key for key, _ in found] == list(names)
    for key, row in found:
        wanted = None if key.startswith("bad") else {"length": len(key), "name": key}
        assert row == wanted
    return asked


def test_known_rows_are_not_worked_out_again_but_bad_ones_are(tmp_path):
    names = [f"n{i}" for i in range(10)]
    assert find(tmp_path, names) == names
    assert find(tmp_path, [*names, "x", "bad"]) == ["x", "bad"]
    assert find(tmp_path, ["bad", *names]) == ["bad"]
    assert find(tmp_path, ["x", "n1"]) == ["x"]
    assert len(list(tmp_path.iterdir())) == 1


def test_rows_of_finished_chunks_survive_a_kill(tmp_path):
    names = [f"n{i}" for i in range(10)]
    with pytest.raises(Killed):
        find(tmp_path, names, fail_at="n9")
    assert find(tmp_path, names) == ["n8", "n9"]


def test_a_damaged_row_is_not_read(tmp_path, caplog):
    find(tmp_path, ["a", "bb"])
    (file,) = tmp_path.iterdir()
    content = bytearray(file.read_bytes())
    content[len(content) // 4] ^= 1
    file.write_bytes(content)
    asked = find(tmp_path, ["a", "bb"])
    assert len(asked) == 1, "a damaged line costs its own row alone"
    assert "damaged" in caplog.text


def test_the_index_decodes_only_what_is_new(tmp_path, monkeypatch):
    import neuron_pruning.data.index as dataset

    for label in "ab":
        (tmp_path / "data" / label).mkdir(parents=True)
        for n in range(6):
            Image.new("RGB", (8, 8), (n, 0, ord(label))).save(
                tmp_path / "data" / label / f"{n}.png"
            )
    decoded = []
    original = dataset._look_at
    monkeypatch.setattr(dataset, "_look_at", lambda p: (decoded.append(p.name), original(p))[1])
    kept = tmp_path / "kept"
    first, _ = index_images(tmp_path / "data", kept=kept)
    assert len(decoded) == 12
    Image.new("RGB", (8, 8), (99, 0, 0)).save(tmp_path / "data" / "a" / "3b.png")
    Image.new("RGB", (8, 9), (98, 0, 0)).save(tmp_path / "data" / "b" / "2.png")
    second, _ = index_images(tmp_path / "data", kept=kept)
    assert decoded[12:] == ["3b.png", "2.png"]
    assert [r["position"] for r in second] == list(range(13))
    assert second == index_images(tmp_path / "data")[0]
    assert [r["image"] for r in first] == [r["image"] for r in second if r["image"] != "a/3b.png"]
    assert isinstance(kept, Path)
