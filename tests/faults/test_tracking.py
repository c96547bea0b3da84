"""A tracking server that is away, dies or dawdles costs the jobs nothing and loses no record."""

import fcntl
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import pytest

from tests.faults.conftest import jobs_of, wait_for

JOBS = 16  # of the small experiment, without the target itself


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextmanager
def server(folder, port):
    """An MLflow server on loopback, for as long as the block lasts; it may be killed inside."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--workers", "1"]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    process = subprocess.Popen(
        [*command, "--artifacts-destination", f"{folder}/artifacts"],
        stdout=(folder / "server.log").open("a"),
        stderr=subprocess.STDOUT,
        env={**os.environ, **quiet},
        cwd=folder,
        start_new_session=True,
    )
    try:
        wait_for(lambda: answers(port), 90)
        yield process
    finally:
        stop(process)


def stop(process):
    try:
        os.killpg(process.pid, 9)
    except ProcessLookupError:
        return
    process.wait()


def answers(port):
    try:
        return urlopen(f"http://127.0.0.1:{port}/health", timeout=1).status == 200
    except OSError:
        return False


def runs_on(port):
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"http://127.0.0.1:{port}")
    experiment = client.get_experiment_by_name("tiny")
    return client.search_runs([experiment.experiment_id], max_results=1000) if experiment else []


def pending(disturbed):
    return list((disturbed.project.folder / "results/tiny/tracking/pending").glob("*.json"))


def sync(disturbed, tracking):
    from tests.faults.conftest import SMALL

    overlay = {**SMALL, "tracking": tracking}
    return disturbed.project.run("sync_tracking", overlay=overlay)


def is_mirrored_once(port):
    runs = runs_on(port)
    names = [run.info.run_name for run in runs]
    assert len(set(names)) == len(names) == JOBS, sorted(names)
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_a_server_that_is_away_from_the_start(disturbed, tmp_path):
    port = free_port()
    tracking = {"uri": f"http://127.0.0.1:{port}", "artifacts": None}
    ran = disturbed.run(tracking=tracking)
    assert ran.returncode == 0, ran.stderr[-5000:]
    assert f"{JOBS} records were not mirrored to MLflow" in ran.stderr
    assert "-m snakemake sync_tracking --cores 1 --configfile configs/tiny.yaml" in ran.stderr
    disturbed.check()
    assert len(pending(disturbed)) == JOBS
    with server(tmp_path, port):
        for _ in range(2):  # the second time there is nothing to send
            ran = sync(disturbed, tracking)
            assert ran.returncode == 0, ran.stderr[-3000:]
            is_mirrored_once(port)


def test_a_server_that_dies_in_mid_run(disturbed, tmp_path):
    port = free_port()
    tracking = {"uri": f"http://127.0.0.1:{port}", "artifacts": None}
    with server(tmp_path, port) as process:
        run = disturbed.start(tracking=tracking)
        wait_for(lambda: len(runs_on(port)) > 3)
        stop(process)
        assert run.wait(timeout=300) == 0, disturbed.printed[-3000:]
    assert "records were not mirrored to MLflow" in disturbed.printed
    disturbed.check()
    with server(tmp_path, port):
        ran = sync(disturbed, tracking)
        assert ran.returncode == 0, ran.stderr[-3000:]
        is_mirrored_once(port)


class Slow(BaseHTTPRequestHandler):
    """Passes requests on after a while."""

    seconds, port = 0.0, 0

    def do_GET(self):
        time.sleep(self.seconds)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = f"http://127.0.0.1:{self.port}{self.path}"
        headers = {k: v for k, v in self.headers.items() if k.lower() != "host"}
        try:
            answer = urlopen(Request(url, body or None, headers, method=self.command), timeout=30)
        except HTTPError as error:
            answer = error
        content = answer.read()
        try:
            self.send_response(answer.status)
            for name in ("Content-Type",):
                self.send_header(name, answer.headers.get(name, "application/json"))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except OSError:  # its client has gone
            return

    do_POST = do_PUT = do_PATCH = do_GET

    def log_message(self, *_):
        """Print nothing."""


@contextmanager
def slow_door(port, seconds):
    """A second address of a server, which answers late."""
    handler = type("Door", (Slow,), {"seconds": seconds, "port": port})
    door = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=door.serve_forever, daemon=True).start()
    try:
        yield door.server_address[1]
    finally:
        door.shutdown()
        door.server_close()


@pytest.mark.parametrize("seconds", [0.5, 5.0])
def test_a_server_that_dawdles(disturbed, tmp_path, seconds):
    """Half a second an answer is borne; at five seconds the client gives up. No job waits."""
    port = free_port()
    with server(tmp_path, port), slow_door(port, seconds) as door:
        tracking = {"uri": f"http://127.0.0.1:{door}", "artifacts": None}
        run = disturbed.start(tracking=tracking)
        wait_for(lambda: jobs_of(run))
        assert run.wait(timeout=300) == 0, disturbed.printed[-3000:]
        disturbed.check()
        if pending(disturbed):
            assert "records were not mirrored to MLflow" in disturbed.printed
        ran = sync(disturbed, {"uri": f"http://127.0.0.1:{port}", "artifacts": None})
        assert ran.returncode == 0, ran.stderr[-3000:]
        is_mirrored_once(port)


@pytest.mark.parametrize("fault", ["stopped", "foreign lock"])
def test_an_uploader_that_hangs_keeps_no_run_from_its_end(disturbed, tmp_path, fault):
    tracking = {"uri": "sqlite:///results/mlflow.db"}
    (disturbed.project.folder / "results").mkdir()
    with (disturbed.project.folder / "results/mlflow.lock").open("w") as lock:
        if fault == "foreign lock":
            fcntl.flock(lock, fcntl.LOCK_EX)
        run = disturbed.start(tracking=tracking)
        if fault == "stopped":
            wait_for(lambda: uploaders_of(run))[0].suspend()
        wait_for(lambda: f"{JOBS} of {JOBS} steps (100%) done" in disturbed.printed, 300)
        started = time.monotonic()
        assert run.wait(timeout=150) == 0, disturbed.printed[-3000:]
        assert time.monotonic() - started < 120
    assert f"{JOBS} records were not mirrored to MLflow" in disturbed.printed
    disturbed.check()
    ran = sync(disturbed, tracking)
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert not pending(disturbed)


def test_a_killed_uploader_is_noticed(disturbed):
    run = disturbed.start(tracking={"uri": "sqlite:///results/mlflow.db"})
    wait_for(lambda: uploaders_of(run))[0].kill()
    assert run.wait(timeout=300) == 0, disturbed.printed[-3000:]
    assert "the tracking uploader ended with exit status -9" in disturbed.printed
    assert "records were not mirrored to MLflow" in disturbed.printed
    ran = disturbed.run(tracking={"uri": "sqlite:///results/mlflow.db"})  # it is idle
    assert "Nothing to be done" in ran.stdout + ran.stderr and not pending(disturbed)


def uploaders_of(run):
    """Processes that send the records of a run."""
    try:
        children = psutil.Process(run.pid).children()
        return [p for p in children if "runtime.tracking_uploader" in p.cmdline()]
    except psutil.Error:
        return []


def test_a_dead_uploader_leaves_no_run_that_runs_for_ever(disturbed, tmp_path):
    """Killed between the begin and the end of a run, what it began is completed later."""
    port = free_port()
    tracking = {"uri": f"http://127.0.0.1:{port}", "artifacts": None}
    with server(tmp_path, port), slow_door(port, 0.3) as door:
        run = disturbed.start(tracking={**tracking, "uri": f"http://127.0.0.1:{door}"})
        wait_for(lambda: [r for r in runs_on(port) if r.info.status == "RUNNING"])
        uploaders = uploaders_of(run)
        assert uploaders
        for uploader in uploaders:
            uploader.kill()
        assert run.wait(timeout=300) == 0, disturbed.printed[-3000:]
        disturbed.check()
        ran = sync(disturbed, tracking)
        assert ran.returncode == 0, ran.stderr[-3000:]
        is_mirrored_once(port)
