"""One run of Snakemake at a time in the results of an experiment."""

import contextlib
import os
from pathlib import Path

from filelock import FileLock, Timeout

from neuron_pruning.core.errors import UserError


class RunLock:
    """A lock on a folder that the kernel lets go of when the process ends, however it ends.

    Snakemake's own lock stays when it is killed, and the next run then asks for
    ``--unlock``; profiles/default turns it off.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / ".lock"
        self._lock = FileLock(self._path)

    def take(self) -> None:
        """Hold the lock until this process ends.

        Raises:
            UserError: another process has it, or the folder cannot be written.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(blocking=False)
        except Timeout:
            raise UserError(self._occupied()) from None
        except OSError as error:
            raise UserError(
                f"{self._path.parent} cannot be written ({error.strerror}); make it writable, "
                "or run from a folder of your own"
            ) from error
        with contextlib.suppress(OSError):  # a full disk: the lock is held all the same
            self._path.write_text(f"process {os.getpid()} on {os.uname().nodename}")

    def _occupied(self) -> str:
        holder = self._path.read_text(encoding="utf-8", errors="replace") or "another process"
        return (
            f"another snakemake is at work in {self._path.parent} ({holder}); wait for it, stop "
            "it, or give this experiment another name"
        )
