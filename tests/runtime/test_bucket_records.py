"""What Snakemake is told of results in a bucket; here a dictionary stands for the bucket."""

import hashlib
import io
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from runtime.bucket_records import NAME, BucketRecords
from runtime.snakemake_records import (
    INCOMPLETE,
    mark_incomplete,
    place_of,
    read_record,
    write_record,
)

ROOT = "s3://b/team/results/e/"


class Bucket(dict):
    """Objects with their times by their keys; and one of them, where records are kept."""

    key = f"team/results/e/{NAME}"
    objects = property(lambda self: self)
    moment = 1000.0

    def write(self, name, content=b""):
        self.moment += 10
        self[f"team/results/e/{name}"] = (content, self.moment)

    def filter(self, Prefix):
        keys = (key for key in self if key.startswith(Prefix))
        times = ((key, datetime.fromtimestamp(self[key][1], UTC)) for key in keys)
        return [SimpleNamespace(key=key, last_modified=moment) for key, moment in times]

    def exists(self):
        return self.key in self

    def bucket_exists(self):
        return True

    def s3bucket(self):
        return self

    s3obj = s3bucket

    def local_path(self):
        return Path(".snakemake/storage/copy")

    def put(self, Body):
        self.write(NAME, Body)

    def get(self):
        return {"Body": io.BytesIO(self[self.key][0])}


@pytest.fixture
def bucket():
    return Bucket()


@pytest.fixture
def machine(tmp_path, monkeypatch, bucket):
    """Function that goes to another machine and returns what it has of the records there."""

    def go(name):
        (tmp_path / name).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / name)
        place = {"default_storage_provider": "s3", "default_storage_prefix": "s3://b/team"}
        run = {"is_main_process": True, "scheduler": "one", "dryrun": False, "touch": False}
        provider = SimpleNamespace(object=lambda address: bucket)
        workflow = SimpleNamespace(
            storage_settings=SimpleNamespace(**place),
            storage_registry=SimpleNamespace(default_storage_provider=provider),
            **run,
        )
        return BucketRecords(workflow, "results/e", ["results/e/faces"])

    return go


def make(bucket, name, params="one", **more):
    """A job writes a result into the bucket, and Snakemake its record."""
    bucket.write(f"{name}/1.png" if name == "faces" else name)
    record = {"endtime": bucket.moment, "params": [params], "input": [], **more}
    write_record(ROOT + name, record)


def is_marked(name):
    return place_of(INCOMPLETE, ROOT + name).is_file()


def params(name):
    return read_record(ROOT + name).get("params")


def test_another_machine_takes_over_what_a_run_left(machine, bucket):
    first = machine("first")
    make(bucket, "table")
    make(bucket, "faces")
    bucket.write("logs/table.log")
    first.leave()
    machine("second").take_over()
    assert params("table") == params("faces") == ["one"]
    assert not INCOMPLETE.exists() or not list(INCOMPLETE.iterdir())


def test_records_of_what_is_deleted_after_use_are_taken_over_too(machine, bucket):
    """Snakemake compares settings only where it has a record of all outputs of a job."""
    first = machine("first")
    make(bucket, "table")
    make(bucket, "x" * 300)
    del bucket[f"team/results/e/{'x' * 300}"]
    write_record("s3://b/team/results/other/table", {"endtime": 1.0, "params": ["one"]})
    first.leave()
    machine("second").take_over()
    assert params("table") == params("x" * 300) == ["one"] and params("../other/table") is None
    assert read_record("s3://b/team/results/other/table") == {}


def test_what_has_no_record_is_made_again(machine, bucket):
    first = machine("first")
    make(bucket, "table")
    bucket.write("figure")
    mark_incomplete(ROOT + "table")  # its job was killed
    first.leave()
    machine("second").take_over()
    assert is_marked("table") and is_marked("figure") and params("table") is None


def test_a_record_of_another_object_of_that_name_does_not_hold(machine, bucket):
    first = machine("first")
    make(bucket, "table")
    first.leave()
    bucket.write("table")  # and the run was killed before it left its record
    machine("second").take_over()
    assert is_marked("table") and params("table") is None
    machine("first").take_over()
    assert is_marked("table")


def test_a_run_that_was_killed_leaves_its_records_the_next_time(machine, bucket):
    first = machine("first")
    make(bucket, "table")
    first.take_over()
    assert not is_marked("table")
    first.leave()
    machine("second").take_over()
    assert params("table") == ["one"]


def test_a_machine_that_comes_back_learns_what_another_one_made(machine, bucket):
    first = machine("first")
    make(bucket, "table", "one")
    first.leave()
    machine("second")
    make(bucket, "table", "two")
    machine("second").leave()
    first = machine("first")
    mark_incomplete(ROOT + "table")
    bucket.local_path().parent.mkdir(parents=True)
    bucket.local_path().write_text("one")
    first.take_over()
    assert params("table") == ["two"] and not is_marked("table")
    assert not bucket.local_path().exists(), "a copy of what was there"


def test_a_local_input_counts_by_its_content(machine, bucket):
    first = machine("first")
    Path("boxes.csv").write_text("one")
    checksums = {"boxes.csv": f"sha256:{hashlib.sha256(b'one').hexdigest()}"}
    make(bucket, "table", input=["boxes.csv", "s3://b/other"], input_checksums=checksums)
    first.leave()
    machine("second")
    Path("boxes.csv").write_text("one")
    machine("second").take_over()
    assert not is_marked("table")
    machine("third")
    Path("boxes.csv").write_text("two")
    machine("third").take_over()
    assert is_marked("table")


def test_damaged_records_count_as_none(machine, bucket):
    first = machine("first")
    make(bucket, "table")
    first.leave()
    bucket.write(NAME, b"garbled")
    machine("second").take_over()
    assert is_marked("table")


def test_a_bucket_that_refuses_records_costs_a_warning(machine, bucket, monkeypatch, capsys):
    first = machine("first")
    make(bucket, "table")
    monkeypatch.setattr(Bucket, "put", lambda self, Body: 1 / 0)
    first.leave()
    assert f"warning: {ROOT}{NAME} could not be written" in capsys.readouterr().err


def test_on_a_disk_nothing_is_asked():
    place = SimpleNamespace(default_storage_provider=None)
    records = BucketRecords(SimpleNamespace(storage_settings=place), "results/e", [])
    records.take_over()
    records.leave()
