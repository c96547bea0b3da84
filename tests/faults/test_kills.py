"""Processes that end at random moments: a rerun ends as if they had not."""

import signal
import time

import psutil
import pytest

from tests.faults.conftest import jobs_of, kill_group, wait_for

STATES = "results/tiny/runs/**/.state.safetensors"


def test_a_job_is_killed(disturbed, rng):
    """kill -9 of a job: Snakemake says so, the others go on, a rerun does the rest."""
    run = disturbed.start()
    time.sleep(rng.uniform(0.05, 0.9) * disturbed.seconds)
    jobs = wait_for(lambda: jobs_of(run) or run.poll() is not None)
    if run.poll() is None:
        rng.choice(jobs).kill()
    run.wait(timeout=300)
    disturbed.recover()


def test_a_training_goes_on_where_it_was_killed(disturbed, rng):
    """After a kill during a training its log says that it went on."""
    run = disturbed.start()
    (kept, *_) = wait_for(lambda: list(disturbed.project.folder.glob(STATES)))
    time.sleep(rng.uniform(0, 0.2))
    killed = jobs_of(run)
    for job in killed:
        job.kill()
    run.wait(timeout=300)
    assert killed and kept.exists()
    disturbed.recover()
    logs = (disturbed.project.folder / "results/tiny/logs/train").rglob("*.log")
    assert any("resuming in epoch" in log.read_text() for log in logs)


def test_no_job_outlives_its_run(disturbed):
    """A training of minutes ends at once with the snakemake above it."""
    run = disturbed.start(training={"epochs": 2000})
    wait_for(lambda: list(disturbed.project.folder.glob(STATES)))
    jobs = jobs_of(run)
    run.kill()
    _, alive = psutil.wait_procs(jobs, timeout=15)
    assert jobs and not alive
    disturbed.recover()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_snakemake_is_killed(disturbed, rng, number):
    """Its jobs end with it, no lock stays, --unlock is not needed."""
    tracking = {"uri": "sqlite:///results/mlflow.db"}
    run = disturbed.start(tracking=tracking)
    time.sleep(rng.uniform(0.1, 0.9) * disturbed.seconds)
    jobs = jobs_of(run)
    if number == signal.SIGINT:
        kill_group(run, number)  # as Ctrl-C in a terminal
    else:
        run.send_signal(number)
    run.wait(timeout=300)
    _, alive = psutil.wait_procs(jobs, timeout=10)
    assert alive == []
    disturbed.recover(tracking=tracking)
    runs = mirrored(disturbed.project.folder / "results/mlflow.db")
    assert len({r.data.tags["record_id"] for r in runs}) == len(runs)
    assert {r.info.status for r in runs} <= {"FINISHED", "FAILED"}
    assert list((disturbed.project.folder / "results/tiny/tracking/pending").iterdir()) == []


def mirrored(database):
    """All runs of a tracking store."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{database}")
    experiment = client.get_experiment_by_name("tiny")
    return client.search_runs([experiment.experiment_id], max_results=1000)


def test_two_are_started_at_once(disturbed):
    """The second says so and leaves; the first is not disturbed."""
    first = disturbed.start()
    wait_for(lambda: jobs_of(first))
    second = disturbed.run()
    assert second.returncode != 0
    assert f"another snakemake is at work in results/tiny (process {first.pid}" in second.stderr
    assert "Traceback" not in second.stderr
    assert first.wait(timeout=300) == 0, disturbed.printed[-5000:]
    disturbed.check()
    disturbed.recover()
