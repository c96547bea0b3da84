"""A copy of the project in which the tiny experiment has run once, for real."""

import pytest
from tests.project import copy_project


@pytest.fixture
def fresh(tmp_path):
    """The project before any run."""
    return copy_project(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The project after a complete run of the tiny experiment."""
    project = copy_project(tmp_path_factory.mktemp("project"))
    ran = project.run("--resources", "gpu=2", "--set-threads", "train=1", "evaluate=1")
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-6000:]
    return project
