"""Notes of finished files: what each of them held, and what made it.

Notes lie in one folder beside the results, under the names of the files they belong to: that works
for every format, and a note cannot be damaged along with its file.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import xxhash

from neuron_pruning.core.errors import UserError
from neuron_pruning.core.files import atomic_path

FOLDER = ".checksums"
SET_ASIDE = ".damaged"
UNFINISHED = ""  # the checksum of a file that a job has begun to make


@dataclass(frozen=True)
class Note:
    """What is known of one output of a job."""

    checksum: str  # of its bytes; of a folder, when it was made
    inputs: Mapping[str, str] = field(default_factory=dict)  # checksums, when the job began
    about: Mapping[str, Any] = field(default_factory=dict)  # the job itself


def file_digest(path: Path) -> str:
    """XXH3 of a file's bytes, 128 bits in hexadecimal: against accidents, not against malice."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, xxhash.xxh3_128).hexdigest()


def digest_of(decides: Mapping[str, Any]) -> str:
    """Digest of what decides a job's outcome: settings, code, checksums of inputs."""
    return xxhash.xxh3_128(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def note_begun(paths: Iterable[Path], root: Path) -> None:
    """Note that these files are being made: what a kill leaves of them is not trusted."""
    for path in paths:
        _write(path, root, Note(UNFINISHED))


def note_checksums(
    paths: Iterable[Path],
    root: Path,
    inputs: Mapping[str, str] | None = None,
    about: Mapping[str, Any] | None = None,
) -> None:
    """Remember what finished files and folders below ``root`` hold and what made them."""
    for path in paths:
        if path.exists():
            checksum = file_digest(path) if path.is_file() else str(time.time_ns())
            _write(path, root, Note(checksum, inputs or {}, about or {}))


def read_notes(root: Path) -> Iterator[tuple[Path, Note]]:
    """All files of which something is known, and that."""
    folder = root / FOLDER
    for place, _, names in os.walk(folder):
        for name in names:
            path = root / Path(place, name).relative_to(folder).with_suffix("")
            note = read_note(path, root)
            if note is not None:
                yield path, note


def read_note(path: Path, root: Path) -> Note | None:
    """What is known of one file; None: nothing.

    That a note is damaged costs no more than the file's being read, or made, once again.
    """
    place = _place(path, root)
    try:
        note = None if place is None else Note(**json.loads(place.read_bytes()))
    except (OSError, ValueError, TypeError):  # there is none, or a loss of power took it
        return None
    whole = note is not None and isinstance(note.inputs, dict) and isinstance(note.about, dict)
    return note if whole else None


def check_files(paths: Iterable[Path], root: Path) -> dict[str, str]:
    """Compare files with what was remembered of them; damaged ones are marked.

    Returns:
        Checksum of every file by its path, and of every folder that was noted; the content of
        folders is not looked at.

    Raises:
        UserError: naming every file that is not what its job wrote.
    """
    found, damaged = {}, []
    for path in paths:
        note = read_note(path, root)
        if path.is_file():
            found[str(path)] = file_digest(path)
            if note is not None and note.checksum not in (UNFINISHED, found[str(path)]):
                damaged.append(path)
        elif note is not None:
            found[str(path)] = note.checksum
    if damaged:
        raise UserError(
            f"damaged since it was written: {', '.join(map(mark_damaged, damaged))}; the checksum "
            "differs. Run again: it is made from scratch"
        )
    return found


def mark_damaged(path: Path) -> str:
    """Keep a copy of a file, and give it a new time: the next run looks at what is new.

    The file itself stays until it is made again, so that Snakemake sees what to make.
    """
    aside = path.with_name(path.name + SET_ASIDE)
    with suppress(OSError):  # a file system without links, or not ours: no copy
        aside.unlink(missing_ok=True)
        os.link(path, aside)
    with suppress(OSError):
        os.utime(path)
    return f"{path} (kept as {aside.name})" if aside.exists() else str(path)


def _place(path: Path, root: Path) -> Path | None:
    """Where the note of a file is kept; None: it is none of the results."""
    if not path.is_relative_to(root):
        return None
    return root / FOLDER / path.relative_to(root).with_name(path.name + ".json")


def _write(path: Path, root: Path, note: Note) -> None:
    place = _place(path, root)
    if place is not None:
        with atomic_path(place, durable=False) as temporary:
            temporary.write_text(json.dumps(asdict(note)), encoding="utf-8")
