import json
import os
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from pathlib import Path
from threading import Thread

import psutil
import pytest

import runtime.tracking_uploader as tracking_uploader
from neuron_pruning.tracking.outbox import (
    JobRecord,
    Store,
    deliver_pending,
    queue_record,
    resend_pending,
    shared_store,
)
from runtime.tracking_uploader import TrackingUploader


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Folder of a store that four processes opened at once, and what each of them got."""
    import mlflow  # noqa: F401 - once, not in each of the four

    folder = tmp_path_factory.mktemp("store")
    with ProcessPoolExecutor(4, mp_context=get_context("fork")) as pool:
        opened = list(pool.map(open_it, [folder] * 4))
    return folder, opened


def wanted_store(folder):
    return Store(f"sqlite:///{folder}/deep/m.db", "exp", None, str(folder / "artifacts"))


def open_it(folder):
    return shared_store(wanted_store(folder), folder / "tracking")


@pytest.fixture
def store(place):
    return place[1][0]


def runs(store):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=store.uri).search_runs([store.experiment_id])


def record(tmp_path, name, **fields):
    (tmp_path / "small.txt").write_text("hello")
    return JobRecord(
        name=name,
        tags={"rule": name},
        parameters={"angle": 15.0},
        metrics={"accuracy": 0.5},
        series={"loss": [2.0, 1.0]},
        artifacts=[str(tmp_path / "small.txt"), str(tmp_path / "gone.txt")],
        started=1000,
        ended=5000,
        **fields,
    )


def mirror(record, store, folder):
    """Write a record and send it; what kept it, if anything."""
    queue_record(record, folder)
    return deliver_pending(store, folder, time.monotonic() + 60)


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_processes_that_open_a_new_store_at_once_share_one_experiment(place, store):
    folder, opened = place
    assert len({s.experiment_id for s in opened}) == 1 and store.experiment_id is not None
    assert open_it(folder) == store
    with sqlite3.connect(store.uri.removeprefix("sqlite:///")) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_record_becomes_a_run(store, tmp_path):
    from mlflow import MlflowClient

    wanted = replace(store, experiment_id=None)
    assert mirror(record(tmp_path, "one"), wanted, tmp_path) is None
    (run,) = [r for r in runs(store) if r.data.tags["rule"] == "one"]
    assert run.info.status == "FINISHED" and run.info.run_name == "one"
    assert (run.info.start_time, run.info.end_time) == (1000, 5000)
    assert run.data.params == {"angle": "15.0"}
    assert run.data.metrics == {"accuracy": 0.5, "loss": 1.0}
    client = MlflowClient(tracking_uri=store.uri)
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [(m.step, m.value) for m in history] == [(1, 2.0), (2, 1.0)]
    assert [a.path for a in client.list_artifacts(run.info.run_id)] == ["small.txt"]
    assert list((tmp_path / "pending").iterdir()) == []


def test_nothing_is_lost_when_the_store_is_down_and_nothing_comes_twice(store, tmp_path):
    pending = tmp_path / "pending"
    down = Store("http://127.0.0.1:9", "exp")
    for name in ("two", "three"):
        problem = mirror(record(tmp_path, name), down, tmp_path)
        assert problem and problem.startswith("http://127.0.0.1:9")
    kept = sorted(pending.iterdir())
    assert sorted(json.loads(p.read_text())["name"] for p in kept) == ["three", "two"]
    copies = {p.name: p.read_text() for p in kept}
    assert resend_pending(replace(store, experiment_id=None), tmp_path) == 0
    assert list(pending.iterdir()) == []
    for name, text in copies.items():  # as if the job had died between sending and deleting
        (pending / name).write_text(text)
    assert resend_pending(replace(store, experiment_id=None), tmp_path) == 0
    assert sorted(r.data.tags["rule"] for r in runs(store)).count("two") == 1


def test_a_record_that_was_begun_is_completed_and_not_begun_again(store, tmp_path):
    from mlflow import MlflowClient

    half = record(tmp_path, "half")
    MlflowClient(tracking_uri=store.uri).create_run(
        store.experiment_id, 1000, {**half.tags, "record_id": half.record_id}
    )
    assert mirror(half, replace(store, experiment_id=None), tmp_path) is None
    (run,) = [r for r in runs(store) if r.data.tags["rule"] == "half"]
    assert run.info.status == "FINISHED" and run.data.metrics["accuracy"] == 0.5


def test_a_store_that_was_made_again_is_not_taken_for_the_old_one(place, store):
    folder, _ = place
    note = folder / "tracking" / "store.json"
    stale = json.loads(note.read_text()) | {"experiment_id": "0"}  # the default experiment's
    note.write_text(json.dumps(stale))
    assert open_it(folder) == store


def test_without_an_address_nothing_is_sent(tmp_path):
    queue_record(record(tmp_path, "x"), tmp_path)
    assert resend_pending(Store(None, "exp"), tmp_path) == 1


def test_a_deadline_leaves_the_rest_for_later(store, tmp_path):
    queue_record(record(tmp_path, "late"), tmp_path)
    wanted = replace(store, experiment_id=None)
    assert deliver_pending(wanted, tmp_path, time.monotonic() - 1).endswith("is slow")
    assert len(list((tmp_path / "pending").iterdir())) == 1
    assert resend_pending(wanted, tmp_path) == 0


def test_the_uploader_sends_until_its_parent_is_gone(store, tmp_path):
    uploader = TrackingUploader(
        tmp_path, {"uri": store.uri, "experiment": "exp", "artifacts": store.artifacts}
    )
    uploader.start()
    queue_record(record(tmp_path, "carried"), tmp_path)
    waiting = tmp_path / "pending"
    wait_until(lambda: not list(waiting.iterdir()))  # while the workflow runs
    queue_record(record(tmp_path, "last"), tmp_path)
    uploader.finish()  # and what came at the end
    assert list(waiting.iterdir()) == []
    assert {"carried", "last"} <= {r.data.tags["rule"] for r in runs(store)}


PARENT = """
import sys, time
from pathlib import Path
from runtime.tracking_uploader import TrackingUploader
store = {"uri": sys.argv[2], "experiment": "exp", "artifacts": None}
TrackingUploader(Path(sys.argv[1]), store).start()
print("started", flush=True)
time.sleep(600)
"""


def test_a_killed_workflow_leaves_no_uploader_and_no_record(store, tmp_path):
    folder = str(Path(tracking_uploader.__file__).parents[1])
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), store.uri],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": folder},
    )
    assert parent.stdout.readline() == b"started\n"
    queue_record(record(tmp_path, "orphan"), tmp_path)
    (command,) = uploaders(tmp_path)
    assert store.uri not in command  # it may hold a password
    parent.kill()
    parent.wait()
    wait_until(lambda: not list((tmp_path / "pending").iterdir()))
    wait_until(lambda: not uploaders(tmp_path))
    assert "orphan" in {r.data.tags["rule"] for r in runs(store)}


def uploaders(folder):
    """Processes that send the records of ``folder``."""
    commands = [" ".join(p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"])]
    return [
        command
        for command in commands
        if "-m runtime.tracking_uploader" in command and str(folder) in command
    ]


def test_the_uploader_says_what_it_could_not_send(tmp_path, capfd):
    queue_record(record(tmp_path, "stuck"), tmp_path)
    uploader = TrackingUploader(
        tmp_path, {"uri": "http://127.0.0.1:9", "experiment": "e", "artifacts": None}
    )
    uploader.start()
    uploader.finish()
    assert "1 records were not mirrored to MLflow (http://127.0.0.1:9" in capfd.readouterr().err
    assert len(list((tmp_path / "pending").iterdir())) == 1


def test_a_refused_record_is_set_aside_and_the_others_go_on(store, tmp_path, caplog):
    names = ("before", "refused", "unreadable", "after")
    for age, name in zip((4, 3, 2, 1), names, strict=True):
        one = record(tmp_path, name)
        if name == "refused":
            one = replace(one, metrics={"no|name": 1.0})
        queue_record(one, tmp_path)
        path = tmp_path / "pending" / f"{one.record_id}.json"
        if name == "unreadable":
            path.write_text('{"name": ')
        os.utime(path, (time.time() - age, time.time() - age))
    wanted = replace(store, experiment_id=None)
    assert deliver_pending(wanted, tmp_path, time.monotonic() + 60) is None
    found = {r.data.tags["rule"]: r.info.status for r in runs(store)}
    assert found["before"] == found["after"] == "FINISHED" and found["refused"] == "KILLED"
    aside = sorted((tmp_path / "refused").iterdir())
    assert len(aside) == 2 and all(str(path) in caplog.text for path in aside)


def test_a_refused_record_can_be_mended_and_sent_again(store, tmp_path):
    mended = record(tmp_path, "mended")
    wanted = replace(store, experiment_id=None)
    assert mirror(replace(mended, metrics={"no|name": 1.0}), wanted, tmp_path) is None
    assert mirror(mended, wanted, tmp_path) is None
    (run,) = [r for r in runs(store) if r.data.tags["rule"] == "mended"]
    assert run.info.status == "FINISHED" and run.data.metrics["accuracy"] == 0.5


def test_the_uploader_names_the_file_that_was_refused(store, tmp_path, capfd):
    uploader = TrackingUploader(
        tmp_path, {"uri": store.uri, "experiment": "exp", "artifacts": None}
    )
    uploader.start()
    queue_record(replace(record(tmp_path, "odd"), metrics={"no|name": 1.0}), tmp_path)
    uploader.finish()
    (aside,) = (tmp_path / "refused").iterdir()
    assert f"warning: MLflow did not take one record, now {aside}: " in capfd.readouterr().err


def test_records_of_a_deleted_experiment_wait(store, tmp_path):
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=store.uri)
    gone = client.create_experiment("gone", artifact_location=tmp_path.as_uri())
    wanted = Store(store.uri, "gone")
    assert mirror(record(tmp_path, "early"), wanted, tmp_path) is None
    client.delete_experiment(gone)
    assert "gone was deleted there; restore it" in mirror(record(tmp_path, "x"), wanted, tmp_path)
    assert len(list((tmp_path / "pending").iterdir())) == 1
    client.restore_experiment(gone)
    assert resend_pending(wanted, tmp_path) == 0


class Answers(BaseHTTPRequestHandler):
    """As much of a tracking server as one record needs; ``status`` and ``delay`` of one step."""

    step, status, delay = "", 200, 0.0
    asked = ()

    def do_GET(self):
        self.do_POST()

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        step = self.path.partition("mlflow/")[2].partition("?")[0]
        self.asked.append(step)
        status = self.status if step == self.step else 200
        if step == self.step:
            time.sleep(self.delay)
        experiment = {"experiment_id": "1", "name": "exp", "lifecycle_stage": "active"}
        run = {"info": {"run_id": "r", "status": "RUNNING"}, "data": {}}
        answer = {"experiment": experiment, "run": run}
        if status == 400:
            answer = {"error_code": "INVALID_PARAMETER_VALUE", "message": "never"}
        self.send_response(status)
        self.end_headers()
        with suppress(BrokenPipeError):  # who asked may have given up
            self.wfile.write(json.dumps({} if step == "runs/search" else answer).encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def answering(request, monkeypatch):
    """Address of a server that answers one step in another way, and what it was asked."""
    step, status, delay = request.param
    fields = {"step": step, "status": status, "delay": delay, "asked": []}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Answers,), fields))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", fields["asked"]
    server.shutdown()
    server.server_close()


BROKEN = [("runs/log-batch", 503, 0), ("runs/search", 500, 0), ("runs/log-batch", 401, 0)]


@pytest.mark.parametrize("answering", BROKEN, indirect=True)
def test_a_server_that_fails_stops_the_sending(answering, tmp_path):
    uri, asked = answering
    for name in ("one", "two"):
        queue_record(replace(record(tmp_path, name), artifacts=()), tmp_path)
    assert deliver_pending(Store(uri, "exp"), tmp_path, time.monotonic() + 60).startswith(uri)
    assert len(list((tmp_path / "pending").iterdir())) == 2
    assert asked.count("runs/search") == 1 and not (tmp_path / "refused").exists()


@pytest.mark.parametrize("answering", [("runs/log-batch", 400, 0)], indirect=True)
def test_a_server_that_refuses_does_not(answering, tmp_path):
    uri, asked = answering
    for name in ("one", "two"):
        queue_record(replace(record(tmp_path, name), artifacts=()), tmp_path)
    assert deliver_pending(Store(uri, "exp"), tmp_path, time.monotonic() + 60) is None
    assert len(list((tmp_path / "refused").iterdir())) == 2
    assert asked.count("runs/update") == 2


@pytest.mark.parametrize("answering", [("runs/create", 200, 2)], indirect=True)
def test_a_late_answer_begins_no_second_run(answering, tmp_path):
    uri, asked = answering
    assert mirror(record(tmp_path, "slow"), Store(uri, "exp"), tmp_path).startswith(uri)
    assert asked.count("runs/create") == 1 and len(list((tmp_path / "pending").iterdir())) == 1
