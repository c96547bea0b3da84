from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_pruning import UserError
from neuron_pruning.core.parquet import read_rows, write_rows
from neuron_pruning.core.seeds import derive_seed
from neuron_pruning.data import splits
from neuron_pruning.data.index import group_names
from neuron_pruning.data.split_file import SPLIT_SCHEMA, Split, read_split
from neuron_pruning.data.splits import (
    SplitSettings,
    divide_images,
    read_assignments,
    split_index,
)
from split_dataset import split_dataset

LABELS = ["a"] * 30 + ["b"] * 70
GROUPS = [f"g{n * 37 % 100 // 7}" for n in range(100)]
protocols = st.sampled_from(["random", "stratified", "clip", "movie"])
grouped = st.sampled_from(["clip", "movie", "group"])
seeds = st.integers(0, 1000)


def settings_of(protocol, **more):
    files = {"file": "groups.csv", "column": "person"} if protocol == "group" else {}
    return SplitSettings(protocol, **files, **more)


def make_index(classes="ab", movies=5, clips=2, frames=3):
    """Index rows of every class in every movie; every image looks different."""
    names = [
        (label, f"M{movie}", f"M{movie}_{label}{clip}", frame)
        for label in classes
        for movie in range(movies)
        for clip in range(clips)
        for frame in range(frames)
    ]
    rng = np.random.default_rng(0)
    return [
        {"position": n, "image": f"{label}/{clip}_{frame}.png", "label": label, "movie": movie,
         "clip": clip, "sha256": f"sha{n}", "perceptual_hash": f"{int(rng.integers(2**63)):016x}"}
        for n, (label, movie, clip, frame) in enumerate(names)
    ]  # fmt: skip


def parts_of(groups, parts):
    found = defaultdict(set)
    for group, part in zip(groups, parts, strict=True):
        found[group].add(str(part))
    return found


@given(protocols, seeds)
def test_a_fifth_is_for_testing_and_seeds_repeat(protocol, seed):
    settings = SplitSettings(protocol, 0.2)
    test = divide_images(LABELS, GROUPS, settings, seed) == "test"
    assert np.array_equal(test, divide_images(LABELS, GROUPS, settings, seed) == "test")
    if protocol in ("random", "stratified"):
        assert test.sum() == 20
    else:
        assert 13 < test.sum() < 27  # within a group of 7


@given(grouped, seeds, st.sampled_from([None, 2, 4]), st.sampled_from([0.0, 0.3]))
def test_every_group_is_in_one_part(protocol, seed, folds, validation):
    settings = settings_of(protocol, folds=folds, validation_fraction=validation)
    parts = divide_images(LABELS, GROUPS, settings, seed)
    assert all(len(found) == 1 for found in parts_of(GROUPS, parts).values())


@given(seeds)
def test_stratified_keeps_the_shares(seed):
    settings = SplitSettings("stratified", 0.2, validation_fraction=0.25)
    parts = divide_images(LABELS, GROUPS, settings, seed)
    names = np.asarray(LABELS)
    assert Counter(names[parts == "test"]) == {"a": 6, "b": 14}
    assert Counter(names[parts == "validation"]) == {"a": 6, "b": 14}


@given(seeds)
def test_random_is_the_first_fifth_of_one_shuffle(seed):
    """Finished experiments hang on this very draw."""
    order = np.random.default_rng(derive_seed(seed, "split")).permutation(100)
    parts = divide_images(LABELS, GROUPS, SplitSettings("random"), seed)
    assert sorted(order[:20]) == np.flatnonzero(parts == "test").tolist()
    assert set(parts) == {"train", "test"}


@given(protocols, seeds, st.sampled_from([None, 2, 5]))
def test_validation_takes_its_share_of_training_and_leaves_the_test_part(protocol, seed, folds):
    plain = settings_of(protocol, folds=folds)
    selecting = settings_of(protocol, folds=folds, validation_fraction=0.25)
    before = divide_images(LABELS, GROUPS, plain, seed)
    after = divide_images(LABELS, GROUPS, selecting, seed)
    assert np.array_equal(before == "test", after == "test")
    rest = (before != "test").sum()
    most = 1 if protocol in ("random", "stratified") else 8
    assert rest * 0.25 - 8 < (after == "validation").sum() <= rest * 0.25 + most


@pytest.mark.parametrize("fraction", [0.2, 0.5])
def test_images_of_large_and_small_groups_are_tested_equally_often(fraction):
    """Groups that are taken only where they fit would test small ones several times as often."""
    sizes = [54, 41, 39, 30, 23, 18, 18, 10, 5, 3, 2, 1, 1, 1]
    groups = [f"g{n}" for n, size in enumerate(sizes) for _ in range(size)]
    settings, draws = SplitSettings("movie", fraction), 2500
    tested = [
        divide_images(["x"] * len(groups), groups, settings, s) == "test" for s in range(draws)
    ]
    often = np.mean(tested, axis=0)
    assert np.abs(often - fraction).max() < 4.5 * np.sqrt(fraction * (1 - fraction) / draws)
    assert np.mean([t.sum() for t in tested]) == pytest.approx(fraction * len(groups), rel=0.03)
    assert max(abs(t.sum() - fraction * len(groups)) for t in tested) < 54 + 1


def test_seeds_differ():
    one, other = (divide_images(LABELS, GROUPS, SplitSettings(), seed) for seed in (0, 1))
    assert not np.array_equal(one, other)


def test_validation_has_a_stream_of_its_own():
    halves = SplitSettings(test_fraction=0.5, validation_fraction=0.5)
    parts = divide_images(LABELS, LABELS, halves, 0)
    chosen = parts[parts != "test"] == "validation"
    other = divide_images(LABELS[:50], LABELS[:50], SplitSettings(test_fraction=0.5), 0)
    assert not np.array_equal(chosen, other == "test")


def test_the_papers_split_of_675_images():
    parts = divide_images(["x"] * 675, ["y"] * 675, SplitSettings(), 0)
    assert (parts == "test").sum() == 135


@given(protocols, st.integers(2, 6), st.integers(0, 30))
def test_k_seeds_test_every_image_once(protocol, folds, shuffle):
    settings = SplitSettings(protocol, folds=folds)
    drawn = [
        divide_images(LABELS, GROUPS, settings, shuffle * folds + fold) == "test"
        for fold in range(folds)
    ]
    assert np.array_equal(np.sum(drawn, axis=0), np.ones(100))
    sizes = [test.sum() for test in drawn]
    assert max(sizes) - min(sizes) <= (7 if protocol in ("clip", "movie") else 1)
    if protocol == "stratified":
        of_a = [sum(np.asarray(LABELS)[test] == "a") for test in drawn]
        assert max(of_a) - min(of_a) <= 1


@pytest.mark.parametrize("protocol", ["random", "stratified", "movie"])
def test_the_next_shuffle_has_other_folds(protocol):
    settings = SplitSettings(protocol, folds=2)
    first, second = (divide_images(LABELS, GROUPS, settings, seed) == "test" for seed in (0, 2))
    assert not np.array_equal(first, second) and not np.array_equal(first, ~second)


def test_folds_of_groups_of_many_sizes_are_balanced():
    sizes = [54, 53, 39, 35, 31, 30, 28, 26, 24, 23, 20, 19, 18, 18, 10, 5, 3, 2, 1, 1, 1]
    groups = [f"g{n}" for n, size in enumerate(sizes) for _ in range(size)]
    labels = [str(n % 2) for n in range(len(groups))]
    for seed in range(4):
        parts = divide_images(labels, groups, SplitSettings("movie", folds=4), seed)
        assert abs((parts == "test").sum() - len(groups) / 4) <= 2


def rare_class():
    """Class r lies in two of twenty groups: most draws have it on one side alone."""
    groups = [f"g{n // 5}" for n in range(100)]
    return ["r" if group in ("g0", "g1") and n % 5 == 0 else "b"
            for n, group in enumerate(groups)], groups  # fmt: skip


@given(st.integers(0, 60))
def test_groups_are_drawn_until_every_part_has_every_class(seed):
    labels, groups = rare_class()
    for settings in (SplitSettings("clip", 0.2), SplitSettings("clip", folds=2)):
        parts = divide_images(labels, groups, settings, seed)
        assert {part for label, part in zip(labels, parts, strict=True) if label == "r"} == {
            "train", "test"
        }  # fmt: skip


def test_redrawing_leaves_seeds_that_need_none_as_they_are(monkeypatch):
    labels, groups = rare_class()
    drawn = [divide_images(labels, groups, SplitSettings("clip"), seed) for seed in range(30)]
    monkeypatch.setattr(splits, "DRAWS", 1)
    good = 0
    for seed, parts in enumerate(drawn):
        try:
            assert np.array_equal(parts, divide_images(labels, groups, SplitSettings("clip"), seed))
            good += 1
        except UserError:
            continue
    assert 0 < good < 30


@pytest.mark.parametrize("more", [{}, {"folds": 2}])
def test_a_class_in_one_group_cannot_be_on_both_sides(more):
    groups = [f"g{n // 5}" for n in range(100)]
    labels = ["r"] * 5 + ["b"] * 95
    with pytest.raises(UserError, match=r"class r .*its 5 images lie in 1 group.*100 draws"):
        divide_images(labels, groups, SplitSettings("movie", **more), 0)


def test_stratified_refuses_a_class_too_small_for_its_share():
    labels = ["a"] * 98 + ["b"] * 2
    with pytest.raises(UserError, match=r"class b has no image in the test part under stratified"):
        divide_images(labels, labels, SplitSettings("stratified"), 0)
    with pytest.raises(UserError, match=r"class b is in fewer than 3 of 3 folds"):
        divide_images(labels, labels, SplitSettings("stratified", folds=3), 0)


def test_random_may_test_without_a_class_but_never_trains_without_one():
    labels = ["a"] * 99 + ["b"]
    outcomes = Counter()
    for seed in range(40):
        try:
            parts = divide_images(labels, labels, SplitSettings(test_fraction=0.3), seed)
            assert parts[99] == "train"
            outcomes["drawn"] += 1
        except UserError as error:
            assert "class b has no image outside the test part" in str(error)
            outcomes["refused"] += 1
    assert outcomes["drawn"] > outcomes["refused"] > 0
    with pytest.raises(UserError, match="class b is in fewer than 2 of 2 folds"):
        divide_images(labels, labels, SplitSettings(folds=2), 0)
    labels = ["a"] * 8 + ["b"] * 2  # of three folds one at least has no b to test
    drawn = [divide_images(labels, labels, SplitSettings(folds=3), seed) for seed in (3, 4, 5)]
    assert Counter(sum(parts[8:] == "test") for parts in drawn) == {1: 2, 0: 1}


def test_a_group_that_holds_everything():
    with pytest.raises(UserError, match=r"0 of 100 images.*largest group, one, holds 100%"):
        divide_images(LABELS, ["one"] * 100, SplitSettings("movie"), 0)
    nearly = ["big"] * 85 + ["other"] * 15
    with pytest.raises(UserError, match=r"largest group, big, holds 85%"):
        divide_images(LABELS, nearly, SplitSettings("clip", 0.1), 0)


@pytest.mark.parametrize(
    "settings",
    [
        SplitSettings("clip"),
        SplitSettings("clip", folds=3),
        SplitSettings("movie"),
        SplitSettings("movie", folds=2),
        SplitSettings("movie", 0.2, 0.2),
    ],
)
def test_names_that_cameras_give_lead_to_another_split_and_never_to_one_fold(settings):
    names = [f"{label}/IMG_20240101_{n:06}" for label in "ab" for n in range(10)]
    index = [
        {"position": n, "image": f"{name}.png", "label": name[0], "sha256": str(n)}
        | dict(zip(("movie", "clip"), group_names(name), strict=True))
        | {"perceptual_hash": f"{n * 0x0F1E2D3C4B5A6978 % 2**64:016x}"}
        for n, name in enumerate(names)
    ]
    with pytest.raises(UserError) as error:
        split_index(index, settings, 0)
    told = str(error.value)
    assert "known from the names of the images" in told
    assert "the key split names the experiment's, comparison.splits those of Table 7" in told
    assert "ask for 1" not in told and "fewer folds" not in told


def test_two_folds_never_become_fewer():
    with pytest.raises(UserError, match="change the protocol"):
        divide_images(["a"] * 99 + ["b"], GROUPS, SplitSettings("stratified", folds=2), 0)


def test_a_fraction_that_takes_nothing_or_all():
    for fraction, taken in ((0.001, 0), (0.999, 100)):
        with pytest.raises(UserError, match=f"{taken} of 100 images would be drawn under random"):
            divide_images(LABELS, GROUPS, SplitSettings("random", fraction), 0)


def test_more_folds_than_groups_or_images():
    with pytest.raises(UserError, match="16 folds of 15 groups; ask for 15 at most"):
        divide_images(LABELS, GROUPS, SplitSettings("movie", folds=16), 0)
    with pytest.raises(UserError, match="101 folds of 100 images"):
        divide_images(LABELS, GROUPS, SplitSettings("random", folds=101), 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (SplitSettings("leave-one-out"), "protocol must be one of random, .*leave-one-out"),
        (SplitSettings(test_fraction=0.0), "test_fraction must lie between"),
        (SplitSettings(test_fraction=1.0), "test_fraction must lie between"),
        (SplitSettings(validation_fraction=1.0), "validation_fraction must be 0 or"),
        (SplitSettings(validation_fraction=-0.1), "validation_fraction must be 0 or"),
        (SplitSettings(folds=1), "folds must be 2 or more"),
        (SplitSettings("group", column="person"), "file must name a CSV file"),
        (SplitSettings("list"), "file must name a CSV file"),
        (SplitSettings("group", file="x.csv"), "column must name a column"),
        (SplitSettings("movie", file="x.csv"), "file is for the protocols group and list"),
        (SplitSettings("movie", column="person"), "column is for the protocol group"),
        (SplitSettings("list", file="x.csv", folds=2), "folds and a list exclude"),
        (SplitSettings("list", file="x.csv", validation_fraction=0.1), "part validation"),
    ],
)
def test_settings_that_cannot_be_followed(settings, message):
    with pytest.raises(UserError, match=message):
        split_index(make_index(), settings, 0)


@pytest.mark.parametrize("protocol", ["clip", "movie"])
@pytest.mark.parametrize("tie", ["sha256", "perceptual_hash"])
@given(seed=st.integers(0, 30))
def test_the_same_picture_never_crosses(protocol, tie, seed):
    """The first image of movies 0 and 3 is one picture, in two classes at that."""
    index = make_index()
    one, other = 0, 3 * 6 + 30
    index[other] = {**index[other], tie: index[one][tie]}
    if tie == "perceptual_hash":  # a few bits off
        index[other][tie] = f"{int(index[one][tie], 16) ^ 0b1011:016x}"
    rows = split_index(index, SplitSettings(protocol, 0.4), seed)
    assert rows[one]["part"] == rows[other]["part"]
    name = index[one][protocol]
    members = [n for n, row in enumerate(rows) if row["group"] == name]
    assert members == [
        n for n, row in enumerate(index) if row[protocol] in (name, index[other][protocol])
    ]
    assert all(len(parts) == 1 for parts in parts_of(
        [row["group"] for row in rows], [row["part"] for row in rows]).values())  # fmt: skip


def test_under_random_every_image_is_its_own_group():
    index = [{**row, "sha256": "same"} for row in make_index()]
    for protocol in ("random", "stratified"):
        rows = split_index(index, SplitSettings(protocol), 0)
        assert [row["group"] for row in rows] == [row["image"] for row in index]
        assert {row["part"] for row in rows} == {"train", "test"}


def write_csv(path, rows, header="image,person"):
    path.write_text("\n".join([header, *(",".join(row) for row in rows)]) + "\n", encoding="utf-8")
    return str(path)


def test_groups_come_from_a_column(tmp_path):
    index = make_index()
    people = [f"p{n % 6}" for n in range(len(index))]
    rows = [(row["image"], person) for row, person in zip(index, people, strict=True)]
    file = write_csv(tmp_path / "groups.csv", rows[::-1])
    divided = split_index(index, SplitSettings("group", 0.3, file=file, column="person"), 0)
    assert [row["group"] for row in divided] == people
    assert all(len(p) == 1 for p in parts_of(people, [r["part"] for r in divided]).values())


def test_a_list_says_it_all(tmp_path):
    index = make_index(clips=1, frames=3)
    wanted = [("train", "validation", "test")[n % 3] for n in range(len(index))]
    rows = [(row["image"], part) for row, part in zip(index, wanted, strict=True)]
    file = write_csv(tmp_path / "list.csv", rows[::-1], "image,part")
    for seed in (0, 1):
        divided = split_index(index, SplitSettings("list", file=file), seed)
        assert [row["part"] for row in divided] == wanted


def test_what_a_list_may_not_say(tmp_path):
    index = make_index("ab", movies=3, clips=1, frames=1)
    images = [row["image"] for row in index]
    short = {"t": "train", "T": "test", "v": "validation", "x": "tset"}
    for parts, message in (
        ("tTttTx", r"b/M2_b0_0.png has the part 'tset'; use train, validation or test"),
        ("tTtttt", "class b has no image in part test"),
        ("TTTtTT", "class a has no image in part train"),
        ("tTttTv", "class a has no image in part validation"),
    ):
        parts = [short[part] for part in parts]
        file = write_csv(tmp_path / "l.csv", zip(images, parts, strict=True), "image,part")
        with pytest.raises(UserError, match=message):
            split_index(index, SplitSettings("list", file=file), 0)


def test_files_that_do_not_fit_the_images(tmp_path):
    file, images = tmp_path / "groups.csv", ["a/1.png", "a/2.png"]
    cases = [
        ([("a/1.png", "x"), ("a/3.png", "y")], r"line 3: there is no image 'a/3.png'.*as in a/1"),
        ([("a/1.png", "x"), ("a/1.png", "y")], r"line 3: a/1.png stands there twice"),
        ([("a/1.png", "x"), ("a/2.png", " ")], r"line 3: a/2.png has no person"),
        ([("a/1.png", "x"), ("a/2.png",)], r"line 3: a/2.png has no person"),
        ([("a/1.png", "x")], r"does not name 1 of 2 images, a/2.png"),
    ]
    for rows, message in cases:
        write_csv(file, rows)
        with pytest.raises(UserError, match=message):
            read_assignments(file, images, "person")
    with pytest.raises(UserError, match=r"no column 'actor'; it has image, person"):
        read_assignments(file, images, "actor")
    write_csv(file, [("a/1.png", "x")], "name,person")
    with pytest.raises(UserError, match=r"no column 'image'; it has name, person"):
        read_assignments(file, images, "person")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match=r"none.csv cannot be read"):
        read_assignments(tmp_path / "none.csv", ["a"], "part")
    (tmp_path / "latin.csv").write_bytes("image,part\né,test\n".encode("latin-1"))
    with pytest.raises(UserError, match="name a CSV file in UTF-8"):
        read_assignments(tmp_path / "latin.csv", ["a"], "part")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(UserError, match="no column 'image', 'part'; it has none"):
        read_assignments(tmp_path / "empty.csv", ["a"], "part")


def test_a_spreadsheets_csv_is_read(tmp_path):
    file = tmp_path / "excel.csv"
    file.write_bytes('\ufeffimage,"film, part"\r\n"a,1.png",x\r\n'.encode())
    assert read_assignments(file, ["a,1.png"], "film, part") == ["x"]


def write_index(path, index):
    """An index file with the columns that a split needs."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(index), path)
    return path


def test_the_script_writes_what_is_read(tmp_path):
    index = write_index(tmp_path / "index.parquet", make_index())
    split = tmp_path / "split.parquet"
    mirrored = split_dataset(
        index, split, 3, "halves", protocol="movie", test_fraction=0.4, validation_fraction=0.4
    )
    rows = read_rows(split)
    assert list(rows[0]) == SPLIT_SCHEMA.names
    assert {(r["seed"], r["split"], r["protocol"]) for r in rows} == {(3, "halves", "movie")}
    parts = read_split(split)
    counts = Counter(parts.parts.tolist())
    assert mirrored.metrics == {f"{part}_images": n for part, n in counts.items()}
    assert counts["test"] == 24 and counts["validation"] == 12
    assert parts.parts_present == ("train", "validation", "test")
    assert parts.groups.tolist() == [row["movie"] for row in make_index()]
    assert parts.classes == ("a", "b") and parts.labels.tolist() == [0] * 30 + [1] * 30
    assert np.array_equal(parts.positions("test"), np.flatnonzero(parts.test))
    places = np.concatenate([parts.positions(part) for part in parts.parts_present])
    assert sorted(places) == list(range(60))


def test_the_script_takes_a_file(tmp_path):
    index, split = make_index(), tmp_path / "split.parquet"
    file = write_csv(tmp_path / "g.csv", [(r["image"], r["movie"]) for r in index])
    written = write_index(tmp_path / "index.parquet", index)
    people = {"protocol": "group", "file": file, "column": "person"}
    split_dataset(written, split, 0, "people", folds=5, **people)
    assert Counter(read_split(split).parts.tolist()) == {"train": 48, "test": 12}


def test_the_script_says_which_split_cannot_be_made(tmp_path):
    written = write_index(tmp_path / "index.parquet", make_index())
    with pytest.raises(UserError, match=r"^splits\.tiny, seed 3: 0 of 60 images would be drawn"):
        tiny = {"protocol": "movie", "test_fraction": 0.001}
        split_dataset(written, tmp_path / "split.parquet", 3, "tiny", **tiny)


def test_a_class_that_random_leaves_out_is_in_the_log(tmp_path, caplog):
    index = make_index("a") + [
        {**row, "position": 30 + n} for n, row in enumerate(make_index("b", 1, 1, 2))
    ]
    written = write_index(tmp_path / "index.parquet", index)
    for seed in range(3):
        split_dataset(written, tmp_path / "split.parquet", seed, "random", test_fraction=0.05)
    assert "class b has no image in the test part" in caplog.text


def test_rows_are_read_in_the_order_of_the_array(tmp_path):
    rows = split_index(make_index(), SplitSettings(), 0)
    keys = {"seed": 0, "split": "random", "protocol": "random"}
    write_rows(tmp_path / "split.parquet", rows[::-1], SPLIT_SCHEMA, keys)
    assert read_split(tmp_path / "split.parquet").images == tuple(r["image"] for r in rows)


def test_parts_of_a_split():
    parts, groups = np.array(["test", "train", "test"]), np.array(["x", "y", "z"])
    split = Split(("a",), ("x", "y", "z"), np.zeros(3, dtype=int), parts, groups)
    assert split.test.tolist() == [True, False, True]
    assert split.parts_present == ("train", "test")
    assert split.positions("validation").size == 0
