"""Around a run: one at a time in its results, no job that outlives it, no file from the future."""

import contextlib
import errno
import fcntl
import os
import select
import threading
from pathlib import Path
from typing import IO

import psutil

from neuron_pruning.core.errors import UserError

KILLED = 137  # exit status of a job whose run is gone, as if the same kill had taken it
SKEW = 60 * 10**9  # nanoseconds by which clocks of one cluster may differ
UNSUPPORTED = {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL}


class RunLock:
    """A lock on a folder that the kernel lets go of when the process ends, however it ends.

    Snakemake's own lock stays behind when it is killed, and the next run then asks for
    ``--unlock``; profiles/default turns it off.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / ".lock"
        self._handle: IO[str] | None = None

    def take(self) -> None:
        """Hold the lock until this process ends.

        Raises:
            UserError: another process has it, or the folder cannot be written.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = self._path.open("a+")
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(self._occupied()) from None
        except OSError as error:
            if error.errno in UNSUPPORTED and self._handle is not None:
                return  # a file system without locks
            raise UserError(
                f"{self._path.parent} cannot be written ({error.strerror}); make it writable, "
                "or run from a folder of your own"
            ) from error
        with contextlib.suppress(OSError):  # a full disk: the lock is held all the same
            self._handle.truncate(0)
            self._handle.write(f"process {os.getpid()} on {os.uname().nodename}")
            self._handle.flush()

    def _occupied(self) -> str:
        holder = self._path.read_text(encoding="utf-8", errors="replace") or "another process"
        return (
            f"another snakemake is at work in {self._path.parent} ({holder}); wait for it, stop "
            "it, or give this experiment another name"
        )


def end_with_run() -> None:
    """End this process as soon as the snakemake that started it is gone.

    A snakemake that is killed leaves its jobs running. The next one would start them again, and
    two processes would write the same files.
    """
    run = _run_of_this_job()
    if run is not None and hasattr(os, "pidfd_open"):
        try:
            gone = os.pidfd_open(run)
        except OSError:  # gone already, or a kernel without
            return
        threading.Thread(target=_end_after, args=(gone,), daemon=True).start()


def _run_of_this_job() -> int | None:
    """Number of the nearest process above this one that runs snakemake."""
    try:
        for above in psutil.Process().parents():
            if any(Path(word).name == "snakemake" for word in above.cmdline()[:3]):
                return above.pid
    except psutil.Error:  # it ended while it was asked
        return None
    return None


def _end_after(gone: int) -> None:
    select.select([gone], [], [])
    os._exit(KILLED)  # nothing is half-written: files get their names when they are whole


def date_back(folder: Path, now: float) -> int:
    """Give files from the future times up to ``now``, in their order; returns how many there were.

    A clock that has jumped back leaves them, further ahead than the clocks of a cluster differ.
    Snakemake would make everything anew that depends on them, and throw that away as older than
    what it was made from.
    """
    moment = int(now * 1e9)
    future, newest = [], 0
    for place, _, names in os.walk(folder):
        for path in (Path(place, name) for name in names):
            with contextlib.suppress(FileNotFoundError):  # a job may have just renamed it
                modified = path.lstat().st_mtime_ns
                if modified > moment and not path.is_symlink():
                    future.append((modified, path))
                else:
                    newest = max(newest, min(modified, moment))
    if not future or max(future)[0] <= moment + SKEW:
        return 0
    step = min(1000, (moment - newest) // (len(future) + 1))
    for back, (_, path) in enumerate(sorted(future, reverse=True)):
        with contextlib.suppress(OSError):  # gone meanwhile, or not ours to change
            os.utime(path, ns=(moment - back * step, moment - back * step))
    return len(future)
