"""A cluster of one machine, and the tiny experiment run with and without it."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.cluster.slurm import Cluster, Unavailable, daemons, install
from tests.project import Project, copy_project

# What profiles/slurm cannot know of this machine: its partition, and that no other job waits.
ONE_MACHINE = {
    "latency-wait": 5,
    "slurm-init-seconds-before-status-checks": 2,
    "slurm-keep-successful-logs": True,
    "default-resources": {"slurm_partition": "main", "mem_mb": 1000, "runtime": 3, "step": 1},
}
# Half the jobs and less: each starts Snakemake twice within its submission.
SMALLER = {"seeds": [0], "controls": {"untrained": True}}
# The last bits of a result depend on the number of threads.
ONE_THREAD = ["make_faces", "index_images", "prepare_frames", "crop_faces"]
ONE_THREAD += ["describe_images", "initialise", "train", "evaluate"]
THREADS = ["--set-threads", *(f"{rule}=1" for rule in ONE_THREAD)]
ON_CLUSTER = [*THREADS, "--profile", "profiles/slurm", "--profile", "one_machine"]


@dataclass(frozen=True)
class Ran:
    """One run of the experiment: where, and what it printed."""

    project: Project
    log: str

    @property
    def tables(self) -> dict[str, Path]:
        folder = self.project.folder / "results" / "tiny" / "tables"
        return {path.name: path for path in folder.glob("*.parquet")}


@pytest.fixture(scope="session")
def before():
    """Daemons that are none of ours: what runs once SLURM is installed."""
    try:
        install()
    except Unavailable as reason:
        pytest.skip(f"no SLURM here: {reason}")
    return daemons()


@pytest.fixture(scope="module")
def cluster(before, tmp_path_factory):
    """SLURM on this machine; stopped and forgotten whatever happens."""
    cluster = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
    except Unavailable as reason:
        pytest.skip(f"no SLURM here: {reason}")
    else:
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def on_cluster(cluster, tmp_path_factory):
    """The tiny experiment through profiles/slurm."""
    project = copy_project(tmp_path_factory.mktemp("on_cluster"))
    (project.folder / "one_machine").mkdir()
    (project.folder / "one_machine" / "config.yaml").write_text(yaml.safe_dump(ONE_MACHINE))
    return run(project, *ON_CLUSTER)


@pytest.fixture(scope="module")
def on_its_own(tmp_path_factory):
    """The same, without a cluster."""
    project = copy_project(tmp_path_factory.mktemp("on_its_own"))
    return run(project, *THREADS, "--resources", "gpu=2")


def run(project: Project, *arguments: str) -> Ran:
    ran = project.run(*arguments, overlay=SMALLER)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-6000:]
    return Ran(project, ran.stdout + ran.stderr)
