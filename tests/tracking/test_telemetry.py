"""MLflow reports to its makers unless told otherwise: wherever we start it, it is told."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from neuron_pruning.tracking.outbox import JobRecord, queue_record, waiting_records

ROOT = Path(__file__).parents[2]
QUIET_ELSEWHERE = ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK", "PYTEST_CURRENT_TEST")
UI = re.compile(r"^[^#\n]*\bmlflow ui [^#\n]*", re.M)
PAGES = [path for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
         if UI.search(path.read_text(encoding="utf-8"))]  # fmt: skip
COMMANDS = {command.replace(".venv/bin/", "") for page in PAGES
            for command in UI.findall(page.read_text(encoding="utf-8"))}  # fmt: skip


@pytest.fixture
def watched(tmp_path):
    """Environment in which Python notes and refuses connections, and what it noted."""
    attempts = tmp_path / "attempts"
    attempts.touch()
    ours = {name: value for name, value in os.environ.items() if name not in QUIET_ELSEWHERE}
    # Nor does MLflow report from tests or CI, which it knows by the names of variables.
    ours = {name: value for name, value in ours.items() if not re.search("CI|RUNNER|BUILD", name)}
    path = os.pathsep.join([str(ROOT / "tests" / "offline"), str(ROOT / "scripts")])
    tools = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**ours, "PYTHONPATH": path, "PATH": tools, "NETWORK_ATTEMPTS": str(attempts)}, attempts


def test_the_guard_sees_what_mlflow_reports(watched):
    """Else the other tests would say little."""
    environment, attempts = watched
    code = "import mlflow, time; mlflow.set_experiment('x'); time.sleep(3)"
    subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "MLFLOW_TRACKING_URI": f"sqlite:///{attempts.parent}/m.db"},
        check=True,
        capture_output=True,
        cwd=attempts.parent,
    )
    assert "telemetry" in attempts.read_text()


def test_the_uploader_connects_to_the_store_alone(watched):
    environment, attempts = watched
    queue_record(JobRecord("a", {"rule": "a"}, metrics={"x": 1.0}), attempts.parent)
    store = f'{{"uri": "sqlite:///{attempts.parent}/m.db", "experiment": "exp"}}'
    sent = subprocess.run(
        [sys.executable, "-m", "runtime.tracking_uploader", str(attempts.parent)],
        env={**environment, "TRACKING_STORE": store},
        check=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert not waiting_records(attempts.parent), sent.stderr
    assert attempts.read_text() == ""


@contextmanager
def typed(command, environment, folder):
    """A command as someone types it, for as long as the block lasts."""
    process = subprocess.Popen(
        ["bash", "-c", command],
        env=environment,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def read(address, seconds=180):
    """What a server returns, once it does."""
    end = time.monotonic() + seconds
    while True:
        try:
            return urlopen(address, timeout=60).read()
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.5)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_the_command_that_opens_mlflow_connects_to_nothing(watched, command):
    """A server takes its time to start, and the pages have one command."""
    environment, attempts = watched
    (attempts.parent / "results").mkdir()
    assert "--backend-store-uri sqlite:///results/mlflow.db" in command
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command += f" --workers 1 --port {port}"
    assert shlex.split(command)
    with typed(command, environment, attempts.parent):
        read(f"http://127.0.0.1:{port}/health")
        read(f"http://127.0.0.1:{port}/ajax-api/3.0/mlflow/ui-telemetry")  # as the page does
    assert attempts.read_text() == ""


def test_pages_that_open_mlflow_were_found():
    assert {page.name for page in PAGES} >= {"README.md", "tracking.md"}
