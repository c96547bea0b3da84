"""The tiny experiment through SLURM, for real: real daemons, real submissions."""

import re

import pyarrow.parquet as pq

from tests.cluster.conftest import ON_CLUSTER, SMALLER

JOB = re.compile(r"^ *Job \d+: (.+)$", re.MULTILINE)  # the message of a rule
STEPS = re.compile(r"of (\d+) steps \(\d+%\) done")


def test_tables_equal_those_of_a_run_without_cluster(on_cluster, on_its_own):
    assert on_cluster.tables.keys() == on_its_own.tables.keys() != set()
    for name, path in on_cluster.tables.items():
        assert pq.read_table(path).equals(pq.read_table(on_its_own.tables[name])), name


def test_every_job_ran_within_a_submission(on_cluster):
    logs = on_cluster.project.folder.glob(".snakemake/slurm_logs/**/*.log")
    ran = {job for log in logs for job in JOB.findall(log.read_text())}
    assert ran == set(JOB.findall(on_cluster.log)) != set()


def test_every_job_ran_once_and_its_record_arrived(on_cluster):
    """Snakemake's own log may name a job twice: it plans again after the selection."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{on_cluster.project.folder}/results/mlflow.db")
    experiment = client.get_experiment_by_name("tiny")
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    names = {run.info.run_name for run in runs}
    assert len(names) == len(runs) == jobs_of(on_cluster)
    assert {run.info.status for run in runs} == {"FINISHED"}


def jobs_of(on_cluster):
    """Number of jobs without the rule all, which is no submission."""
    return int(STEPS.findall(on_cluster.log)[-1]) - 1


def test_submissions_are_far_fewer_than_jobs(on_cluster, cluster):
    """Of the tiny config with one seed; larger experiments have more to share (docs)."""
    jobs = jobs_of(on_cluster)
    submissions = len(cluster.submissions())
    print(f"\n{jobs} jobs in {submissions} submissions")
    assert submissions == on_cluster.log.count("has been submitted with SLURM jobid")
    assert submissions <= 0.4 * jobs


def test_networks_ask_for_one_gpu_and_nothing_else_does(on_cluster, cluster):
    for submission in cluster.submissions():
        gpu = "gres:gpu:1" if "network" in submission["Comment"] else ""
        assert submission.get("TresPerJob", "") == gpu, submission


def test_submissions_get_the_memory_and_time_of_their_largest_and_all_jobs(on_cluster, cluster):
    grouped = {one["Comment"]: one for one in cluster.submissions()}
    training = next(one for comment, one in grouped.items() if "network" in comment)
    assert int(training["MinMemoryNode"].removesuffix("M")) >= 3000
    assert training["TimeLimit"] == "01:45:00"  # train and evaluate, one after the other
    assert training["CPUs/Task"] == "1"


def test_a_second_run_has_nothing_to_do(on_cluster, cluster):
    submissions = len(cluster.submissions())
    again = on_cluster.project.run(*ON_CLUSTER, overlay=SMALLER)
    assert "Nothing to be done" in again.stdout + again.stderr
    assert len(cluster.submissions()) == submissions
