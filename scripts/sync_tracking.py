"""Send the records that the tracking store did not take when their jobs ran."""

from pathlib import Path

from neuron_pruning.core.errors import UserError
from neuron_pruning.tracking.mlflow_client import follow_artifacts, send_waiting
from neuron_pruning.tracking.outbox import PENDING, REFUSED, in_short
from runtime.job_adapter import run_job


def sync_tracking(folder: str, uri: str, experiment: str, artifacts: str | None) -> None:
    """Mirror every pending record, or raise an error with the reason."""
    pending, refused = Path(folder) / PENDING, Path(folder) / REFUSED
    try:
        send_waiting(Path(folder), uri, experiment, artifacts)
        follow_artifacts(uri, experiment, artifacts)
    except Exception as error:
        raise UserError(
            f"tracking.uri: {uri} does not answer ({in_short(error)}); records stay in {pending}"
        ) from error
    print(f"all of {pending} is in {uri}; {len(list(refused.glob('*.json')))} lie in {refused}")


if "snakemake" in globals():
    run_job(globals()["snakemake"], sync_tracking)
