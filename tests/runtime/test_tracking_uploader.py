import fcntl
import os
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

import runtime.tracking_uploader as tracking_uploader
from neuron_pruning.core.errors import UserError
from neuron_pruning.tracking.outbox import JobRecord, queue_record, waiting_records
from runtime.tracking_uploader import TrackingUploader, check_records_wait, sync_command


@dataclass
class Mirror:
    """An experiment's tracking folder, and the store to which its records go."""

    folder: Path
    database: Path

    @property
    def store(self):
        return {"uri": f"sqlite:///{self.database}", "experiment": "exp", "artifacts": None}

    def queue(self, name, **fields):
        return queue_record(JobRecord(name, {"rule": name}, ended=5000, **fields), self.folder)

    def uploader(self, **changes):
        return TrackingUploader(self.folder, {**self.store, **changes})

    @property
    def names(self):
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=self.store["uri"])
        experiment = client.get_experiment_by_name("exp").experiment_id
        return {run.data.tags["rule"] for run in client.search_runs([experiment])}


@pytest.fixture
def mirror(tmp_path, sent):
    """A folder of its own, and the store to which a record was sent."""
    return Mirror(tmp_path / "tracking", sent.database)


@pytest.fixture(scope="module")
def sent(tmp_path_factory):
    """A mirror to which one record was sent while the workflow ran, and another at its end."""
    folder = tmp_path_factory.mktemp("mirror")
    mirror = Mirror(folder / "tracking", folder / "m.db")
    uploader = mirror.uploader()
    uploader.start()
    mirror.queue("carried")
    wait_until(lambda: not waiting_records(mirror.folder))
    mirror.queue("last")
    assert uploader.finish() is None
    return mirror


def wait_until(condition, seconds=180):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def processes(folder):
    """Processes that send the records of ``folder``."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        command = " ".join(process.info["cmdline"] or [])
        if "-m runtime.tracking_uploader" in command and str(folder) in command:
            found.append(process)
    return found


def test_the_uploader_sends_until_its_parent_is_gone(sent):
    assert {"carried", "last"} <= sent.names and not waiting_records(sent.folder)


PARENT = """
import sys, time
from pathlib import Path
from runtime.tracking_uploader import TrackingUploader
store = {"uri": sys.argv[2], "experiment": "exp", "artifacts": None}
TrackingUploader(Path(sys.argv[1]), store).start()
print("started", flush=True)
time.sleep(600)
"""


def test_a_killed_workflow_leaves_no_uploader_and_no_record(mirror):
    scripts = str(Path(tracking_uploader.__file__).parents[1])
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(mirror.folder), mirror.store["uri"]],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": scripts},
    )
    assert parent.stdout.readline() == b"started\n"
    mirror.queue("orphan")
    (process,) = processes(mirror.folder)
    assert mirror.store["uri"] not in " ".join(process.cmdline())  # it may hold a password
    parent.kill()
    parent.wait()
    wait_until(lambda: not waiting_records(mirror.folder))
    wait_until(lambda: not processes(mirror.folder))
    assert "orphan" in mirror.names


def test_the_uploader_says_what_it_could_not_send(mirror, capfd):
    mirror.queue("stuck")
    uploader = mirror.uploader(uri="http://127.0.0.1:9")
    uploader.start()
    assert uploader.finish().startswith("1 records were not mirrored to MLflow")
    assert "warning: http://127.0.0.1:9: " in capfd.readouterr().err
    assert len(waiting_records(mirror.folder)) == 1


def test_the_uploader_names_the_file_that_was_refused(mirror, capfd):
    uploader = mirror.uploader()
    uploader.start()
    mirror.queue("odd", metrics={"no|name": 1.0})
    assert uploader.finish() is None
    (aside,) = (mirror.folder / "refused").glob("*.json")
    assert f"warning: MLflow did not take one record, now {aside}: " in capfd.readouterr().err


def test_without_an_address_nothing_is_sent(mirror):
    mirror.queue("x")
    uploader = mirror.uploader(uri=None)
    uploader.start()
    assert uploader.finish() is None and len(waiting_records(mirror.folder)) == 1


def test_the_end_of_a_workflow_waits_less_than_two_minutes():
    assert tracking_uploader.LIMIT <= 100


@pytest.fixture(params=["stopped", "lock held", "database locked"])
def held_up(request, mirror, monkeypatch):
    """An uploader with a record that it cannot send; it goes on waiting all the same."""
    monkeypatch.setattr(tracking_uploader, "LIMIT", 3.0)
    uploader = mirror.uploader()
    if request.param == "stopped":
        uploader.start()
        (process,) = processes(mirror.folder)
        process.suspend()
        mirror.queue(request.param)
        yield uploader
        return
    mirror.queue(request.param)
    if request.param == "lock held":
        with mirror.database.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            uploader.start()
            yield uploader
        return
    mirror.database = mirror.folder / "m.db"  # not yet in the mode in which readers go on
    uploader = mirror.uploader()
    with closing(sqlite3.connect(mirror.database, isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        uploader.start()
        yield uploader


def test_whatever_holds_the_uploader_up_the_workflow_ends(held_up, mirror):
    started = time.monotonic()
    problem = held_up.finish()
    assert time.monotonic() - started < 10  # of a limit of 3, on a busy machine
    assert problem.startswith("1 records were not mirrored to MLflow")
    assert "did not end within 3 s and was killed" in problem
    wait_until(lambda: all(p.status() == psutil.STATUS_ZOMBIE for p in processes(mirror.folder)))
    assert len(waiting_records(mirror.folder)) == 1


def test_a_killed_uploader_is_noticed_and_the_next_sends_its_records(mirror):
    uploader = mirror.uploader()
    uploader.start()
    (process,) = processes(mirror.folder)
    process.send_signal(signal.SIGKILL)
    mirror.queue("left behind")
    problem = uploader.finish()
    assert problem.startswith("1 records were not mirrored") and "exit status -9" in problem
    following = mirror.uploader()
    following.start()
    assert following.finish() is None
    assert "left behind" in mirror.names


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("--cores 4 --resources gpu=1", ""),
        ("t.parquet --cores 4 --configfile a.yaml 'b c.yaml'", "--configfile a.yaml 'b c.yaml'"),
        ("--configfiles=a.yaml --set-threads x=1 y=2", "--configfile a.yaml"),
        (
            "--profile profiles/slurm -d there -C experiment=x 'seeds=[0, 1]' -j 5",
            "--directory there --profile profiles/slurm --config experiment=x 'seeds=[0, 1]'",
        ),
        ("-s other/Snakefile --workflow-profile none", "--snakefile other/Snakefile "
         "--workflow-profile none"),
    ],
)  # fmt: skip
def test_the_command_that_sends_later_is_of_the_same_config(typed, kept):
    words = [sys.executable, "-m", "snakemake", "sync_tracking", "--cores", "1"]
    assert shlex.split(sync_command(shlex.split(typed))) == words + shlex.split(kept)


def test_a_wrong_config_is_told_apart_from_nothing_to_send(tmp_path):
    here, there = (tmp_path / name / "tracking" for name in ("here", "there"))
    with pytest.raises(UserError, match=r"nothing to send from .*here.*; .*: no folder"):
        check_records_wait(here, "sqlite:///m.db")
    waiting = queue_record(JobRecord("x", {}), there)
    with pytest.raises(UserError, match=r"nothing to send from .*here.*; records wait in: .*there"):
        check_records_wait(here, "sqlite:///m.db")
    check_records_wait(there, "sqlite:///m.db")
    with pytest.raises(UserError, match=r"to tracking\.uri None"):
        check_records_wait(there, None)
    waiting.unlink()
    check_records_wait(there, "sqlite:///m.db")  # all is sent
