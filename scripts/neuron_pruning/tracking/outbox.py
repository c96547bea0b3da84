"""MLflow as a mirror of the Parquet files: nothing reads it, nothing is lost without it."""

import logging
import math
import os
import sqlite3
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from filelock import FileLock

from neuron_pruning.core.errors import UserError
from neuron_pruning.core.files import read_json, write_json

PENDING = "pending"  # records that wait to be sent, in an experiment's tracking folder
REFUSED = "refused"  # beside it: records that the store will never take
REFUSALS = {400, 413, 422}  # HTTP: the record is at fault, not the store, its load or the login
LARGEST_ARTIFACT = 1_000_000  # bytes
A_BATCH = 100  # the tracking API takes no more parameters at once


@dataclass(frozen=True)
class Store:
    """Where records are mirrored; ``experiment_id`` is None until the store was opened."""

    uri: str | None
    experiment: str
    experiment_id: str | None = None
    artifacts: str | None = None


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
    status: str = "FINISHED"
    record_id: str = field(default_factory=lambda: uuid.uuid4().hex)


def milliseconds() -> int:
    """Now, in the unit of the tracking API."""
    return int(time.time() * 1000)


def _client(uri: str) -> Any:
    """Client that gives up in seconds: an unreachable server must not hold the workflow's end.

    The sender tries again, MLflow does not: it would repeat even the creation of a run whose
    response was late, and leave a second run that never ends.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    from mlflow import MlflowClient  # here: it takes seconds to import

    return MlflowClient(tracking_uri=uri)


def shared_store(wanted: Store, folder: Path) -> Store:
    """The opened store: made by the first process that needs it, while others wait.

    Two workflows that each create the schema or the experiment would break the store for good.

    Raises:
        Exception: whatever the tracking store throws.
    """
    folder.mkdir(parents=True, exist_ok=True)
    note, database = folder / "store.json", _sqlite_file(wanted.uri)
    lock = folder / "lock" if database is None else database.with_suffix(".lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        if note.exists() and (database is None or database.exists()):
            known = Store(**read_json(note))
            if replace(known, experiment_id=None) == wanted and _still_there(known):
                return known
        opened = _open_store(wanted)
        write_json(note, asdict(opened))
        return opened


def _still_there(store: Store) -> bool:
    """The noted experiment is that of the store, which may have been deleted and made again."""
    from mlflow.exceptions import MlflowException

    try:
        found = _client(str(store.uri)).get_experiment(store.experiment_id)
    except MlflowException:
        return False
    return bool(found.name == store.experiment and found.lifecycle_stage == "active")


def _open_store(store: Store) -> Store:
    """Create the store's schema and the experiment where they are missing."""
    client = _client(str(store.uri))
    found = client.get_experiment_by_name(store.experiment)
    if found is not None:
        if found.lifecycle_stage != "active":  # it would refuse every record, one by one
            raise UserError(f"experiment {store.experiment} was deleted there; restore it")
        experiment_id = found.experiment_id
    else:
        location = Path(store.artifacts).resolve().as_uri() if store.artifacts else None
        experiment_id = client.create_experiment(store.experiment, artifact_location=location)
    database = _sqlite_file(store.uri)
    if database is not None:
        with sqlite3.connect(database) as connection:  # readers do not block writers
            connection.execute("PRAGMA journal_mode=wal")
    return replace(store, experiment_id=experiment_id)


def _sqlite_file(uri: str | None) -> Path | None:
    if uri is None or not uri.startswith("sqlite:///"):
        return None
    return Path(unquote(urlparse(uri).path)[1:])


def send_record(record: JobRecord, store: Store) -> str:
    """Log one job as one run and return the run's id; a record already there is not repeated."""
    client = _client(str(store.uri))
    known = client.search_runs(
        [store.experiment_id], f"tags.record_id = '{record.record_id}'", max_results=1
    )
    if known and known[0].info.status == record.status:
        return str(known[0].info.run_id)
    tags = {**record.tags, "record_id": record.record_id}
    run = (
        known[0]
        if known
        else client.create_run(store.experiment_id, record.started, tags, run_name=record.name)
    )
    run_id = str(run.info.run_id)  # one that was begun and never ended is completed
    try:
        _log_values(client, run_id, record)
        _log_artifacts(client, run_id, record)
    except Exception as error:
        if _is_refusal(error):  # no run is left that looks as if it still ran
            client.set_terminated(run_id, "KILLED", record.ended)
        raise
    client.set_terminated(run_id, record.status, record.ended)
    return run_id


def _log_artifacts(client: Any, run_id: str, record: JobRecord) -> None:
    for artifact in record.artifacts:
        if Path(artifact).is_file() and Path(artifact).stat().st_size <= LARGEST_ARTIFACT:
            client.log_artifact(run_id, artifact)


def _log_values(client: Any, run_id: str, record: JobRecord) -> None:
    from mlflow.entities import Metric, Param

    at = record.ended
    metrics = [Metric(name, value, at, 0) for name, value in record.metrics.items()]
    for name, values in record.series.items():
        metrics += [Metric(name, value, at, step) for step, value in enumerate(values, start=1)]
    parameters = [Param(name, str(value)[:6000]) for name, value in record.parameters.items()]
    for start in range(0, max(len(metrics), len(parameters)), A_BATCH):
        stop = start + A_BATCH
        client.log_batch(run_id, metrics[start:stop], parameters[start:stop])


def queue_record(record: JobRecord, folder: Path) -> None:
    """Write ``record`` into ``folder / PENDING``, from where it is sent and then deleted."""
    write_json(folder / PENDING / f"{record.record_id}.json", asdict(record))


def resend_pending(store: Store, folder: Path, deadline: float = math.inf) -> int:
    """Send the records that wait, the oldest first; returns how many still do.

    One process sends at a time. None is begun after ``deadline``, a time of ``time.monotonic``.
    What the store refuses for good is set aside, so that the others do not wait for it.

    Raises:
        Exception: whatever the tracking store throws; what was sent by then is sent.
    """
    if store.uri is None or not waiting_records(folder):
        return len(waiting_records(folder))
    with FileLock(folder / "sending.lock"):
        waiting = sorted(waiting_records(folder), key=lambda path: path.stat().st_mtime)
        opened = shared_store(store, folder) if waiting else store
        for path in waiting:
            if time.monotonic() > deadline:
                break
            _send_file(path, opened)
    return len(waiting_records(folder))


def waiting_records(folder: Path) -> list[Path]:
    """Records that wait; those that a job is just writing have names with a dot in front."""
    return list((folder / PENDING).glob("[!.]*.json"))


def _send_file(path: Path, store: Store) -> None:
    """Send one record and delete its file, or move it to ``REFUSED``."""
    try:
        record = JobRecord(**read_json(path))
    except (UserError, TypeError) as error:  # cut off by a full disk, or of another version
        return _set_aside(path, error)
    try:
        send_record(record, store)
    except Exception as error:
        if not _is_refusal(error):
            raise
        return _set_aside(path, error)
    path.unlink()


def _is_refusal(error: Exception) -> bool:
    """Whether trying again is of no use, as it is where a store is down or wants a login."""
    from mlflow.exceptions import MlflowException

    if isinstance(error, MlflowException):
        return error.get_http_status_code() in REFUSALS
    response = getattr(error, "response", None)  # artifacts are sent by requests
    return getattr(response, "status_code", None) in REFUSALS


def _set_aside(path: Path, error: Exception) -> None:
    place = path.parents[1] / REFUSED / path.name
    place.parent.mkdir(parents=True, exist_ok=True)
    path.replace(place)
    logging.warning("warning: MLflow did not take one record, now %s: %s", place, first_line(error))


def first_line(error: Exception) -> str:
    """What an error says, short enough for a warning."""
    return (str(error).splitlines() or [""])[0][:200]


def deliver_pending(store: Store, folder: Path, deadline: float) -> str | None:
    """Send the records that wait; returns what keeps them, if anything does."""
    try:
        left = resend_pending(store, folder, deadline)
    except Exception as error:  # noqa: BLE001 - whatever the store throws, the results stand
        return f"{store.uri}: {type(error).__name__}: {first_line(error)}"
    return None if left == 0 else f"{store.uri} is slow"
