"""A copy of the project in which the tiny experiment has run once, for real."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PARTS = ["Snakefile", "config.yaml", "configs", "schemas", "rules", "scripts", "envs", "profiles"]
PARTS += ["resources", "report"]


@dataclass(frozen=True)
class Project:
    """A working directory in which people type snakemake."""

    folder: Path

    def run(self, *arguments: str, overlay: dict | None = None) -> subprocess.CompletedProcess:
        """Run snakemake on the tiny config, with ``overlay`` on top."""
        configs = ["configs/tiny.yaml"]
        if overlay is not None:
            (self.folder / "overlay.yaml").write_text(yaml.safe_dump(overlay))
            configs.append("overlay.yaml")
        command = [sys.executable, "-m", "snakemake", *arguments]
        return subprocess.run(
            [*command, "--cores", "2", "--configfile", *configs],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        )

    def dry_run(self, overlay: dict | None = None, *arguments: str) -> dict[str, int]:
        """Jobs that a run would start, by rule."""
        ran = self.run("-n", *arguments, overlay=overlay)
        assert ran.returncode == 0, ran.stderr
        table = re.search(r"Job stats:\njob +count\n[- ]+\n(.*?)\n\n", ran.stdout, re.DOTALL)
        if table is None:
            assert "Nothing to be done" in ran.stdout + ran.stderr
            return {}
        counts = {line.split()[0]: int(line.split()[1]) for line in table[1].splitlines()}
        return {rule: n for rule, n in counts.items() if rule not in ("total", "all")}


def copy_project(folder: Path) -> Project:
    for name in PARTS:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / name)
    return Project(folder)


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
