"""Snakemake's own process while jobs run."""

from typing import Any

DEFAULT = (100, 1)  # jobs, seconds: Snakemake's own limit


def drop_default_limit(scheduler: Any) -> None:
    """Let the scheduler wait until a job ends; a limit that was typed stays.

    Where jobs per second are limited, Snakemake 9.27 wakes its scheduler a second after each time
    it was woken, and each job that ends wakes it once more: ever more often, while jobs are ready.
    In a run of 46 jobs and half an hour it was woken 11,000 times.
    """
    limit = getattr(scheduler, "job_rate_limiter", None)
    if limit is not None and (limit.max_jobs, limit.timespan) == DEFAULT:
        scheduler.job_rate_limiter = None
