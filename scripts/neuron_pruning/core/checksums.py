"""Checksums of finished files, so that a damaged one is found before it is used.

They lie in one folder beside the results, under the names of the files they belong to: that works
for every format, and a checksum cannot be damaged along with its file.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import xxhash

from neuron_pruning.core.errors import UserError
from neuron_pruning.core.files import atomic_path

FOLDER = ".checksums"
SET_ASIDE = ".damaged"


def file_digest(path: Path) -> str:
    """XXH3 of a file's bytes, 128 bits in hexadecimal: against accidents, not against malice."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, xxhash.xxh3_128).hexdigest()


def digest_of(paths: Sequence[Path], settings: Mapping[str, Any]) -> str:
    """Digest of what decides a job's outcome: files, in their order, and settings."""
    whole = xxhash.xxh3_128(json.dumps(settings, sort_keys=True).encode())
    for path in paths:
        whole.update((file_digest(path) if path.is_file() else str(path)).encode())
    return whole.hexdigest()


def note_checksums(paths: Iterable[Path], root: Path) -> None:
    """Remember what finished files below ``root`` hold; folders and other files are left out."""
    for path in paths:
        note = _note(path, root)
        if note is not None and path.is_file():
            with atomic_path(note, durable=False) as temporary:
                temporary.write_text(file_digest(path), encoding="ascii")


def check_files(paths: Iterable[Path], root: Path) -> None:
    """Compare files with what was remembered of them; damaged ones are set aside.

    Raises:
        UserError: naming every file that is not what its job wrote.
    """
    damaged = [path for path in paths if not _is_whole(path, root)]
    if damaged:
        raise UserError(_set_aside(damaged))


def _note(path: Path, root: Path) -> Path | None:
    """Where the checksum of a file is kept; None: it is none of the results."""
    if not path.is_relative_to(root):
        return None
    return root / FOLDER / path.relative_to(root).with_name(path.name + ".xxh3")


def _is_whole(path: Path, root: Path) -> bool:
    """Whether a file is what was remembered; one of which nothing is known passes."""
    note = _note(path, root)
    if note is None or not note.is_file() or not path.is_file():
        return True
    try:
        known = note.read_text(encoding="ascii", errors="replace")
        return not known or known == file_digest(path)
    except FileNotFoundError:  # another job has just set it aside
        return True


def _set_aside(damaged: Sequence[Path]) -> str:
    """Rename damaged files, which Snakemake then makes again, and warn."""
    told = []
    for path in damaged:
        aside = path.with_name(path.name + SET_ASIDE)
        try:
            path.replace(aside)
            told.append(f"{path} (now {aside.name})")
        except FileNotFoundError:  # another job did
            told.append(f"{path} (now {aside.name})")
        except OSError as error:
            told.append(f"{path} (delete it: {error.strerror})")
    return (
        f"damaged since it was written: {', '.join(told)}; the checksum differs. "
        "Run again: it is made from scratch"
    )
