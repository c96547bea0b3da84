"""Send the records of jobs to the tracking store while the workflow runs.

It is no rule: rules/tracking.smk starts it. A job only writes its record, which takes milliseconds;
this one process imports MLflow once, for all jobs. It ends when the workflow does, however that
ends, because its standard input closes then. Whatever holds it up, it can be killed: no lock, no
database and no server keeps the workflow longer than ``LIMIT``.
"""

import argparse
import json
import os
import select
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from neuron_pruning.core.errors import UserError
from neuron_pruning.tracking.mlflow_client import send_waiting
from neuron_pruning.tracking.outbox import in_short, waiting_records
from runtime.run_lock import RunLock

SCRIPTS = Path(__file__).parents[1]
INTERVAL = 1.0  # seconds between looks into the folder
RETRY = 30.0  # seconds before a store that failed is asked again
LIMIT = 90.0  # seconds that the end of a workflow waits for the last records
NAME_THE_CONFIG: dict[tuple[str, ...], str | int] = {  # options of Snakemake, and their values
    ("--snakefile", "-s"): 1,
    ("--directory", "-d"): 1,
    ("--profile",): 1,
    ("--workflow-profile",): 1,
    ("--configfile", "--configfiles"): "+",
    ("--config", "-C"): "*",
}


class TrackingUploader:
    """The workflow's handle on the process."""

    def __init__(self, folder: Path, store: Mapping[str, Any]) -> None:
        """``store``: arguments of :func:`send_waiting`; without an address nothing starts."""
        self._folder, self._store = folder, store
        self._process: subprocess.Popen[bytes] | None = None

    def waiting(self) -> list[Path]:
        """Records that were not sent yet."""
        return waiting_records(self._folder)

    def start(self) -> None:
        """Start to send; a session of its own keeps it from Ctrl-C."""
        if self._store["uri"] is None:
            return
        self._process = subprocess.Popen(
            [sys.executable, "-m", "runtime.tracking_uploader", str(self._folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(SCRIPTS), *sys.path]),
                # Not on the command line, which all users of the machine may read.
                "TRACKING_STORE": json.dumps(dict(self._store)),
            },
        )

    def finish(self) -> str | None:
        """Let it send what is left, for ``LIMIT`` seconds; returns what went wrong, if anything."""
        if self._process is None:
            return None
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            status = self._process.wait(LIMIT)
            ended = f"ended with exit status {status}"
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            self._process.kill()
            status, ended = -9, f"did not end within {LIMIT:.0f} s and was killed"
        left = len(self.waiting())
        if status == 0 and left == 0:
            return None
        return f"{left} records were not mirrored to MLflow (the tracking uploader {ended})"


def finish_tracking(
    uploader: TrackingUploader, lock: RunLock, workflow: Any, imported: bool = False
) -> None:
    """Send what is left, also where nothing is to be done, and say what still waits.

    ``imported``: as a module of another workflow, whose run has called no handler of ours.
    """
    if is_real(workflow) and (imported or len(workflow.dag) == 0) and uploader.waiting():
        with suppress(UserError):  # another run is at work, and sends them
            lock.take()
            uploader.start()
    if problem := uploader.finish():
        print(f"warning: {problem}; all files are complete. Send them later:", file=sys.stderr)
        print(sync_command(sys.argv[1:]), file=sys.stderr)


def is_real(workflow: Any) -> bool:
    """Whether Snakemake ran jobs, or found nothing to be done and so called no handler."""
    runs = workflow.is_main_process and workflow.scheduler is not None
    return runs and not (workflow.dryrun or workflow.touch)


def sync_command(arguments: Sequence[str]) -> str:
    """Command that sends what waits, for the config and folders that ``arguments`` name."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for names, number in NAME_THE_CONFIG.items():
        parser.add_argument(*names, nargs=number)
    words = [sys.executable, "-m", "snakemake", "sync_tracking", "--cores", "1"]
    for name, values in vars(parser.parse_known_args(arguments)[0]).items():
        words += [f"--{name.replace('_', '-')}", *values] if values else []
    return shlex.join(words)


def check_records_wait(folder: Path, uri: str | None) -> None:
    """Do nothing if records wait in ``folder``, or if all have been sent everywhere.

    Raises:
        UserError: there is no store, or what waits belongs to another config.
    """
    found = list(filter(waiting_records, folder.parents[1].glob(f"*/{folder.name}")))
    if uri is None or (folder not in found and (found or not folder.exists())):
        raise UserError(
            f"nothing to send from {folder} to tracking.uri {uri}; records wait in: "
            f"{', '.join(map(str, found)) or 'no folder'}. Name the config of their experiment: "
            "snakemake sync_tracking --cores 1 --configfile ..."
        )


def run(folder: Path, store: Mapping[str, Any], closing: IO[Any]) -> str | None:
    """Send records until ``closing`` is closed, then what is left; returns what keeps that."""
    wait, closed, problem = INTERVAL, False, None
    while not closed:
        closed = bool(select.select([closing], [], [], wait)[0])
        try:
            send_waiting(folder, **store)
            wait, problem = INTERVAL, None
        except Exception as error:  # noqa: BLE001 - whatever the store throws, the results stand
            wait, problem = RETRY, f"{store['uri']}: {in_short(error)}"
    return problem


if __name__ == "__main__":
    os.nice(10)  # the jobs come first
    problem = run(Path(sys.argv[1]), json.loads(os.environ["TRACKING_STORE"]), sys.stdin)
    sys.exit(f"warning: {problem}" if problem else 0)
