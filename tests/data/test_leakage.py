import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_splits import LEAKAGE_SCHEMA, audit_splits
from neuron_pruning import UserError
from neuron_pruning.core.parquet import read_rows, write_rows
from neuron_pruning.data.leakage import audit_split, shared_sets
from neuron_pruning.data.split_file import SPLIT_SCHEMA
from neuron_pruning.data.splits import SplitSettings, split_index

FAR = ["0000000000000000", "ffffffff00000000", "00000000ffffffff", "0f0f0f0f0f0f0f0f",
       "f0f0f0f0f0f0f0f0", "3333cccc3333cccc", "ffffffffffffffff", "5555aaaa5555aaaa"]  # fmt: skip
MOVIES = "PPPPQQQR"
CLIPS = ["P1", "P1", "P2", "P2", "Q1", "Q1", "Q2", "R1"]
KEYS = {"seed": 0, "split": "mine", "protocol": "random"}


def make_index(hashes=None, digests=None):
    """Eight images of three movies and five clips, in two classes by turns."""
    return [
        {"position": n, "image": f"{n}.png", "label": "ab"[n % 2], "movie": MOVIES[n],
         "clip": CLIPS[n], "sha256": (digests or range(8))[n],
         "perceptual_hash": (hashes or FAR)[n]}
        for n in range(8)
    ]  # fmt: skip


def make_rows(parts, groups=None, **keys):
    return [
        {**KEYS, "position": n, "image": f"{n}.png", "label": "ab"[n % 2],
         "group": groups[n] if groups else f"{n}.png",
         "part": {"t": "train", "v": "validation", "T": "test"}[part], **keys}
        for n, part in enumerate(parts)
    ]  # fmt: skip


def audit(parts, index=None, **more):
    rows = audit_split(make_rows(parts, **more), shared_sets(index or make_index()))
    return {row["check"] + row["subject"]: row for row in rows}


def figures(row):
    return row["sets"], row["leaking_sets"], row["validation_images"], row["test_images"]


def test_frames_of_a_clip_and_movie_on_both_sides():
    found = audit("tTttTTtT")
    assert figures(found["clip"]) == (3, 1, 0, 1)  # P1 alone; Q1 is all test, Q2 and R1 are one
    assert figures(found["movie"]) == (2, 2, 0, 3)
    assert figures(found["byte-identical"]) == figures(found["near-identical"]) == (0, 0, 0, 0)
    assert figures(found["group"]) == (0, 0, 0, 0)


def test_validation_counts_on_both_sides():
    """Validation against training, and test against either."""
    found = audit("tvvTTvtt")
    assert figures(found["clip"]) == (3, 3, 1, 2)
    assert figures(found["movie"]) == (2, 2, 3, 2)
    assert [found["clip"][f"{part}_total"] for part in ("train", "validation", "test")] == [3, 3, 2]


def test_the_same_picture_on_both_sides():
    hashes = [FAR[0], "00000000000000ff", *FAR[2:7], "00000000000001ff"]
    found = audit("tTtttttT", make_index(hashes, [0, 1, 2, 3, 2, 5, 6, 7]))
    assert figures(found["byte-identical"]) == (1, 0, 0, 0)
    assert figures(found["near-identical"]) == (1, 1, 0, 2)  # 0 - 1 - 7, by steps of 8 and 1
    found = audit("tttTtttt", make_index(digests=[0, 1, 2, 2, 4, 5, 6, 7]))
    assert figures(found["byte-identical"]) == (1, 1, 0, 1)


def test_groups_are_those_of_the_split():
    assert figures(audit("tTtttttt", groups="AABBCDEF")["group"]) == (2, 1, 0, 1)


def test_classes_of_the_parts():
    found = audit("tttTvvTT")
    for name, counts in (("a", (2, 1, 1)), ("b", (1, 1, 2))):
        row = found[f"class{name}"]
        assert (row["train_images"], row["validation_images"], row["test_images"]) == counts
        assert row["sets"] is None and row["leaking_sets"] is None


def write_index(path, index):
    table = pa.Table.from_pylist([{**row, "sha256": str(row["sha256"])} for row in index])
    pq.write_table(table, path)
    return path


def write_split(path, rows):
    write_rows(path, rows, SPLIT_SCHEMA)
    return path


def test_the_script_writes_all_splits(tmp_path):
    index = write_index(tmp_path / "index.parquet", make_index())
    files = [
        write_split(tmp_path / f"{n}.parquet", make_rows(parts, seed=n))
        for n, parts in enumerate(("tTttTTtT", "ttttTTTT"))
    ]
    mirrored = audit_splits(index, files, tmp_path / "leakage.parquet")
    rows = read_rows(tmp_path / "leakage.parquet")
    assert list(rows[0]) == LEAKAGE_SCHEMA.names and len(rows) == 2 * (5 + 2)
    clips = [row for row in rows if row["check"] == "clip"]
    assert [(row["seed"], row["leaking_sets"]) for row in clips] == [(0, 1), (1, 0)]
    assert mirrored.metrics["mine_0_clip_leaking_sets"] == 1
    assert len(mirrored.metrics) == 10


@pytest.mark.parametrize(
    ("protocol", "parts", "groups", "broken"),
    [
        ("clip", "tTttTTTT", MOVIES, "1 of 3 clip sets"),
        ("movie", "ttTTTTTT", CLIPS, "1 of 2 movie sets"),
        ("group", "ttTTTTTT", MOVIES, "1 of 2 group sets"),
        ("clip", "ttTTTTTT", MOVIES, "1 of 2 group sets"),
    ],
)
def test_a_broken_promise_is_an_error(tmp_path, protocol, parts, groups, broken):
    index = write_index(tmp_path / "index.parquet", make_index())
    rows = make_rows(parts, groups, protocol=protocol)
    file = write_split(tmp_path / "split.parquet", rows)
    with pytest.raises(UserError, match=f"split mine, seed 0: {broken} lie in two parts"):
        audit_splits(index, [file], tmp_path / "leakage.parquet")
    assert not (tmp_path / "leakage.parquet").exists()


@pytest.mark.parametrize("protocol", ["clip", "movie", "group"])
@pytest.mark.parametrize("tie", ["byte", "near"])
def test_a_picture_in_two_parts_breaks_the_promise(tmp_path, protocol, tie):
    same = (
        {"digests": [0, 1, 2, 3, 4, 5, 6, 0]} if tie == "byte" else {"hashes": [*FAR[:7], FAR[0]]}
    )
    index = write_index(tmp_path / "index.parquet", make_index(**same))
    file = write_split(tmp_path / "s.parquet", make_rows("ttttTTTT", MOVIES, protocol=protocol))
    with pytest.raises(UserError, match=f"1 of 1 {tie}-identical sets"):
        audit_splits(index, [file], tmp_path / "leakage.parquet")


@given(
    st.sampled_from(["clip", "movie"]),
    st.integers(0, 50),
    st.sampled_from([0.0, 0.4]),
    st.lists(st.integers(0, 59), min_size=60, max_size=60),
    st.sampled_from([None, 2]),
)
def test_splits_by_group_keep_what_they_promise(protocol, seed, validation, duplicates, folds):
    """Ten movies of six images in three clips; some images are others' duplicates."""
    index = [
        {"position": n, "image": f"{n}.png", "label": "ab"[n % 2], "movie": f"M{n // 6}",
         "clip": f"C{n // 2}", "sha256": str(duplicates[n]) if n % 7 == 0 else f"own{n}",
         "perceptual_hash": f"{(n * 0x9E3779B97F4A7C15) % 2**64:016x}"}
        for n in range(60)
    ]  # fmt: skip
    settings = SplitSettings(protocol, 0.4, validation, folds)
    try:
        rows = split_index(index, settings, seed)
    except UserError:  # duplicates may tie all movies together
        return
    found = audit_split([{**row, **KEYS} for row in rows], shared_sets(index))
    kept = {protocol, "group", "byte-identical", "near-identical"}
    assert [row["leaking_sets"] for row in found if row["check"] in kept] == [0, 0, 0, 0]
