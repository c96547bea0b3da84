"""A copy of the project, in which people type snakemake."""

import atexit
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PARTS = ["Snakefile", "config.yaml", "configs", "schemas", "rules", "scripts", "envs", "profiles"]
PARTS += ["resources", "report"]
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["snakemake.cli", "pyarrow.parquet", "jaxtyping"])


@dataclass(frozen=True)
class Project:
    """A working directory in which people type snakemake, and what they always add to it."""

    folder: Path
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def command(self, *arguments: str, overlay: dict | None = None) -> list[str]:
        """What is typed to run the tiny config, with ``overlay`` on top."""
        configs = ["configs/tiny.yaml"]
        if overlay is not None:
            (self.folder / "overlay.yaml").write_text(yaml.safe_dump(overlay))
            configs.append("overlay.yaml")
        command = [sys.executable, "-m", "snakemake", *arguments]
        return [*command, "--cores", "2", *self.options, "--configfile", *configs]

    @property
    def variables(self) -> dict[str, str]:
        """The whole environment, in which jobs find the same Python."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        compiled = {"PYTHONDONTWRITEBYTECODE": ""}  # jobs share what one of them has compiled
        return {**os.environ, "PATH": path, **compiled, **self.environment}

    def run(
        self,
        *arguments: str,
        overlay: dict | None = None,
        prefix: Sequence[str] = (),
        **environment: str,
    ) -> subprocess.CompletedProcess:
        """Run snakemake to its end; ``prefix`` is a command that starts it.

        Without one, and in no special ``environment``, it is forked.
        """
        command = self.command(*arguments, overlay=overlay)
        if not prefix and not environment:
            return forked(command, self.folder, self.variables)
        return subprocess.run(
            [*prefix, *command],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            env={**self.variables, **environment},
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
        names = ("total", "all", "comparison", "networks")  # nothing that runs
        return {rule: n for rule, n in counts.items() if rule not in names}


def forked(
    command: list[str], folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess:
    """Run ``python -m snakemake ...`` to its end, as a fork of a process that has imported it.

    To import Snakemake takes longer than most of what tests ask it.
    """
    with tempfile.TemporaryDirectory() as place:
        printed = [Path(place, name) for name in ("stdout", "stderr")]
        process = FORKS.Process(
            target=_snakemake, args=(command[3:], folder, dict(environment), printed)
        )
        process.start()
        process.join()
        texts = [path.read_text() for path in printed]
    return subprocess.CompletedProcess(command, process.exitcode, *texts)


def _snakemake(
    arguments: list[str], folder: Path, environment: dict[str, str], printed: list[Path]
) -> None:
    """In the fork: become what a new Python would be in ``folder``."""
    for number, path in enumerate(printed, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.dont_write_bytecode = bool(environment.get("PYTHONDONTWRITEBYTECODE"))
    own = {str(ROOT), str(ROOT / "scripts")}  # the copy in ``folder`` is tested, and nothing else
    sys.path[:] = [str(folder), *(path for path in sys.path if path not in own)]
    sys.argv = ["snakemake", *arguments]
    from snakemake.cli import main

    try:
        main()
    finally:
        atexit._run_exitfuncs()  # forks of multiprocessing leave them out


def documented_technique() -> tuple[str, str]:
    """Path and text of the file that docs/how-to/add-a-technique.md shows, word for word."""
    page = (ROOT / "docs" / "how-to" / "add-a-technique.md").read_text(encoding="utf-8")
    shown = re.search(r"`(scripts/\S+\.py)`:\n\n```python\n(.*?)```", page, re.DOTALL)
    assert shown is not None
    return shown[1], shown[2]


def copy_project(folder: Path) -> Project:
    """A copy of what people check out, in ``folder``, and of what is known of its modules."""
    folder.mkdir(exist_ok=True)
    for name in PARTS:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, dirs_exist_ok=True)
        else:
            shutil.copy2(source, folder / name)
    parsed = ROOT / ".snakemake" / "parsed"  # by content; to parse every module takes a second
    parsed.mkdir(parents=True, exist_ok=True)
    (folder / ".snakemake").mkdir()
    (folder / ".snakemake" / "parsed").symlink_to(parsed)
    return Project(folder)
