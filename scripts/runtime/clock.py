"""Files from the future, which a clock leaves when it jumps back."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

SKEW = 60.0  # seconds by which the clocks of one cluster may differ


def date_back(files: Iterable[Path], now: float, skew: float = 0.0) -> int:
    """Give files from the future times up to ``now``, in their order.

    Snakemake would make everything again that depends on them, and throw that away as older than
    what it was made from. Nothing changes unless one lies more than ``skew`` seconds ahead.

    Returns:
        How many files there were.
    """
    moment, future, newest = int(now * 1e9), [], 0
    for path in files:
        with contextlib.suppress(OSError):  # it is not there, or was just renamed
            modified = path.lstat().st_mtime_ns
            if modified > moment and not path.is_symlink():
                future.append((modified, path))
            else:
                newest = max(newest, min(modified, moment))
    if not future or max(future)[0] <= moment + int(skew * 1e9):
        return 0
    step = min(1000, (moment - newest) // (len(future) + 1))
    for place, (_, path) in enumerate(sorted(future, reverse=True)):
        with contextlib.suppress(OSError):  # it is gone meanwhile, or not ours to change
            os.utime(path, ns=(moment - place * step, moment - place * step))
    return len(future)


def files_below(folder: Path) -> Iterator[Path]:
    """All files of a folder."""
    for place, _, names in os.walk(folder):
        yield from (Path(place, name) for name in names)
