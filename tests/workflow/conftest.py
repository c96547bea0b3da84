"""A copy of the project in which the tiny experiment has run once, for real."""

import subprocess
from pathlib import Path

import pytest

from tests.project import copy_project

OFFLINE = Path(__file__).parents[1] / "offline"


@pytest.fixture
def fresh(tmp_path):
    """The project before any run."""
    return copy_project(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The project after complete runs of the tiny experiment and its comparison, offline.

    What each printed, and which files there were after it, is noted beside the results. Whoever
    asks for a network is noted in ``attempts``; where the kernel allows it there is none at all.
    """
    project = copy_project(tmp_path_factory.mktemp("project"))
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
    return project


def can_leave_the_network():
    """Whether a process here may have a network of its own, with nothing in it."""
    try:
        return subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False
