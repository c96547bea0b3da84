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
    """The project after a complete run of the tiny experiment, without any network.

    Whoever asks for one is noted in ``attempts``; where the kernel allows it there is none at all.
    """
    project = copy_project(tmp_path_factory.mktemp("project"))
    ran = project.run(
        *("--resources", "gpu=2", "--set-threads", "train=1", "evaluate=1"),
        prefix=["unshare", "-rn"] if can_leave_the_network() else [],
        PYTHONPATH=str(OFFLINE),
        NETWORK_ATTEMPTS=str(project.folder / "attempts"),
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-6000:]
    return project


def can_leave_the_network():
    """Whether a process here may have a network of its own, with nothing in it."""
    try:
        return subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False
