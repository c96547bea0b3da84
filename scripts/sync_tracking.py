"""Send the records that the tracking store did not take when their jobs ran."""

from pathlib import Path

from neuron_pruning.core.errors import UserError
from neuron_pruning.tracking.outbox import PENDING, REFUSED, Store, resend_pending
from runtime.job_adapter import run_job


def sync_tracking(folder: str, uri: str | None, experiment: str, artifacts: str | None) -> None:
    """Mirror every pending record, or raise an error with the reason."""
    store, place = Store(uri, experiment, None, artifacts), Path(folder)
    try:
        left = resend_pending(store, place)
    except Exception as error:
        raise UserError(
            f"tracking.uri: {uri} does not answer ({type(error).__name__}: {error}); "
            f"the records stay in {place / PENDING}"
        ) from error
    refused = len(list((place / REFUSED).glob("*.json")))
    print(
        f"{left} records wait in {place / PENDING}, {refused} that the store refused lie in "
        f"{place / REFUSED}; the others are in {uri}"
    )


if "snakemake" in globals():
    run_job(globals()["snakemake"], sync_tracking)
