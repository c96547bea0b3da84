"""Files that are whole or absent: temporary name, fsync, rename."""

import errno
import glob
import json
import os
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from neuron_pruning.core.errors import UserError, refuse_unreadable

LARGEST_FILE = 200_000_000  # bytes of a file that is read as a whole
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


def read_file(path: Path) -> bytes:
    """Bytes of a file of at most ``LARGEST_FILE``.

    Raises:
        OSError, ValueError: it is no regular file, cannot be read, or is larger.
    """
    if not path.is_file():  # a pipe would be waited for; a link may lead nowhere or in a circle
        raise ValueError("no file, or a link that leads to none")
    if path.stat().st_size > LARGEST_FILE:
        raise ValueError(f"{path.stat().st_size:,} bytes; {LARGEST_FILE:,} at most are read")
    return path.read_bytes()


def check_unpacked_size(file: IO[bytes], largest: int) -> None:
    """Refuse a zip archive that would unpack to more than ``largest`` bytes.

    Raises:
        ValueError, zipfile.BadZipFile: it would, or it is no archive.
    """
    with zipfile.ZipFile(file) as archive:  # a small one may hold gigabytes of zeros
        size = sum(entry.file_size for entry in archive.infolist())
    if size > largest:
        raise ValueError(f"it unpacks to {size:,} bytes; {largest:,} at most are read")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: the file is missing or is no JSON.
    """
    if not Path(path).exists():
        raise UserError(f"{path} does not exist; run the rule that makes it again")
    with refuse_unreadable(f"{path} is not valid JSON", "delete it and run again"):
        return json.loads(read_file(Path(path)).decode())
