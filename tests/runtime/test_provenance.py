"""What Snakemake is told of results before it plans."""

import json
import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import runtime.provenance as provenance
from neuron_pruning import UserError
from planning import code_digest
from runtime.provenance import Origin, mixed_arithmetic, settle
from runtime.snakemake_records import INCOMPLETE, RECORDS, place_of

ROOT = Path("results/e")
HOUR = 3600 * 10**9


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ROOT.mkdir(parents=True)
    Path("user.csv").write_text("one")


def make(name, *inputs, work=lambda: None, code="train x", threads=1, settings=None):
    """A job makes a file of the experiment; returns its path."""
    path = ROOT / name
    params = {"settings": settings or {"epochs": 2}, "code": code}
    paths = {"rule": "train", "input": [str(i) for i in inputs], "output": [str(path)]}
    origin = Origin(SimpleNamespace(**paths, params=params, threads=threads), ROOT)
    path.write_text(name)
    work()
    origin.note_outputs()
    return path


def record(path):
    return json.loads(place_of(RECORDS, path).read_bytes())


def is_marked(path):
    """Whether Snakemake will make it again, as it does with what a killed job left."""
    return place_of(INCOMPLETE, path).is_file()


def move(path, hours):
    moment = time.time_ns() + int(hours * HOUR)
    os.utime(path, ns=(moment, moment))


def ages(*paths):
    return [path.stat().st_mtime_ns for path in paths]


def test_records_are_restored_as_snakemake_wrote_them():
    path = make("a", "user.csv")
    assert settle(ROOT) == []
    found = record(path)
    assert found["params"] == ["'train x'", "{'epochs': 2}"] and found["rule"] == "train"
    assert found["input"] == ["user.csv"] and found["endtime"] == path.stat().st_mtime
    assert not is_marked(path)


def test_snakemake_reads_what_is_restored(tmp_path):
    from snakemake.persistence.file import FilePersistence

    path = make("a" * 200, "user.csv")
    settle(ROOT)
    read = FilePersistence(nolock=True)._read_record(str(path))
    assert read.params == ["'train x'", "{'epochs': 2}"] and read.input == ["user.csv"]
    settle_marks(path)
    assert FilePersistence(nolock=True)._filter_incomplete_keys([str(path)]) == {str(path)}


def settle_marks(path):
    """Damage a file, and settle."""
    path.write_text("edited")
    move(path, 0)
    settle(ROOT)


def test_times_of_a_copy_do_not_count():
    first = make("a", "user.csv")
    second = make("b", first)
    for path, hours in ((Path("user.csv"), -1), (first, -2), (second, -3)):
        move(path, hours)
    settle(ROOT)
    assert ages(first, second) == ages(Path("user.csv")) * 2
    assert not is_marked(first) and not is_marked(second)


def test_files_from_tomorrow_are_from_now():
    first = make("a")
    second = make("b", first)
    move(first, 24)
    move(second, 25)
    settle(ROOT)
    assert ages(first)[0] <= ages(second)[0] <= time.time_ns()


def test_an_input_that_is_another_now_makes_its_outputs_stale():
    first = make("a", "user.csv")
    other = make("b", "user.csv")
    Path("user.csv").write_text("two")
    move(Path("user.csv"), -1)  # whatever its time says
    settle(ROOT)
    assert is_marked(first) and is_marked(other)


def test_an_input_that_was_made_again_as_it_was_makes_nothing_stale():
    first = make("a")
    second = make("b", first)
    make("a")
    move(first, 0)
    settle(ROOT)
    assert not is_marked(second) and ages(second) >= ages(first)


def test_an_input_that_changes_while_the_job_runs_makes_its_outputs_stale():
    changed = make("a", "user.csv", work=lambda: Path("user.csv").write_text("two"))
    quiet = make("b", "user.csv")
    settle(ROOT)
    assert is_marked(changed) and not is_marked(quiet)
    Path("user.csv").write_text("one")  # it is not known which of the two the job read
    settle(ROOT)
    assert is_marked(changed)


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """Code of a job of its own, as old as the run."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "work.py").write_text("ONE = 1\n")
    monkeypatch.setattr(code_digest, "SCRIPTS", tmp_path / "scripts")
    run = SimpleNamespace(create_time=time.time)
    monkeypatch.setattr(provenance, "run_above", lambda: run)
    return tmp_path / "scripts" / "work.py"


def planned_code():
    return code_digest.digest_now("work ?")


def test_the_code_that_is_noted_is_the_code_that_ran(scripts):
    """It was planned with the old code, and began with the new."""
    old = planned_code()
    scripts.write_text("ONE = 2\n")
    path = make("a", code=old)
    settle(ROOT)
    assert repr(planned_code()) in record(path)["params"] and planned_code() != old


def test_code_that_changes_while_the_job_runs_is_no_code_at_all(scripts):
    old = planned_code()
    path = make("a", code=old, work=lambda: scripts.write_text("ONE = 2\n"))
    scripts.write_text("ONE = 1\n")
    settle(ROOT)
    assert not {repr(old), repr(planned_code())} & set(record(path)["params"])


def test_a_comment_that_changes_while_the_job_runs_changes_nothing(scripts):
    old = planned_code()
    path = make("a", code=old, work=lambda: scripts.write_text("ONE = 1  # one\n"))
    settle(ROOT)
    assert repr(old) in record(path)["params"]


def test_snakemakes_record_gives_way_to_what_the_job_noted():
    path = make("a", code="train new")
    settle(ROOT)
    place = place_of(RECORDS, path)
    place.write_text(json.dumps({**record(path), "params": ["'train planned'"], "log": ["l"]}))
    settle(ROOT)
    assert record(path)["params"] == ["'train new'", "{'epochs': 2}"]
    assert record(path)["log"] == ["l"]


@pytest.mark.parametrize("content", ["edited", ""])
def test_an_edited_file_is_named_kept_and_made_again(content):
    first = make("a")
    second = make("b", first)
    settle(ROOT)
    first.write_text(content)
    move(first, 0)
    (told,) = settle(ROOT)
    assert "damaged or edited since it was written: results/e/a (kept as a.damaged)" in told
    assert is_marked(first) and not is_marked(second)
    assert first.read_text() == content == first.with_name("a.damaged").read_text()


def test_what_a_job_found_damaged_is_made_again_by_the_next_run():
    """Its time did not show it, until a job read it."""
    first = make("a")
    settle(ROOT)
    before = first.stat()
    first.write_text("b")
    os.utime(first, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert settle(ROOT) == [] and not is_marked(first)
    with pytest.raises(UserError, match="results/e/a"):
        make("b", first)
    assert len(settle(ROOT)) == 1 and is_marked(first)


def test_a_touched_file_is_read_once_and_no_more(monkeypatch):
    path = make("a")
    settle(ROOT)
    move(path, -1)
    assert settle(ROOT) == [] and not is_marked(path)
    monkeypatch.setattr(provenance, "file_digest", lambda path: pytest.fail(f"{path} is read"))
    settle(ROOT)


def test_what_a_killed_job_left_is_not_trusted():
    def killed():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make("a", work=killed)
    settle(ROOT)
    assert is_marked(ROOT / "a")


def test_a_folder_that_was_drawn_again_makes_stale_what_was_made_from_it():
    folder = ROOT / "faces"
    folder.mkdir()

    def draw():
        paths = {"rule": "faces", "input": [], "output": [str(folder)], "params": {}, "threads": 1}
        origin = Origin(SimpleNamespace(**paths), ROOT)
        (folder / "1.png").write_text("face")
        (folder / ".snakemake_timestamp").touch()
        origin.note_outputs()

    draw()
    path = make("a", folder)
    move(folder / ".snakemake_timestamp", 0)
    settle(ROOT)
    assert not is_marked(path)
    draw()
    settle(ROOT)
    assert is_marked(path)


def test_results_of_other_threads_are_told_in_one_line(monkeypatch):
    monkeypatch.setitem(provenance.sys.modules, "torch", None)
    kept = [make(name, threads=threads) for name, threads in (("a", 2), ("b", 2), ("c", 1))]

    stay = [job(path) for path in kept]
    (line,) = mixed_arithmetic(ROOT, stay, [job("d"), job("e")])
    assert line.startswith("warning: threads of train: 1 now, 2 in results that stay;")
    assert mixed_arithmetic(ROOT, stay[2:], [job("d")]) == [], "what is made again does not count"


def job(path, settings=None):
    """What Snakemake tells of a job with one thread."""
    told = {"rule": SimpleNamespace(name="train"), "threads": 1, "output": [str(path)]}
    return SimpleNamespace(**told, params={"settings": settings or {}})


def test_results_of_another_processor_are_told_where_it_had_to_choose(monkeypatch):
    auto, named = ({"training": {"precision": p}} for p in ("auto", "float32"))
    for path, settings, found in (("a", auto, "bfloat16"), ("b", named, "bfloat16")):
        monkeypatch.setattr(provenance, "automatic_precision", lambda found=found: found)
        make(path, settings=settings)
    stay = [job(ROOT / "a"), job(ROOT / "b")]
    assert mixed_arithmetic(ROOT, stay, [job("c", auto)]) == []
    monkeypatch.setattr(provenance, "automatic_precision", lambda: "float32")
    (line,) = mixed_arithmetic(ROOT, stay, [job("c", auto)])
    assert line.startswith("warning: precision of train: float32 now, bfloat16 in results that")
    assert "training.precision" in line and "--forcerun train" in line
    assert mixed_arithmetic(ROOT, stay, [job("c", named)]) == []
    assert mixed_arithmetic(ROOT, stay[1:], [job("c", auto)]) == []


def test_a_new_machine_needs_notes_alone():
    path = make("a", "user.csv")
    settle(ROOT)
    before = record(path)
    shutil.rmtree(".snakemake")
    settle(ROOT)
    assert record(path) == before


@pytest.mark.parametrize("text", ["", "{", '{"checksum": "x", "about": 3}', '{"checksum": "x"}'])
def test_a_damaged_note_stops_nothing(text):
    path = make("a")
    (ROOT / ".checksums" / "a.json").write_text(text)
    settle(ROOT)
    assert path.read_text() == "a"
    assert mixed_arithmetic(ROOT, [job(path)], [job(path)]) == []
