"""Create the tracking store and the experiment, once, before any job logs to it."""

import logging
import sys
from dataclasses import asdict
from pathlib import Path

from adapter import Mirrored, run_job
from neuron_pruning.files import write_json
from neuron_pruning.tracking import Store, open_store


def open_tracking(store: Path, uri: str | None, experiment: str, artifacts: str | None) -> Mirrored:
    """Write where and under which experiment id the jobs log; a store that is down can wait."""
    wanted = Store(uri, experiment, None, artifacts)
    try:
        wanted = open_store(wanted)
    except Exception as error:  # noqa: BLE001 - whatever the store throws, the work can go on
        problem = f"{uri} cannot be reached ({type(error).__name__}: {str(error).splitlines()[0]})"
        logging.warning(problem)
        print(f"warning: {problem}; records wait in {store.parent}/pending", file=sys.stderr)
    write_json(store, asdict(wanted))
    return Mirrored()


if "snakemake" in globals():
    run_job(snakemake, open_tracking)  # noqa: F821
