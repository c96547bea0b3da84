"""The outbox: records of jobs that wait for MLflow, a mirror of the Parquet files.

Nothing reads MLflow back, and nothing is lost without it.
"""

import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from neuron_pruning.core.files import write_json

PENDING = "pending"  # records that wait to be sent, in an experiment's tracking folder
REFUSED = "refused"  # beside it: records that the store will never take, each with its reason
LOG = logging.getLogger(__name__)

Status = Literal["FINISHED", "FAILED"]


@dataclass(frozen=True)
class JobRecord:
    """What one job sends to the tracking store; ``series`` are metrics by epoch, from 1."""

    name: str
    tags: Mapping[str, str]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    series: Mapping[str, Sequence[float]] = field(default_factory=dict)
    artifacts: Sequence[str] = ()
    started: int = 0
    ended: int = 0
    status: Status = "FINISHED"


def milliseconds() -> int:
    """Now, in the unit of the tracking API."""
    return int(time.time() * 1000)


def queue_record(record: JobRecord, folder: Path) -> Path:
    """Write ``record`` into ``folder / PENDING``; its file name identifies it in the store."""
    path = folder / PENDING / f"{uuid.uuid4().hex}.json"
    write_json(path, asdict(record))
    return path


def waiting_records(folder: Path) -> list[Path]:
    """Records that wait; those that a job is just writing have names with a dot in front."""
    return list((folder / PENDING).glob("[!.]*.json"))


def read_record(path: Path) -> JobRecord:
    """Read a record.

    Raises:
        ValueError: it is no record: a field has another type, or a full disk cut it off.
    """
    from pydantic import TypeAdapter  # here: no job reads a record

    return TypeAdapter(JobRecord).validate_json(path.read_bytes())


def set_aside(path: Path, error: Exception) -> None:
    """Move a record to ``REFUSED`` and write the reason beside it."""
    place = path.parents[1] / REFUSED / path.name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.with_suffix(".txt").write_text(f"{error}\n", encoding="utf-8")
    path.replace(place)
    LOG.warning("warning: MLflow did not take one record, now %s: %s", place, in_short(error))


def in_short(error: Exception) -> str:
    """What an error says, on one line, short enough for a warning."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
