import fcntl
import json
import os
import shutil
import sqlite3
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from pathlib import Path
from threading import Thread

import pytest
from filelock import Timeout
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from neuron_pruning.core.errors import UserError
from neuron_pruning.tracking import mlflow_client
from neuron_pruning.tracking.mlflow_client import send_waiting
from neuron_pruning.tracking.outbox import JobRecord, queue_record, waiting_records


@dataclass(frozen=True)
class Store:
    uri: str
    experiment: str = "exp"
    artifacts: str | None = None

    def send(self, folder):
        send_waiting(folder, self.uri, self.experiment, self.artifacts)


def store_in(folder):
    return Store(f"sqlite:///{folder}/deep/m.db", "exp", str(folder / "artifacts"))


def send_one(store, name):
    """Send one record, in a process of its own."""
    mlflow_client.PATIENCE = 300.0  # on a busy machine a new store takes its time
    folder = Path(store.uri.removeprefix("sqlite:///")).parents[1] / name
    queue_record(record(folder, name), folder)
    store.send(folder)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store to which four processes sent at once when it did not exist yet."""
    store = store_in(tmp_path_factory.mktemp("store"))
    with ProcessPoolExecutor(4, mp_context=get_context("fork")) as pool:
        list(pool.map(send_one, [store] * 4, ["a", "b", "c", "d"]))
    return store


def runs(store):
    client = MlflowClient(tracking_uri=store.uri)
    experiments = [e.experiment_id for e in client.search_experiments() if e.name == "exp"]
    return client.search_runs(experiments)


def runs_named(store, name):
    return [run for run in runs(store) if run.data.tags["rule"] == name]


def record(folder, name, **fields):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "small.txt").write_text("hello")
    return JobRecord(
        name=name,
        tags={"rule": name},
        parameters={"angle": 15.0},
        metrics={"accuracy": 0.5},
        series={"loss": [2.0, 1.0]},
        artifacts=[str(folder / "small.txt"), str(folder / "gone.txt")],
        started=1000,
        ended=5000,
        **fields,
    )


def mirror(record, store, folder):
    """Write a record and send it; its file."""
    path = queue_record(record, folder)
    store.send(folder)
    return path


def test_processes_that_open_a_new_store_at_once_share_one_experiment(store):
    client = MlflowClient(tracking_uri=store.uri)
    assert sorted(e.name for e in client.search_experiments()) == ["Default", "exp"]
    assert {"a", "b", "c", "d"} <= {run.data.tags["rule"] for run in runs(store)}
    with sqlite3.connect(store.uri.removeprefix("sqlite:///")) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_record_becomes_a_run(store, tmp_path):
    mirror(record(tmp_path, "one"), store, tmp_path)
    (run,) = runs_named(store, "one")
    assert run.info.status == "FINISHED" and run.info.run_name == "one"
    assert (run.info.start_time, run.info.end_time) == (1000, 5000)
    assert run.data.params == {"angle": "15.0"}
    assert run.data.metrics == {"accuracy": 0.5, "loss": 1.0}
    client = MlflowClient(tracking_uri=store.uri)
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [(m.step, m.value) for m in history] == [(1, 2.0), (2, 1.0)]
    assert [a.path for a in client.list_artifacts(run.info.run_id)] == ["small.txt"]
    assert not waiting_records(tmp_path)


def test_nothing_is_lost_when_the_store_is_down_and_nothing_comes_twice(store, tmp_path):
    down = Store("http://127.0.0.1:9", "exp")
    for name in ("two", "three"):
        with pytest.raises(MlflowException, match=r"http://127\.0\.0\.1:9"):
            mirror(record(tmp_path, name), down, tmp_path)
    copies = {path: path.read_text() for path in waiting_records(tmp_path)}
    assert sorted(json.loads(text)["name"] for text in copies.values()) == ["three", "two"]
    store.send(tmp_path)
    assert not waiting_records(tmp_path)
    for path, text in copies.items():  # as if the sender had died between sending and deleting
        path.write_text(text)
    store.send(tmp_path)
    assert not waiting_records(tmp_path)
    assert len(runs_named(store, "two")) == len(runs_named(store, "three")) == 1


def test_a_record_that_was_begun_is_completed_and_not_begun_again(store, tmp_path):
    half = record(tmp_path, "half")
    path = queue_record(half, tmp_path)
    client = MlflowClient(tracking_uri=store.uri)
    experiment = client.get_experiment_by_name("exp").experiment_id
    client.create_run(experiment, 1000, {**half.tags, "record_id": path.stem})
    store.send(tmp_path)
    (run,) = runs_named(store, "half")
    assert run.info.status == "FINISHED" and run.data.metrics["accuracy"] == 0.5


def test_a_store_that_was_made_again_is_not_taken_for_the_old_one(tmp_path):
    store, path = store_in(tmp_path), tmp_path / "deep"
    for name in ("old", "new"):  # each in a process of its own, as two runs of the workflow are
        for file in path.glob("m.db*"):
            file.unlink()
        with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
            pool.submit(send_one, store, name).result()
    assert [run.data.tags["rule"] for run in runs(store)] == ["new"]


def test_a_refused_record_is_set_aside_and_the_others_go_on(store, tmp_path, caplog):
    names = ("before", "refused", "unreadable", "after")
    for age, name in zip((4, 3, 2, 1), names, strict=True):
        one = record(tmp_path, name)
        if name == "refused":
            one = replace(one, metrics={"no|name": 1.0})
        path = queue_record(one, tmp_path)
        if name == "unreadable":
            path.write_text('{"name": ')
        os.utime(path, (time.time() - age, time.time() - age))
    store.send(tmp_path)
    found = {r.data.tags["rule"]: r.info.status for r in runs(store)}
    assert found["before"] == found["after"] == "FINISHED" and found["refused"] == "KILLED"
    aside = sorted((tmp_path / "refused").glob("*.json"))
    assert len(aside) == 2 and all(str(path) in caplog.text for path in aside)


BAD = {"metrics": "x", "artifacts": 5, "status": "SO SO", "tags": {"a": None}, "ended": "late"}
BAD |= {"series": {"loss": 3}, "parameters": [1], "name": None}


def test_a_record_of_wrong_types_never_holds_up_the_others(store, tmp_path):
    """Each is set aside with its reason, and leaves no run that looks as if it still ran."""
    for age, (field, value) in enumerate(BAD.items(), start=1):
        path = queue_record(record(tmp_path, "wrong"), tmp_path)
        path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
        os.utime(path, (time.time() - age, time.time() - age))
    mirror(record(tmp_path, "behind them"), store, tmp_path)
    assert not waiting_records(tmp_path)
    assert [run.info.status for run in runs_named(store, "behind them")] == ["FINISHED"]
    assert not runs_named(store, "wrong")
    aside = list((tmp_path / "refused").glob("*.json"))
    assert len(aside) == len(BAD)
    reasons = [path.with_suffix(".txt").read_text() for path in aside]
    assert all(any(field in reason for reason in reasons) for field in BAD)


def test_a_record_over_which_the_store_fails_goes_to_the_end_of_the_queue(
    store, tmp_path, monkeypatch
):
    poison = queue_record(record(tmp_path, "poison"), tmp_path)
    os.utime(poison, (1, 1))
    queue_record(record(tmp_path, "next"), tmp_path)
    log_values = mlflow_client._log_values

    def fail(client, run_id, record):
        if record.name == "poison":
            raise MlflowException("an error of the server's own")
        log_values(client, run_id, record)

    monkeypatch.setattr(mlflow_client, "_log_values", fail)
    for _ in range(2):
        with pytest.raises(MlflowException, match="own"):
            store.send(tmp_path)
    assert waiting_records(tmp_path) == [poison]
    assert [run.info.status for run in runs_named(store, "next")] == ["FINISHED"]


def test_a_refused_record_can_be_mended_and_sent_again(store, tmp_path):
    path = mirror(replace(record(tmp_path, "mended"), metrics={"no|name": 1.0}), store, tmp_path)
    aside = tmp_path / "refused" / path.name
    aside.write_text(aside.read_text().replace("no|name", "a name"))
    aside.rename(path)
    store.send(tmp_path)
    (run,) = runs_named(store, "mended")
    assert run.info.status == "FINISHED" and run.data.metrics["a name"] == 1.0


def test_records_of_a_deleted_experiment_wait(store, tmp_path):
    client = MlflowClient(tracking_uri=store.uri)
    gone = client.create_experiment("gone", artifact_location=tmp_path.as_uri())
    wanted = Store(store.uri, "gone")
    mirror(record(tmp_path, "early"), wanted, tmp_path)
    client.delete_experiment(gone)
    with pytest.raises(UserError, match="gone was deleted there; restore it"):
        mirror(record(tmp_path, "x"), wanted, tmp_path)
    assert len(waiting_records(tmp_path)) == 1
    client.restore_experiment(gone)
    wanted.send(tmp_path)
    assert not waiting_records(tmp_path)


@pytest.mark.parametrize("name", ["deep/m.lock", "records/lock"])
def test_a_lock_that_another_process_holds_is_not_awaited_for_ever(tmp_path, monkeypatch, name):
    """Of the SQLite file, or of the records of the experiment."""
    monkeypatch.setattr(mlflow_client, "PATIENCE", 0.2)
    path, folder = tmp_path / name, tmp_path / "records"
    path.parent.mkdir()
    queue_record(record(folder, "locked out"), folder)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Timeout, match=str(path)):
            store_in(tmp_path).send(folder)
    store_in(tmp_path).send(folder)
    assert not waiting_records(folder)


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
    with pytest.raises(MlflowException):
        Store(uri, "exp").send(tmp_path)
    assert len(list((tmp_path / "pending").iterdir())) == 2
    assert asked.count("runs/search") == 1 and not (tmp_path / "refused").exists()


@pytest.mark.parametrize("answering", [("runs/log-batch", 400, 0)], indirect=True)
def test_a_server_that_refuses_does_not(answering, tmp_path):
    uri, asked = answering
    for name in ("one", "two"):
        queue_record(replace(record(tmp_path, name), artifacts=()), tmp_path)
    Store(uri, "exp").send(tmp_path)
    assert len(list((tmp_path / "refused").glob("*.json"))) == 2
    assert asked.count("runs/update") == 2


@pytest.mark.parametrize("answering", [("runs/create", 200, 2)], indirect=True)
def test_a_late_answer_begins_no_second_run(answering, tmp_path):
    uri, asked = answering
    with pytest.raises(MlflowException, match="timed out"):
        mirror(record(tmp_path, "slow"), Store(uri, "exp"), tmp_path)
    assert asked.count("runs/create") == 1 and len(list((tmp_path / "pending").iterdir())) == 1


def contents(store):
    """Text of the only artifact of each run, by the name of its rule."""
    client, found = MlflowClient(tracking_uri=store.uri), {}
    for run in runs(store):
        path = Path(client.download_artifacts(run.info.run_id, "small.txt"))
        found[run.data.tags["rule"]] = path.read_text()
    return found


def inside(project):
    """The store of a project, and a folder of records; the working directory is the project."""
    return Store(f"sqlite:///{project}/results/m.db", "exp", "results/mlartifacts"), project / "exp"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with one record sent, and one that was begun: its run has no files yet."""
    home = tmp_path / "a home"
    home.mkdir()
    monkeypatch.chdir(home)
    store, folder = inside(home)
    mirror(record(folder, "old"), store, folder)
    mirror(record(folder, "other"), replace(store, experiment="another"), folder)
    half = record(folder, "half")
    path = queue_record(half, folder)
    client = MlflowClient(tracking_uri=store.uri)
    experiment = client.get_experiment_by_name("exp").experiment_id
    client.create_run(experiment, 1000, {**half.tags, "record_id": path.stem})
    return home


def files(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if "m.db" not in path.name}


@pytest.mark.parametrize("way", ["moved", "copied"])
def test_artifacts_follow_a_project_that_is_moved_or_copied(project, monkeypatch, way):
    there = project.with_name("elsewhere")
    if way == "moved":
        project.rename(there)
    else:
        shutil.copytree(project, there)
    monkeypatch.chdir(there)
    before = files(project)
    store, folder = inside(there)
    for path in waiting_records(folder):  # its own files are named by their full paths here
        path.write_text(path.read_text().replace(str(project), str(there)))
    mirror(record(folder, "new"), store, folder)
    assert contents(store) == dict.fromkeys(["old", "half", "new"], "hello")
    addresses = [run.info.artifact_uri for run in runs(store)]
    addresses += [run.info.artifact_uri for run in runs_of(store, "another")]
    assert {str(Path(address).parents[1]) for address in addresses} == {
        str(Path((there / "results" / "mlartifacts").as_uri()))
    }
    assert files(project) == before and (way == "copied" or not project.exists())


def runs_of(store, experiment):
    client = MlflowClient(tracking_uri=store.uri)
    return client.search_runs([client.get_experiment_by_name(experiment).experiment_id])


def test_another_folder_of_artifacts_leaves_old_files_where_they_are(project):
    store, folder = inside(project)
    mirror(record(folder, "new"), replace(store, artifacts="results/others"), folder)
    assert contents(store) == dict.fromkeys(["old", "half", "new"], "hello")
    assert len(list((project / "results" / "others").iterdir())) == 2
