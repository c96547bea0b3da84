"""What runs again is decided by what files hold and what made them, not by times alone.

Snakemake compares times, and remembers in ``.snakemake`` alone what made a file. Jobs leave notes
beside the results (core/checksums.py); before Snakemake plans, :func:`settle` holds them against
the files and tells Snakemake in its own terms: by times, its records, and its marks of files that
must be made again.
"""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neuron_pruning.core.checksums import (
    UNFINISHED,
    Note,
    check_files,
    file_digest,
    mark_damaged,
    note_begun,
    note_checksums,
    read_note,
    read_notes,
)
from neuron_pruning.core.numerics import Precision, automatic_precision
from planning.code_digest import changed_since, digest_now
from runtime.parent_watchdog import run_above
from runtime.snakemake_records import FORMAT, mark_incomplete, read_record, write_record

CHANGED = "changed while the job ran"
LEEWAY = 2.0  # seconds by which a process may seem to have started late
SAME_AS_BEFORE = {  # how results of two arithmetics differ, and what avoids it
    "threads": "in their last digits. Type the same --cores as before",
    "precision": "as they do between seeds. Name one of the two in training.precision",
}


class Origin:
    """What a job reads, seen when it begins and again when it ends."""

    def __init__(self, snakemake: Any, root: Path) -> None:
        """Check the inputs.

        Raises:
            UserError: an input is damaged.
        """
        self._job, self._root, self._began = snakemake, root, time.time()
        self._outputs = [Path(path) for path in snakemake.output]
        self.inputs = check_files(map(Path, snakemake.input), root)
        self.code = self._code_now()
        note_begun(self._outputs, root)

    def note_outputs(self) -> None:
        """Note the outputs, now complete; what changed meanwhile is noted as no version at all."""
        code = self.code if self._code_now() == self.code else CHANGED
        params = [code if name == "code" else value for name, value in self._job.params.items()]
        about = {
            "rule": self._job.rule,
            "input": sorted(map(str, self._job.input)),
            "params": sorted(map(repr, params)),
            "threads": self._job.threads if "torch" in sys.modules else 0,
            "precision": chosen_precision(self._job),
        }
        note_checksums(self._outputs, self._root, dict(self._inputs_now()), about)

    def _inputs_now(self) -> Iterator[tuple[str, str]]:
        for name, digest in self.inputs.items():
            path = Path(name)
            if not path.is_relative_to(self._root):  # results are compared with their own notes
                digest = digest if path.is_file() and file_digest(path) == digest else CHANGED
            yield name, digest

    def _code_now(self) -> str:
        """Digest of the job's code; as planned, unless a file has changed since then."""
        run, planned = run_above(), str(self._job.params.get("code", ""))
        planned_at = self._began if run is None else run.create_time() - LEEWAY
        return digest_now(planned) if changed_since(planned_at) else planned


def chosen_precision(job: Any) -> Precision | None:
    """The precision that ``auto`` is for a job on this machine; None: it does not ask."""
    training = job.params.get("settings", {}).get("training", {})
    return automatic_precision() if training.get("precision") == "auto" else None


def settings_of(job: Any) -> dict[str, Any]:
    """Settings of a job, with the precision that ``auto`` is."""
    settings, precision = dict(job.params.get("settings", {})), chosen_precision(job)
    if precision is not None:
        settings["training"] = {**settings["training"], "precision": precision}
    return settings


def no_input_from_the_future(inputs: Iterable[str]) -> None:
    """Where the clock jumped back; Snakemake would discard what is made from such files."""
    for carrier in map(_time_carrier, map(Path, inputs)):
        with suppress(OSError):  # it is not there, or not ours to change
            if carrier.lstat().st_mtime > time.time():
                os.utime(carrier, follow_symlinks=False)


def settle(root: Path) -> list[str]:
    """Make Snakemake see what the notes say, before it plans.

    A file that is whole and was made from what its inputs hold now counts as newer than they are.
    One that is damaged, unfinished, or was made from something else is marked to be made again.
    Records of what made a file are restored, and hold what its job really ran.

    Returns:
        Messages about files that were damaged.
    """
    settling = _Settling({str(path): note for path, note in read_notes(root)})
    for name in settling.notes:
        settling.time_of(name)
    if settling.moved:  # the time of its benchmark counts as that of a job
        for benchmark in root.glob("benchmarks/**/*.jsonl"):
            os.utime(benchmark)
    return settling.told


@dataclass
class _Settling:
    notes: dict[str, Note]
    told: list[str] = field(default_factory=list)
    moved: bool = False
    _times: dict[str, int] = field(default_factory=dict)
    _outside: dict[str, str] = field(default_factory=dict)

    def time_of(self, name: str) -> int:
        """Time of a file once it is settled, in nanoseconds; 0: it is not there."""
        if name not in self._times:
            self._times[name] = 0
            # It is not there, or not ours to change; or its note is damaged.
            with suppress(OSError, KeyError, TypeError, AttributeError):
                self._times[name] = self._settle(Path(name), self.notes.get(name))
        return self._times[name]

    def _settle(self, path: Path, note: Note | None) -> int:
        carrier = _time_carrier(path)
        modified = carrier.lstat()
        if note is None:
            return modified.st_mtime_ns
        newest = max(map(self.time_of, note.inputs), default=0)
        record = read_record(path)
        touched = record.get("endtime") != modified.st_mtime
        if self._is_outdated(note) or (touched and self._is_damaged(path, note)):
            mark_incomplete(path)
            return modified.st_mtime_ns
        right = min(max(modified.st_mtime_ns, newest), time.time_ns())
        if right != modified.st_mtime_ns:
            os.utime(carrier, ns=(right, right), follow_symlinks=False)
        known = {name: note.about[name] for name in ("rule", "input", "params")}
        known["endtime"] = carrier.lstat().st_mtime
        if any(record.get(name) != value for name, value in known.items()):
            self.moved = True
            new = {"record_format_version": FORMAT, "incomplete": False, "input_checksums": {}}
            write_record(path, {**new, "starttime": known["endtime"], **record, **known})
        return right

    def _is_outdated(self, note: Note) -> bool:
        """Whether a file is unfinished, or an input is no longer what its job read."""
        changed = any(self._checksum(n) not in ("", known) for n, known in note.inputs.items())
        return changed or note.checksum == UNFINISHED

    def _checksum(self, name: str) -> str:
        """Of a result, as noted; of another file, as it is now; empty: it is not there."""
        if name in self.notes:
            return self.notes[name].checksum
        if name not in self._outside:  # many jobs read the same
            self._outside[name] = file_digest(Path(name)) if Path(name).is_file() else ""
        return self._outside[name]

    def _is_damaged(self, path: Path, note: Note) -> bool:
        if path.is_dir() or file_digest(path) == note.checksum:
            return False
        self.told.append(
            f"damaged or edited since it was written: {mark_damaged(path)}; it is made from scratch"
        )
        return True


def mixed_arithmetic(root: Path, kept: Iterable[Any], planned: Iterable[Any]) -> list[str]:
    """One line for each rule whose results would come from different threads or precisions.

    Args:
        root: folder of the experiment.
        kept: Snakemake's jobs whose results stay.
        planned: jobs that will run; on this machine, as far as precisions go.
    """
    now = {
        (job.rule.name, what, value)
        for job in planned
        for what, value in (("threads", job.threads), ("precision", chosen_precision(job)))
        if value
    }
    rules = {rule for rule, _, _ in now}
    used: dict[tuple[str, str], set[Any]] = {}
    for job in kept:
        if job.rule.name in rules:
            for note in filter(None, (read_note(Path(path), root) for path in job.output)):
                for what in SAME_AS_BEFORE:
                    used.setdefault((job.rule.name, what), set()).add(note.about.get(what))
    lines = []
    for rule, what, value in sorted(now, key=str):
        others = ", ".join(map(str, sorted(used.get((rule, what), set()) - {0, None, value})))
        if others:
            lines.append(
                f"warning: {what} of {rule}: {value} now, {others} in results that stay; figures "
                f"of one table may differ {SAME_AS_BEFORE[what]}, or add --forcerun {rule}"
            )
    return lines


def _time_carrier(path: Path) -> Path:
    """What carries the time of an output for Snakemake: of a folder a file in it."""
    return path / ".snakemake_timestamp" if path.is_dir() else path
