"""A copy of the project in which the tiny experiment has run once, for real."""

import shutil
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock

from tests.project import Project, copy_project

OFFLINE = Path(__file__).parents[1] / "offline"
MAIN = "split~random/crop~none/recipe~initialised"
RUN = f"{MAIN}/model~alexnet/learning_rate~0.001/batch_size~16/seed~0"
SWEPT = {"distinctiveness", "karnin", "torch_pruning_magnitude", "random"}


@pytest.fixture
def fresh(tmp_path):
    """The project before any run."""
    return copy_project(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory, worker_id):
    """The project after complete runs of the tiny experiment and its comparison, offline.

    It runs once for all workers, each of which has a copy of its own.
    """
    place = tmp_path_factory.getbasetemp()
    place = place if worker_id == "master" else place.parent
    with FileLock(place / "finished.lock"):
        if not (place / "finished").exists():
            run_both(copy_project(place / "finished"))
    return copy_of(place / "finished", tmp_path_factory.mktemp("project"))


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of the finished project, to be changed."""
    return copy_of(finished.folder, tmp_path)


def copy_of(finished, folder):
    return Project(shutil.copytree(finished, folder / "copy", symlinks=True))


def run_both(project):
    """Run both targets. What each printed, and which files there were after it, is noted.

    Whoever asks for a network is noted in ``attempts``; where the kernel allows it there is none at
    all.
    """
    for target in ("all", "comparison"):
        ran = project.run(
            *(target, "--resources", "gpu=2", "--set-threads", "train=1", "evaluate=1"),
            prefix=["unshare", "-rn"] if can_leave_the_network() else [],
            PYTHONPATH=str(OFFLINE),
            NETWORK_ATTEMPTS=str(project.folder / "attempts"),
        )
        assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-6000:]
        (project.folder / f"printed_{target}").write_text(ran.stderr + ran.stdout)
        written = [str(path) for path in (project.folder / "results/tiny").rglob("*.*")]
        (project.folder / f"written_{target}").write_text("\n".join(written))


def results(project):
    """Where the tiny experiment's results are."""
    return project.folder / "results" / "tiny"


def can_leave_the_network():
    """Whether a process here may have a network of its own, with nothing in it."""
    try:
        return subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False
