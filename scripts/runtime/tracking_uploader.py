"""Send the records of jobs to the tracking store while the workflow runs.

It is no rule: the Snakefile starts it. A job only writes its record, which takes milliseconds; this
one process imports MLflow once, for all jobs. It ends when the workflow does, however that ends,
because its standard input closes then.
"""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from neuron_pruning.tracking.outbox import Store, deliver_pending, waiting_records

SCRIPTS = Path(__file__).parents[1]
INTERVAL = 1.0  # seconds between looks into the folder
RETRY = 30.0  # seconds before a store that failed is asked again
PATIENCE = 60.0  # seconds that the end of a workflow waits for the last records


class TrackingUploader:
    """The Snakefile's handle on the process."""

    def __init__(self, folder: Path, store: Mapping[str, Any]) -> None:
        """``store`` has the fields of a :class:`Store`; without an address nothing starts."""
        self._folder, self._store = folder, dict(store)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start to send; a session of its own keeps it from Ctrl-C."""
        if self._store["uri"] is not None:
            command = [sys.executable, "-m", "runtime.tracking_uploader", str(self._folder)]
            places = [str(SCRIPTS), os.environ.get("PYTHONPATH", "")]
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))},
            )
            # Not on the command line, which all users of the machine may read.
            self._input.write(json.dumps(self._store).encode() + b"\n")
            self._input.flush()

    def finish(self) -> None:
        """Let it send what is left, and wait for that."""
        if self._process is not None:
            self._input.close()
            self._process.wait()

    @property
    def _input(self) -> IO[bytes]:
        assert self._process is not None and self._process.stdin is not None
        return self._process.stdin


def run(folder: Path, store: Store, closing: IO[Any]) -> None:
    """Send records until ``closing`` is closed, then what is left."""
    wait, ended = INTERVAL, False
    while not ended:
        ended = bool(select.select([closing], [], [], wait)[0])
        patience = PATIENCE if ended else RETRY
        problem = deliver_pending(store, folder, time.monotonic() + patience)
        wait = INTERVAL if problem is None else RETRY
        if ended and problem is not None:
            print(_warning(folder, problem), file=sys.stderr)


def _warning(folder: Path, problem: str) -> str:
    left = len(waiting_records(folder))
    return (
        f"warning: {left} records were not mirrored to MLflow ({problem}); all files are "
        "complete. Send them later: snakemake sync_tracking"
    )


if __name__ == "__main__":
    os.nice(10)  # the jobs come first
    run(Path(sys.argv[1]), Store(**json.loads(sys.stdin.readline())), sys.stdin)
