"""A damaged file is found before it is used, named, and set aside."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_pruning import UserError
from neuron_pruning.core.checksums import (
    check_files,
    digest_of,
    file_digest,
    note_checksums,
    read_notes,
)


@pytest.fixture
def noted(tmp_path):
    files = [tmp_path / "runs" / name for name in ("a.parquet", "b.parquet")]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(file.name.encode() * 100)
    note_checksums(files, tmp_path)
    return files


def test_whole_files_pass(noted, tmp_path):
    check_files(noted, tmp_path)


@given(place=st.integers(0, 899), bit=st.integers(0, 7))
def test_every_flipped_bit_is_found(tmp_path_factory, place, bit):
    root = tmp_path_factory.mktemp("results")
    file = root / "a"
    file.write_bytes(bytes(900))
    note_checksums([file], root)
    content = bytearray(900)
    content[place] ^= 1 << bit
    file.write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        check_files([file], root)


@pytest.mark.parametrize("content", [b"", b"a.parquet"])
def test_a_truncated_file_is_named_and_kept_under_another_name(noted, tmp_path, content):
    noted[0].write_bytes(content)
    with pytest.raises(UserError, match=r"a\.parquet \(kept as a\.parquet\.damaged\)"):
        check_files(noted, tmp_path)
    assert noted[0].read_bytes() == content, "Snakemake makes again what it sees"
    noted[0].unlink()
    assert noted[0].with_name("a.parquet.damaged").read_bytes() == content
    assert not noted[1].with_name("b.parquet.damaged").exists()


def test_all_damaged_files_are_named_at_once(noted, tmp_path):
    for file in noted:
        file.write_bytes(b"x")
    with pytest.raises(UserError, match=r"a\.parquet .*b\.parquet"):
        check_files(noted, tmp_path)


def test_files_of_which_nothing_is_known_pass(noted, tmp_path):
    (tmp_path / "new").write_text("new")
    (tmp_path / ".checksums" / "runs" / "a.parquet.json").write_text("")  # a loss of power
    noted[0].write_bytes(b"x")
    check_files([tmp_path / "new", noted[0], tmp_path / "gone"], tmp_path)
    check_files([noted[0]], tmp_path / "elsewhere")


def test_a_file_that_is_made_again_is_whole_again(noted, tmp_path):
    noted[0].write_bytes(b"other")
    note_checksums([noted[0]], tmp_path)
    check_files(noted, tmp_path)


def test_what_decides_an_outcome(noted):
    def digest(paths, settings):
        inputs = {str(path): file_digest(path) for path in paths}
        return digest_of({"inputs": inputs, "settings": settings})

    known = digest(noted, {"a": 1})
    assert digest(noted, {"a": 1}) == known
    assert digest(noted, {"a": 2}) != known
    assert digest(noted[:1], {"a": 1}) != known
    noted[1].write_bytes(b"x")
    assert digest(noted, {"a": 1}) != known


def test_notes_say_what_made_a_file(noted, tmp_path):
    note_checksums(noted[:1], tmp_path, {"in": "digest"}, {"rule": "train"})
    notes = dict(read_notes(tmp_path))
    assert set(notes) == set(noted)
    assert notes[noted[0]].inputs == {"in": "digest"} and notes[noted[0]].about == {"rule": "train"}
    assert notes[noted[1]].checksum == file_digest(noted[1])


def test_files_outside_and_missing_ones_are_not_noted(tmp_path):
    (tmp_path / "user.csv").write_text("one")
    note_checksums([tmp_path / "user.csv", tmp_path / "results" / "gone"], tmp_path / "results")
    assert list(read_notes(tmp_path / "results")) == []
