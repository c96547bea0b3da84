"""A small experiment that is disturbed, and the same one left undisturbed.

FAULT_TRIALS and FAULT_SEED say how often and at which random moments; both are printed.
"""

import os
import random
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import psutil
import pytest
from filelock import FileLock

from tests.project import Project, copy_project

TRIALS = int(os.environ.get("FAULT_TRIALS", "2"))
SEED = int(os.environ.get("FAULT_SEED", "0"))
SMALL = {
    "seeds": [0],
    "run_models": ["alexnet"],
    "models": {"alexnet": {"learning_rates": [0.001]}},
    "controls": {"untrained": False},
    "comparison": {"splits": [], "networks": []},
    "pruning": {
        "angles": [15, 5],
        "techniques_compared": ["distinctiveness"],
        "compensations": ["none"],
    },
    "tables": {"formats": ["csv"]},
    "tracking": {"uri": None},
    "training": {"epochs": 8},  # long enough to be killed midway
    "resume": {"minutes": 0},
}
RULES = ("make_faces", "index_images", "prepare_frames", "initialise", "train", "evaluate")
ONE_THREAD = ["--set-threads", *(f"{rule}=1" for rule in RULES)]
TABLES = [f"results/tiny/tables/table{number}.parquet" for number in (1, 2, 4, 5)]
ARGUMENTS = [*TABLES, "--resources", "gpu=2", *ONE_THREAD]


def pytest_report_header():
    return f"faults: {TRIALS} trials of each random one, seed {SEED}"


@dataclass
class Disturbed:
    """A project whose runs are disturbed, beside one that ran undisturbed for ``seconds``."""

    project: Project
    quiet: Project
    seconds: float

    def start(self, *targets, **changes) -> subprocess.Popen:
        """Start snakemake in a session of its own; without targets it makes the tables."""
        arguments = [*targets, *ARGUMENTS[len(TABLES) :]] if targets else ARGUMENTS
        return subprocess.Popen(
            self.project.command(*arguments, overlay={**SMALL, **changes}),
            cwd=self.project.folder,
            stdout=(self.project.folder / "out.log").open("w"),
            stderr=subprocess.STDOUT,
            env=self.project.variables,
            start_new_session=True,
        )

    def take_over(self) -> Path:
        """The results of the quiet run, as if they had been made here."""
        shutil.rmtree(self.project.folder / ".snakemake")
        for name in ("results", ".snakemake"):
            shutil.copytree(self.quiet.folder / name, self.project.folder / name, symlinks=True)
        return self.project.folder / "results" / "tiny"

    @property
    def printed(self) -> str:
        """What the disturbed run printed."""
        return (self.project.folder / "out.log").read_text()

    def run(self, **changes) -> subprocess.CompletedProcess:
        """A plain run, to its end."""
        return self.project.run(*ARGUMENTS, overlay={**SMALL, **changes})

    def recover(self, **changes) -> None:
        """A plain rerun succeeds, and everything is as if nothing had happened."""
        ran = self.run(**changes)
        assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-5000:]
        self.check()
        again = self.run(**changes)
        assert "Nothing to be done" in again.stdout + again.stderr

    def check(self) -> None:
        """Tables, histories and networks equal those of the quiet run; nothing is half-written."""
        here, there = self.project.folder / "results/tiny", self.quiet.folder / "results/tiny"
        for pattern in ("tables/*.parquet", "**/history.parquet", "**/metrics.parquet"):
            wanted = {path.relative_to(there) for path in there.glob(pattern)}
            assert wanted <= {path.relative_to(here) for path in here.glob(pattern)}
            for name in wanted:
                pd.testing.assert_frame_equal(
                    pd.read_parquet(here / name), pd.read_parquet(there / name), check_exact=True
                )
        for network in there.glob("runs/**/network.safetensors"):
            assert (here / network.relative_to(there)).read_bytes() == network.read_bytes()
        left = [p for p in here.rglob("*") if ".partial." in p.name or p.name.startswith(".state")]
        assert left == []


@pytest.fixture(scope="session")
def quiet(tmp_path_factory, worker_id):
    """The experiment after an undisturbed run, once for all workers, and how long that took."""
    place = tmp_path_factory.getbasetemp()
    place = place if worker_id == "master" else place.parent
    folder, noted = place / "quiet", place / "quiet_seconds"
    with FileLock(place / "quiet.lock"):
        if not noted.exists():
            started = time.monotonic()
            ran = copy_project(folder).run(*ARGUMENTS, overlay=SMALL)
            assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-6000:]
            noted.write_text(str(time.monotonic() - started))
    return Project(folder), float(noted.read_text())


@pytest.fixture
def disturbed(quiet, tmp_path):
    """A fresh project to disturb; what it left running is stopped."""
    yield Disturbed(copy_project(tmp_path), *quiet)
    for process in psutil.process_iter(["cwd"]):
        if process.info["cwd"] and Path(process.info["cwd"]).is_relative_to(tmp_path):
            process.kill()


@pytest.fixture(params=range(TRIALS))
def rng(request):
    """Random numbers of one trial; how they were seeded is printed where it fails."""
    print(f"FAULT_SEED={SEED}, trial {request.param}")
    return random.Random(f"{SEED}/{request.node.originalname}/{request.param}")


def jobs_of(snakemake: subprocess.Popen) -> list[psutil.Process]:
    """Processes that run a script of the workflow."""
    try:
        below = psutil.Process(snakemake.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    found = []
    for process in below:
        try:
            if any("/.snakemake/scripts/" in word for word in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait_for(condition, seconds=120.0):
    """Wait until ``condition`` returns something true, and return that."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("waited in vain")


def kill_group(process: subprocess.Popen, number: signal.Signals) -> None:
    """Send a signal to all of a session, as a terminal does."""
    os.killpg(process.pid, number)
