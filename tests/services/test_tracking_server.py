"""Four jobs at once, one MLflow server on PostgreSQL: everything arrives, once.

Starts servers and runs most of the tiny experiment, so `make test` leaves it out:
`make test-services`.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pandas as pd
import psutil
import psycopg2
import pytest

from tests.project import ROOT, copy_project
from tests.services.servers import SMALLER, answers, available, free_port, program, running

PASSWORD = "not-on-a-command-line"
FOUR_AT_ONCE = ("--cores", "4", "--resources", "gpu=4", "--set-threads")
FOUR_AT_ONCE += tuple(f"{rule}=1" for rule in ("make_faces", "index_images", "find_faces"))
FOUR_AT_ONCE += tuple(f"{rule}=1" for rule in ("prepare_frames", "crop_faces", "describe_images"))
FOUR_AT_ONCE += tuple(f"{rule}=1" for rule in ("initialise", "train", "evaluate"))
RUN = "split~random/crop~none/recipe~initialised/model~alexnet/learning_rate~0.001/batch_size~16"


@contextmanager
def database():
    """Address of an empty PostgreSQL database; its owner is never root, which it refuses."""
    initdb = available("initdb", "postgresql", "usr/lib/postgresql/*/bin/initdb")
    if initdb is None:
        pytest.skip("PostgreSQL is neither here nor can it be installed")
    owner = {"user": "postgres", "group": "postgres", "extra_groups": []}
    owner = owner if os.geteuid() == 0 else {}
    folder, port = Path(tempfile.mkdtemp(prefix="pg")), free_port()  # a short path, for the socket
    try:
        (folder / "password").write_text(PASSWORD)
        if owner:
            for path in (folder, folder / "password"):
                shutil.chown(path, "postgres", "postgres")
        options = ["--auth=scram-sha-256", f"--pwfile={folder}/password", "--no-sync"]
        command = [initdb, "-D", folder / "data", "-U", "team", *options]
        subprocess.run(command, check=True, capture_output=True, cwd=folder, **owner)
        server = [initdb.with_name("postgres"), "-D", folder / "data", "-p", str(port)]
        server += ["-k", folder, "-c", "listen_addresses=127.0.0.1"]
        uri = f"postgresql://team:{PASSWORD}@127.0.0.1:{port}/postgres"
        with running(server, folder / "log", lambda: connects(uri), cwd=folder, **owner):
            yield uri
    finally:
        shutil.rmtree(folder)


def connects(uri):
    try:
        psycopg2.connect(uri).close()
    except psycopg2.OperationalError:
        return False
    return True


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Address of the server that services/tracking/serve.sh starts, and its artifacts."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    address = f"http://127.0.0.1:{port}"
    with database() as uri:
        settings = {
            "MLFLOW_BACKEND_STORE_URI": uri,
            "MLFLOW_ARTIFACTS_DESTINATION": str(folder / "artifacts"),
            "MLFLOW_PORT": str(port),
            "MLFLOW_WORKERS": "1",
            "MLFLOW": str(program("mlflow")),
        }
        script, log = ROOT / "services" / "tracking" / "serve.sh", folder / "log"
        with running([script], log, lambda: answers(f"{address}/health"), settings, cwd=folder):
            yield address, folder / "artifacts"


@pytest.fixture(scope="module")
def ran(served, tmp_path_factory):
    """The project whose jobs the server was told of, and what snakemake printed."""
    project = replace(copy_project(tmp_path_factory.mktemp("project")), options=FOUR_AT_ONCE)
    tracking = {"uri": served[0], "artifacts": None}
    done = project.run("--benchmark-extended", overlay={**SMALLER, "tracking": tracking})
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return project, done.stderr


@pytest.fixture(scope="module")
def runs(served, ran):
    """All runs of the experiment on the server."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=served[0])
    (experiment,) = [e for e in client.search_experiments() if e.name == "tiny"]
    assert not client.search_runs(["0"])  # the experiment that runs without one go to
    return client.search_runs([experiment.experiment_id], max_results=50_000)


def results(ran):
    return ran[0].folder / "results" / "tiny"


def the_run(runs, path):
    """The run that wrote a file of the results: by its rule and wildcards."""
    rule, wildcards = path
    wanted = {"rule": rule} | {f"wildcard.{k}": v for k, v in wildcards.items()}
    (run,) = [r for r in runs if wanted.items() <= r.data.tags.items()]
    return run


def identity(run):
    """Rule and wildcards of the job that a run tells of."""
    tags = run.data.tags.items()
    wildcards = {(k.removeprefix("wildcard."), v) for k, v in tags if k.startswith("wildcard.")}
    return frozenset({("rule", run.data.tags["rule"]), *wildcards})


def wildcards_of(path, folder):
    return dict(p.split("~") for p in path.parent.relative_to(folder).parts if "~" in p)


def test_every_job_is_there_once_and_finished(ran, runs):
    files = (results(ran) / "benchmarks").rglob("*.jsonl")
    jobs = [json.loads(path.read_text().splitlines()[-1]) for path in files]
    assert len(jobs) > 40
    started = Counter(frozenset({("rule", j["rule_name"]), *j["wildcards"].items()}) for j in jobs)
    assert Counter(map(identity, runs)) == started
    assert len({r.info.run_name for r in runs}) == len(runs)
    assert all(r.info.run_name.split()[0] == r.data.tags["rule"] for r in runs)
    assert len({r.data.tags["record_id"] for r in runs}) == len(runs)
    assert {r.info.status for r in runs} == {"FINISHED"}
    queue = results(ran) / "tracking"
    assert not list((queue / "pending").iterdir()) and not (queue / "refused").exists()
    assert "not mirrored" not in ran[1]


def test_jobs_ran_beside_each_other(runs):
    """Else the test above would say little."""
    times = [(r.info.start_time, r.info.end_time) for r in runs]
    at_once = [sum(start <= begin < end for start, end in times) for begin, _ in times]
    assert max(at_once) >= 3, max(at_once)


def test_series_are_those_of_the_parquet_files(served, ran, runs):
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=served[0])
    files = sorted(results(ran).glob("runs/**/history.parquet"))
    assert len(files) == 3
    for path in files:
        history = pd.read_parquet(path).set_index("epoch")
        run = the_run(runs, ("train", wildcards_of(path, results(ran))))
        for name in ("train_loss", "test_loss", "test_accuracy"):
            found = client.get_metric_history(run.info.run_id, name)
            assert {m.step: m.value for m in found} == history[name].to_dict()


def test_metrics_are_those_of_the_parquet_files(ran, runs):
    files = sorted(results(ran).glob("evaluations/**/metrics.parquet"))
    assert len(files) == 5
    for path in files:
        rows = pd.read_parquet(path)
        rows = rows[rows["class"] == "all"]
        values = dict(zip(rows["part"] + "_" + rows["metric"], rows["value"], strict=True))
        run = the_run(runs, ("evaluate", wildcards_of(path, results(ran))))
        assert run.data.metrics == values


@pytest.mark.parametrize(
    ("rule", "state"), [("prune", "trained"), ("prune_untrained", "untrained")]
)
def test_prunings_are_those_of_the_parquet_files(ran, runs, rule, state):
    files = sorted(results(ran).glob(f"pruned/**/state~{state}/**/metrics.parquet"))
    assert len(files) == 6
    for path in files:
        row = pd.read_parquet(path).iloc[0]
        run = the_run(runs, (rule, wildcards_of(path, results(ran))))
        assert run.data.metrics and run.data.metrics.items() <= row.to_dict().items()


def test_files_come_back_from_the_server(served, ran, runs):
    from mlflow.artifacts import download_artifacts

    wildcards = wildcards_of(Path(RUN) / "seed~0" / "x", Path())
    run = the_run(runs, ("train", wildcards))
    found = download_artifacts(
        run_id=run.info.run_id, artifact_path="history.parquet", tracking_uri=served[0]
    )
    own = results(ran) / "runs" / RUN / "seed~0" / "history.parquet"
    assert Path(found).read_bytes() == own.read_bytes()
    assert list(served[1].rglob("history.parquet"))


def test_no_password_is_on_a_command_line(served):
    commands = [" ".join(p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"])]
    assert any("mlflow" in command for command in commands)
    assert not any(PASSWORD in command for command in commands)
