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


@pytest.mark.parametrize("copy", [shutil.copy, shutil.copy2])  # with new times, and old ones
def test_another_machine_takes_the_results_over(stored, tmp_path, copy):
    """Nothing is made twice, and a changed value is noticed, as where they were made."""
    other = again(stored, tmp_path / "copy", copy)
    assert other.dry_run(OVERLAY) == {}
    remove_copies(other)
    assert "train" in other.dry_run({**OVERLAY, **EPOCHS})


def remove_copies(project):
    """Of the selection, over which Snakemake stumbles after a dry run; see docs."""
    shutil.rmtree(project.folder / ".snakemake" / "storage")


def test_all_but_times_is_what_a_run_on_a_disk_writes(bucket, stored, tmp_path):
    local = replace(copy_project(tmp_path), options=QUICK)
    ran = local.run(overlay=OVERLAY)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-6000:]
    folder, found = tmp_path / "results" / "tiny", contents(bucket)
    own = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    own = {name: p for name, p in own.items() if p.name != ".snakemake_timestamp"}
    own = {name: p for name, p in own.items() if not name.startswith(".")}  # lock, checksums, reuse
    here = {name for name in found if not name.endswith(".snakemake_timestamp")}
    here = {name for name in here if not name.startswith(".")}  # records
    assert here == own.keys()
    compared = [name for name in own if not name.endswith(DIFFERENT)]
    assert len(compared) > 80 and sum(name.startswith("tables/") for name in compared) == 25
    for name in compared:
        assert found[name].get()["Body"].read() == own[name].read_bytes(), name


def test_what_another_machine_changed_is_noticed_here(stored, tmp_path):
    """The config here asks for other angles than those that the table there was made for."""
    other = again(stored, tmp_path / "copy")
    wider = {**OVERLAY, "pruning": {**OVERLAY["pruning"], "angles": [15, 10, 7]}}
    ran = other.run(overlay=wider)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-6000:]
    remove_copies(stored)
    assert stored.dry_run(OVERLAY) == {"table_pruning": 1, "build_report": 1}
    ran = stored.run(overlay=OVERLAY)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-6000:]
    remove_copies(other)
    assert other.dry_run(OVERLAY) == {}


def test_what_no_record_explains_is_made_again(bucket, stored, tmp_path):
    """Somebody has put another table there; then the records are gone."""
    place = f"{PREFIX}/results/tiny"
    table = bucket.Object(f"{place}/tables/table1.parquet")
    content, other = table.get()["Body"].read(), again(stored, tmp_path / "copy")
    time.sleep(1)
    table.put(Body=content)
    found = other.dry_run(OVERLAY)
    assert found == {"table_grid": 1, "build_report": 1}
    bucket.Object(f"{place}/.records.json.gz").delete()
    assert "train" in again(stored, tmp_path / "third").dry_run(OVERLAY)


def test_files_of_the_user_are_looked_for_here(stored, tmp_path):
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("image,x,y,width,height\n")
    overlay = {**OVERLAY, "dataset": {"boxes": str(boxes)}}
    assert "find_faces" in stored.dry_run(overlay, "comparison")
