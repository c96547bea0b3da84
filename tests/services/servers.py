"""Servers on this machine for the time of a test; none is reached from elsewhere."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psutil

# The tiny experiment with every stage, but half of its jobs.
SMALLER = {
    "seeds": [0],
    "controls": {"untrained": True},
    "pruning": {"techniques_compared": ["distinctiveness"], "compensations": ["none"]},
}
PATIENCE = 120  # seconds until a server must be up


def free_port() -> int:
    """A port of 127.0.0.1 that no process listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def program(name: str) -> Path:
    """A program that was installed with the interpreter."""
    return Path(sys.executable).parent / name


def answers(address: str) -> bool:
    """Whether a web server is up."""
    try:
        with urlopen(address, timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


@contextmanager
def running(
    command: list[str | Path],
    log: Path,
    ready: Callable[[], bool],
    environment: Mapping[str, str] | None = None,
    **options: object,
) -> Iterator[int]:
    """A server while the block runs; it and what it started are stopped whatever happens."""
    with log.open("w") as output:
        server = subprocess.Popen(
            [str(word) for word in command],
            env={**os.environ, **(environment or {})},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **options,
        )
    try:
        end = time.monotonic() + PATIENCE
        while not ready():
            assert server.poll() is None and time.monotonic() < end, log.read_text()[-3000:]
            time.sleep(0.2)
        yield server.pid
    finally:
        stop(server)


def stop(server: subprocess.Popen) -> None:
    """End a server, and its children where they outlive it."""
    children = psutil.Process(server.pid).children(recursive=True) if server.poll() is None else []
    server.send_signal(signal.SIGINT)  # PostgreSQL: at once, but in order
    try:
        server.wait(30)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    for child in children:
        if child.is_running():
            child.kill()


def available(name: str, package: str, pattern: str) -> Path | None:
    """A program of a Debian package, installed where that is possible."""
    for attempt in (False, True):
        found = [*map(Path, filter(None, [shutil.which(name)])), *sorted(Path("/").glob(pattern))]
        if found or attempt or os.geteuid() != 0 or not shutil.which("apt-get"):
            break
        try:
            command = ["apt-get", "install", "-y", "--no-install-recommends", package]
            subprocess.run(command, capture_output=True, check=False, timeout=120)
        except subprocess.TimeoutExpired:
            return None
    return found[-1] if found else None
