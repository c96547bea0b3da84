"""The workflow from other folders than its own, and as a module of another workflow."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.project import Project, copy_project, forked

CLASSES = ["Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise"]
SMALL = {
    "experiment": "elsewhere",
    "dataset": {"input_size": [300, 300]},
    "faces": {"width": 64, "height": 64, "movies": 5, "counts": dict.fromkeys(CLASSES, 5)},
    "tracking": {"uri": None},
}
MODULE = """
configfile: "mine.yaml"
module pruning:
    snakefile: "{project}/Snakefile"
    config: config{part}
    {more}
use rule * from pruning{names}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A checkout that nothing is written to."""
    return copy_project(tmp_path_factory.mktemp("checkout")).folder


@pytest.fixture
def elsewhere(tmp_path):
    """A folder with a config and nothing else."""
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(SMALL))
    return tmp_path


def snakemake(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess:
    """What a person types in ``folder``; the run must succeed."""
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *map(str, arguments)]
    ran = forked(command, folder, Project(folder).variables)
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-4000:]
    return ran


def from_there(project: Path) -> list[str | Path]:
    return ["-s", project / "Snakefile", "--configfile", "mine.yaml"]


def files_of(project: Path) -> list[Path]:
    """Everything in it but what Python compiled."""
    return [path for path in sorted(project.rglob("*")) if "__pycache__" not in str(path)]


def test_from_a_folder_without_a_config_of_its_own(project, elsewhere, tmp_path_factory):
    before = files_of(project)
    planned = snakemake(elsewhere, "-n", *from_there(project))
    assert "build_report" in planned.stdout and "results/elsewhere" in planned.stdout
    snakemake(elsewhere, "audit_paper", "index_images", *from_there(project))
    assert (elsewhere / "results" / "elsewhere" / "dataset" / "index.parquet").exists()
    assert "22.96" in (elsewhere / "docs" / "PAPER_AUDIT.md").read_text()
    assert files_of(project) == before

    other = copy_project(tmp_path_factory.mktemp("other")).folder
    again = snakemake(elsewhere, "-n", "audit_paper", "index_images", *from_there(other))
    assert "Nothing to be done" in again.stdout + again.stderr
    figures = other / "resources" / "paper.yaml"
    figures.write_text(figures.read_text() + "new: 1\n")
    again = snakemake(elsewhere, "-n", "audit_paper", "index_images", *from_there(other))
    assert "audit_paper" in again.stdout and "index_images" not in again.stdout


def test_the_directory_that_snakemake_is_told(project, elsewhere, tmp_path):
    config = elsewhere / "mine.yaml"
    there = tmp_path / "there"
    snakemake(project, "index_images", "--directory", there, "--configfile", config)
    assert (there / "results" / "elsewhere" / "dataset" / "index.parquet").exists()
    assert not (project / "results").exists()


def test_a_config_of_the_working_directory_comes_before_the_projects(project, elsewhere):
    (elsewhere / "config.yaml").write_text(yaml.safe_dump({**SMALL, "experiment": "own"}))
    planned = snakemake(elsewhere, "-n", "-s", project / "Snakefile")
    assert "results/own" in planned.stdout and "results/paper" not in planned.stdout


@pytest.mark.parametrize(
    ("part", "names", "prefix"),
    [("", "", ""), ('["pruning"]', " as pruning_*", "pruning_")],
    ids=["whole", "nested_and_renamed"],
)
def test_as_a_module(project, elsewhere, part, names, prefix):
    if part:
        (elsewhere / "mine.yaml").write_text(yaml.safe_dump({"own": 1, "pruning": SMALL}))
    text = MODULE.format(project=project, part=part, names=names, more="")
    (elsewhere / "Snakefile").write_text(text)
    planned = snakemake(elsewhere, "-n", f"{prefix}all")
    assert f"{prefix}build_report" in planned.stdout
    snakemake(elsewhere, f"{prefix}audit_paper", f"{prefix}index_images")
    assert (elsewhere / "results" / "elsewhere" / "dataset" / "index.parquet").exists()
    assert (elsewhere / "docs" / "PAPER_AUDIT.md").exists()


def test_a_module_with_a_prefix_is_told_what_to_do_instead(project, elsewhere):
    text = MODULE.format(project=project, part="", names="", more='prefix: "deep"')
    (elsewhere / "Snakefile").write_text(text)
    command = [sys.executable, "-m", "snakemake", "-n", "--cores", "1"]
    ran = forked(command, elsewhere, os.environ)
    assert ran.returncode != 0 and "leave prefix and replace_prefix out" in ran.stdout + ran.stderr
