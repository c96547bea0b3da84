"""No job outlives the run of Snakemake that started it."""

import os
import select
import threading
from pathlib import Path

import psutil

KILLED = 137  # exit status of a job whose run is gone, as if the same kill had taken it


def end_with_run() -> None:
    """End this process as soon as the snakemake that started it is gone.

    A snakemake that is killed leaves its jobs running. The next one would start them again, and
    two processes would write the same files.
    """
    run = run_above()
    if run is not None and hasattr(os, "pidfd_open"):
        try:
            ended = os.pidfd_open(run.pid)
        except OSError:  # it has ended already, or the kernel does not have this call
            return
        threading.Thread(target=_end_after, args=(ended,), daemon=True).start()


def run_above() -> psutil.Process | None:
    """The nearest process above this one that runs snakemake."""
    try:
        for parent in psutil.Process().parents():
            if any(Path(word).name == "snakemake" for word in parent.cmdline()[:3]):
                return parent
    except psutil.Error:  # it ended while it was asked
        return None
    return None


def _end_after(ended: int) -> None:
    select.select([ended], [], [])
    os._exit(KILLED)  # nothing is half-written: files get their names when they are whole
