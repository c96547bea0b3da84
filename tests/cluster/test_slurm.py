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


def jobs_by_submission(on_cluster):
    """Messages of the jobs that each submission ran, by its log."""
    logs = on_cluster.project.folder.glob(".snakemake/slurm_logs/**/*.log")
    return [set(JOB.findall(log.read_text())) for log in logs]


def test_every_job_ran_within_a_submission(on_cluster):
    ran = set().union(*jobs_by_submission(on_cluster))
    assert ran == set(JOB.findall(on_cluster.log)) != set()


def test_no_job_is_in_two_submissions(on_cluster):
    """Snakemake's own log may name one twice: it plans again after the selection."""
    found = jobs_by_submission(on_cluster)
    assert sum(map(len, found)) == len(set().union(*found))


def test_submissions_are_at_most_a_third_of_the_jobs(on_cluster, cluster):
    jobs = int(STEPS.findall(on_cluster.log)[-1]) - 1  # without rule all
    submissions = len(cluster.submissions())
    print(f"\n{jobs} jobs in {submissions} submissions")
    assert submissions == on_cluster.log.count("has been submitted with SLURM jobid")
    assert 3 * submissions <= jobs


def test_networks_ask_for_one_card_and_nothing_else_does(on_cluster, cluster):
    for submission in cluster.submissions():
        card = "gres:gpu:1" if "network" in submission["Comment"] else ""
        assert submission.get("TresPerJob", "") == card, submission


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
