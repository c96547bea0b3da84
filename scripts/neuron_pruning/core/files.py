"""Files that are whole or absent: temporary name, fsync, rename."""

import errno
import glob
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neuron_pruning.core.errors import UserError

DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
PARTIAL = ".partial."  # between the number of the process and the name it writes


@contextmanager
def atomic_path(path: Path, durable: bool = True) -> Iterator[Path]:
    """Temporary path beside ``path`` that takes its name once the block has succeeded.

    ``durable`` waits until the disk has it: a loss of power then costs nothing either.

    Raises:
        UserError: the disk is full; no partial file is left.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}{PARTIAL}{path.name}")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode  # as umask asks for; some libraries write private files
        yield temporary
        temporary.chmod(mode)
        if durable:
            with temporary.open("rb+") as handle:
                os.fsync(handle.fileno())
        temporary.replace(path)
    except Exception as error:
        explain_full_disk(path, error)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def explain_full_disk(path: Path, error: Exception) -> None:
    """Do nothing, unless ``error`` says that the disk is full.

    Raises:
        UserError: it does.
    """
    if _error_number(error) in DISK_FULL:
        raise UserError(
            f"{path}: the disk is full ({error}); free some space and run again: "
            "what is finished is kept"
        ) from error


def remove_leftovers(path: Path) -> None:
    """Delete what killed processes left of ``path``; no other process may be writing it."""
    for left in path.parent.glob(f".*{PARTIAL}{glob.escape(path.name)}"):
        left.unlink(missing_ok=True)


def _error_number(error: Exception) -> int | None:
    """The operating system's number; safetensors' own exception has it in its text alone."""
    if isinstance(error, OSError):
        return error.errno
    found = re.search(r"os error (\d+)", str(error))
    return int(found[1]) if found else None


def write_text(path: Path, text: str) -> None:
    """Write ``text`` atomically as UTF-8."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` atomically as indented JSON."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: the file is missing or is no JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist; run the rule that makes it again") from error
    except (OSError, ValueError, RecursionError) as error:  # ValueError: neither JSON nor UTF-8
        raise UserError(f"{path} is not valid JSON ({error}); delete it and run again") from error
