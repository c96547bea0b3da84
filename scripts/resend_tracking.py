"""Send the records that the tracking store did not take when their jobs ran."""

from pathlib import Path

from adapter import Mirrored, run_job
from neuron_pruning.errors import UserError
from neuron_pruning.tracking import Store, resend_pending


def resend_tracking(
    pending: str, uri: str | None, experiment: str, artifacts: str | None
) -> Mirrored:
    """Mirror every pending record, or say what keeps them."""
    try:
        sent, left = resend_pending(Store(uri, experiment, None, artifacts), Path(pending))
    except Exception as error:
        raise UserError(
            f"tracking.uri: {uri} does not answer ({type(error).__name__}: {error}); "
            f"the records stay in {pending}"
        ) from error
    print(f"{sent} records sent to {uri}, {left} left in {pending}")
    return Mirrored()


if "snakemake" in globals():
    run_job(snakemake, resend_tracking)  # noqa: F821
