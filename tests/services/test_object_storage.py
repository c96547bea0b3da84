"""Results in a bucket: the same bytes as on a disk, and nothing is made twice.

Starts an S3 server and runs the tiny experiment twice, so `make test` leaves it out:
`make test-services`.
"""

import shutil
import time
from dataclasses import replace

import boto3
import pytest

from tests.project import Project, copy_project
from tests.services.servers import SMALLER, answers, free_port, program, running

BUCKET, PREFIX = "results", "a-team"
KEYS = {"SNAKEMAKE_STORAGE_S3_ACCESS_KEY": "key", "SNAKEMAKE_STORAGE_S3_SECRET_KEY": "secret"}
QUICK = ("--resources", "gpu=2", "--set-threads", "train=1", "evaluate=1")
OVERLAY = {**SMALLER, "tracking": {"uri": None}, "run_models": ["alexnet"]}
OVERLAY |= {"comparison": {"splits": ["random"], "networks": []}}
EPOCHS = {"training": {"epochs": 3}}
# Times differ from run to run.
DIFFERENT = ("speed.parquet", "report.html", ".log", ".jsonl")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Address of an S3 server."""
    port = free_port()
    uri, log = f"http://127.0.0.1:{port}", tmp_path_factory.mktemp("server") / "log"
    command = [program("moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    with running(command, log, lambda: answers(f"{uri}/moto-api/")):
        yield uri


@pytest.fixture(scope="module")
def bucket(address):
    """A bucket on it."""
    keys = dict(aws_access_key_id="key", aws_secret_access_key="secret", region_name="us-east-1")
    made = boto3.resource("s3", endpoint_url=address, **keys).Bucket(BUCKET)
    made.create()
    return made


@pytest.fixture(scope="module")
def options(address):
    """What profiles/s3 leaves to people: their bucket and its server."""
    place = ("--default-storage-prefix", f"s3://{BUCKET}/{PREFIX}")
    return (*QUICK, "--profile", "profiles/s3", *place, "--storage-s3-endpoint-url", address)


@pytest.fixture(scope="module")
def stored(bucket, options, tmp_path_factory):
    """The project after a run into the bucket."""
    project = copy_project(tmp_path_factory.mktemp("stored"))
    project = replace(project, options=options, environment=KEYS)
    ran = project.run(overlay=OVERLAY)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-6000:]
    return project


def contents(bucket):
    """Objects of the experiment by their names in the results' folder."""
    start = f"{PREFIX}/results/tiny/"
    return {o.key.removeprefix(start): o for o in bucket.objects.filter(Prefix=start)}


def again(project, folder, copy=shutil.copy2):
    """The same project somewhere else, without what Snakemake noted; ``copy2`` keeps times."""
    left_out = shutil.ignore_patterns(".snakemake", "results")
    shutil.copytree(project.folder, folder, ignore=left_out, copy_function=copy)
    return Project(folder, project.options, project.environment)


def test_everything_is_in_the_bucket_and_nothing_else_here(bucket, stored):
    found = contents(bucket)
    assert {"report.html", "selection.parquet", "tables/table1.parquet"} <= found.keys()
    assert {name.split("/")[0] for name in found} >= {"faces", "runs", "logs", "benchmarks"}
    assert sum(name.startswith("faces/") for name in found) >= 41  # a folder, image by image
    here = stored.folder / "results" / "tiny"
    assert {path.name for path in here.iterdir()} <= {".lock", ".kept"}
    assert all(o.key.startswith(f"{PREFIX}/results/tiny/") for o in bucket.objects.all())


def test_a_second_run_has_nothing_to_do(stored):
    assert stored.dry_run(OVERLAY) == {}
    ran = stored.run(overlay=OVERLAY)
    assert ran.returncode == 0 and "Nothing to be done" in ran.stdout + ran.stderr


def test_a_changed_value_reruns_what_depends_on_it(stored):
    """The selection, which says what depends, is fetched from the bucket."""
    angles = {"pruning": {**OVERLAY["pruning"], "angles": [15, 10, 7]}}
    found = stored.dry_run({**OVERLAY, **angles})
    assert found == {"prune": 1, "prune_untrained": 1, "table_pruning": 1, "build_report": 1}


def test_a_fresh_copy_has_nothing_to_do(stored, tmp_path):
    """Without notes of what made the files, times decide."""
    copy = again(stored, tmp_path / "copy")
    assert copy.dry_run(OVERLAY) == {}
    for changed in ({"pruning": {**OVERLAY["pruning"], "angles": [15, 10, 7]}}, EPOCHS):
        assert copy.dry_run({**OVERLAY, **changed}) == {}  # it cannot tell


def test_a_new_checkout_takes_snakemakes_notes_along(stored, tmp_path):
    """There all files are newer than the results; notes know code and small inputs by content."""
    time.sleep(1)
    copy = again(stored, tmp_path / "copy", shutil.copy)
    # Without notes, times decide: tables read files of resources/. So would the given boxes.
    found = copy.dry_run({**OVERLAY, "dataset": {"boxes": None}})
    assert all(rule.startswith("table_") or rule == "build_report" for rule in found), found
    notes = ".snakemake/metadata"
    shutil.copytree(stored.folder / notes, copy.folder / notes, dirs_exist_ok=True)
    triggers = ("--rerun-triggers", "mtime", "input", "params", "software-env")
    assert copy.dry_run(OVERLAY, *triggers) == {}
    # Snakemake stumbles over the selection that the last dry run fetched; see docs.
    shutil.rmtree(copy.folder / ".snakemake" / "storage")
    assert "train" in copy.dry_run({**OVERLAY, **EPOCHS}, *triggers)


def test_all_but_times_is_what_a_run_on_a_disk_writes(bucket, stored, tmp_path):
    local = replace(copy_project(tmp_path), options=QUICK)
    ran = local.run(overlay=OVERLAY)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-6000:]
    folder, found = tmp_path / "results" / "tiny", contents(bucket)
    own = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    own = {name: p for name, p in own.items() if p.name != ".snakemake_timestamp"}
    own = {name: p for name, p in own.items() if not name.startswith(".")}  # lock, checksums, reuse
    here = {name for name in found if not name.endswith(".snakemake_timestamp")}
    assert here == own.keys()
    compared = [name for name in own if not name.endswith(DIFFERENT)]
    assert len(compared) > 80 and sum(name.startswith("tables/") for name in compared) == 25
    for name in compared:
        assert found[name].get()["Body"].read() == own[name].read_bytes(), name


def test_files_of_the_user_are_looked_for_here(stored, tmp_path):
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("image,x,y,width,height\n")
    overlay = {**OVERLAY, "dataset": {"boxes": str(boxes)}}
    assert "find_faces" in stored.dry_run(overlay, "comparison")
