"""Send records to MLflow: each becomes one run, however often it is sent."""

import os
import sqlite3
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from filelock import FileLock

from neuron_pruning.core.errors import UserError
from neuron_pruning.tracking.outbox import JobRecord, read_record, set_aside, waiting_records

REFUSALS = {400, 413, 422}  # HTTP: the record is at fault, not the store, its load or the login
PATIENCE = 30.0  # seconds to wait for a lock that another process holds
LARGEST_ARTIFACT = 1_000_000  # bytes
A_BATCH = 100  # the tracking API takes no more parameters at once


def quiet_client() -> Any:
    """Class of clients that report nothing to MLflow's makers and give up on a request in seconds.

    The sender tries again, MLflow does not: it would repeat even the creation of a run whose
    response was late, and leave a second run that never ends.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    from mlflow import MlflowClient  # here: it takes seconds to import

    return MlflowClient


def send_waiting(folder: Path, uri: str, experiment: str, artifacts: str | None = None) -> None:
    """Send the records that wait in ``folder``, the oldest first, and delete their files.

    One process sends at a time. A record that is at fault is set aside, and the others go on.

    Args:
        folder: tracking folder of the experiment.
        uri: tracking URI of the store.
        experiment: its name in the store.
        artifacts: folder of the artifacts where there is no server; None leaves it to the server.

    Raises:
        Exception: whatever the tracking store throws; what was sent by then is sent.
    """
    if not waiting_records(folder):
        return
    with FileLock(folder / "lock", timeout=PATIENCE):
        client, experiment_id = _open(uri, experiment, artifacts)
        for path in sorted(waiting_records(folder), key=lambda path: path.stat().st_mtime):
            _send_file(path, client, experiment_id)


def _open(uri: str, experiment: str, artifacts: str | None) -> tuple[Any, str]:
    """A client, and the identifier of the experiment, which is created if it is missing.

    Two workflows that each create the schema of one SQLite file would break it for good.
    """
    client_class, database = quiet_client(), _sqlite_file(uri)
    if database is not None:
        database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(database.with_suffix(".lock"), timeout=PATIENCE) if database else nullcontext():
        client = client_class(tracking_uri=uri)
        experiment_id = _experiment_id(client, experiment, artifacts)
        if database is not None:
            with closing(sqlite3.connect(database)) as connection:  # readers block no writer
                connection.execute("PRAGMA journal_mode=wal")
            follow_artifacts(uri, experiment, artifacts)
    return client, experiment_id


def follow_artifacts(uri: str, experiment: str, artifacts: str | None) -> None:
    """Let a SQLite store find artifacts where they lie now; MLflow keeps absolute addresses.

    After the project is moved or copied, a run would otherwise be read from, and its new files
    written to, the folder where it lay. A run of any experiment whose files are in ``artifacts``
    gets the address that they have there, as does one of ``experiment`` that has no files yet.

    New runs of ``experiment`` keep their files in ``artifacts`` from now on. For the arguments see
    :func:`send_waiting`; a store that is no file, or is not there yet, stays as it is.
    """
    database = _sqlite_file(uri)
    if database is None or artifacts is None or not database.is_file():
        return
    here = Path(artifacts).resolve()
    with closing(sqlite3.connect(database, timeout=PATIENCE)) as connection, connection:
        runs = connection.execute(
            "SELECT run_uuid, artifact_uri, experiments.name FROM runs JOIN experiments "
            "USING (experiment_id) WHERE artifact_uri LIKE 'file:%'"
        )
        for run, address, name in runs.fetchall():
            wanted = (here / run / "artifacts").as_uri()
            without_files = name == experiment and not _file_of(address).exists()
            if address != wanted and ((here / run).exists() or without_files):
                connection.execute(
                    "UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?", (wanted, run)
                )
        connection.execute(
            "UPDATE experiments SET artifact_location = ? WHERE name = ? AND "
            "artifact_location LIKE 'file:%'",
            (here.as_uri(), experiment),
        )


def _file_of(address: str) -> Path:
    """Path that a ``file:`` address names."""
    return Path(unquote(urlparse(address).path))


def _sqlite_file(uri: str) -> Path | None:
    return Path(unquote(urlparse(uri).path)[1:]) if uri.startswith("sqlite:///") else None


def _experiment_id(client: Any, name: str, artifacts: str | None) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        location = Path(artifacts).resolve().as_uri() if artifacts else None
        return str(client.create_experiment(name, artifact_location=location))
    if found.lifecycle_stage != "active":  # it would refuse every record, one by one
        raise UserError(f"experiment {name} was deleted there; restore it")
    return str(found.experiment_id)


def _send_file(path: Path, client: Any, experiment_id: str) -> None:
    """Send one record and delete its file, or set it aside."""
    try:
        _send(read_record(path), path.stem, client, experiment_id)
    except Exception as error:
        if _store_is_at_fault(error):
            path.touch()  # to the end of the queue: the store may fail over this one alone
            raise
        set_aside(path, error)
    else:
        path.unlink()


def _store_is_at_fault(error: Exception) -> bool:
    """Whether trying again may help, as it may where a store is down or wants a login."""
    from mlflow.exceptions import MlflowException

    if isinstance(error, MlflowException):
        return error.get_http_status_code() not in REFUSALS
    response = getattr(error, "response", None)  # artifacts are sent by requests
    return isinstance(error, OSError) and getattr(response, "status_code", None) not in REFUSALS


def _send(record: JobRecord, record_id: str, client: Any, experiment_id: str) -> None:
    """Log one job as one run; what was begun and never ended is completed."""
    known = client.search_runs([experiment_id], f"tags.record_id = '{record_id}'", max_results=1)
    if known and known[0].info.status == record.status:
        return
    tags = {**record.tags, "record_id": record_id}
    run = known or [client.create_run(experiment_id, record.started, tags, run_name=record.name)]
    run_id = str(run[0].info.run_id)
    try:
        _log_values(client, run_id, record)
        _log_artifacts(client, run_id, record)
        client.set_terminated(run_id, record.status, record.ended)
    except Exception as error:
        if not _store_is_at_fault(error):  # no run is left that looks as if it still ran
            client.set_terminated(run_id, "KILLED", record.ended)
        raise


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


def _log_artifacts(client: Any, run_id: str, record: JobRecord) -> None:
    for artifact in record.artifacts:
        if Path(artifact).is_file() and Path(artifact).stat().st_size <= LARGEST_ARTIFACT:
            client.log_artifact(run_id, artifact)
