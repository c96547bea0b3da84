"""What Snakemake's scheduler is spared."""

from types import SimpleNamespace

import pytest
from snakemake.cli import get_argument_parser
from snakemake.scheduling.job_scheduler import JobRateLimiter

from runtime.scheduling import drop_default_limit


@pytest.mark.parametrize(
    ("typed", "stays"), [([], False), (["--max-jobs-per-timespan", "5/1m"], True)]
)
def test_a_limit_that_was_not_typed_is_dropped(typed, stays):
    limit = get_argument_parser().parse_args(typed).max_jobs_per_timespan
    scheduler = SimpleNamespace(job_rate_limiter=JobRateLimiter(limit))
    drop_default_limit(scheduler)
    assert (scheduler.job_rate_limiter is not None) == stays
