"""Between Snakemake and the scripts: arguments, log, errors, threads, checks, and the mirror."""

import inspect
import logging
import os
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa

from neuron_pruning.core.checksums import digest_of
from neuron_pruning.core.errors import UserError
from neuron_pruning.core.files import remove_leftovers
from neuron_pruning.core.resume import Resume, StateKeeper
from neuron_pruning.tracking.outbox import JobRecord, Status, milliseconds, queue_record
from planning.code_digest import files_read
from runtime.parent_watchdog import end_with_run
from runtime.provenance import Origin, no_input_from_the_future, settings_of

DECODERS = ("pillow", "numpy", "imagehash", "opencv-python-headless")  # what pixels depend on
Config = dict[str, Any]  # a section of the config, or the keys of a run
NOT_ARGUMENTS = {"about"}  # an input that only says when to run again


class Files(SimpleNamespace):
    """Paths, or lists of paths, by the names that a rule gives them."""


@dataclass(frozen=True)
class TrackedResult:
    """What a script's function returns for the tracking store besides its files."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    series: Mapping[str, list[float]] = field(default_factory=dict)


def run_job(snakemake: Any, function: Callable[..., TrackedResult | None]) -> None:
    """Call ``function`` with the rule's inputs, outputs and settings by their names.

    What it returns is mirrored to the tracking store; None is not.
    """
    _limit_threads(snakemake.threads)
    _leave_pandas_out()
    _open_log(Path(snakemake.log[0]))
    started = milliseconds()
    try:
        no_input_from_the_future(snakemake.input)
        origin = Origin(snakemake, _results(snakemake))
        for output in _paths(snakemake.output):
            remove_leftovers(output)
        arguments = _arguments(snakemake, function, origin)
        mirrored = function(**arguments)
        origin.note_outputs()
        if arguments.get("resume") is not None:  # only now: until here a kill may cost the outputs
            StateKeeper(arguments["resume"]).clear()
    except Exception as error:  # noqa: BLE001 - explained, then exit 1
        _explain(snakemake, error)
        if snakemake.output:
            _mirror(snakemake, TrackedResult(), started, "FAILED")
        raise SystemExit(1) from None
    logging.info("worked for %.3f s", (milliseconds() - started) / 1000)
    if mirrored is not None:
        _mirror(snakemake, mirrored, started, "FINISHED")


def warn(line: str) -> None:
    """Tell the person at the terminal, and the log, in one line what the results do not hold."""
    logging.warning("%s", line)
    print(f"warning: {line}", file=sys.stderr, flush=True)


def _limit_threads(threads: int) -> None:
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(threads)


def _leave_pandas_out() -> None:
    """Keep pyarrow from importing pandas, where a job has not.

    It would, for 0.6 s, to see whether rows are objects of pandas. It asks once, and imports pandas
    all the same where a frame is wanted.
    """
    if "pandas" not in sys.modules:
        sys.modules["pandas"] = None  # type: ignore[assignment]
        with suppress(ImportError, AttributeError):  # what comes of it, in Python or in Cython
            pa.array([])
        del sys.modules["pandas"]


def _open_log(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        filename=path, filemode="w", level=logging.INFO, format="%(asctime)s %(message)s"
    )
    logging.captureWarnings(True)


def _arguments(snakemake: Any, function: Callable[..., Any], origin: Origin) -> dict[str, Any]:
    """Settings of the job, and its files: one by one, or together as ``input`` and ``output``.

    Files of ``resources/`` that it reads come by their names in any case.
    """
    takes = inspect.signature(function).parameters
    given, made = _named(snakemake.input), _named(snakemake.output)
    arguments: dict[str, Any] = {
        name: paths for name, paths in {**given, **made}.items() if name not in NOT_ARGUMENTS
    }
    if "output" in takes:
        arguments = {"input": Files(**given), "output": Files(**made)}
    arguments.update(files_read(snakemake.params.get("code", "")))
    arguments.update(settings_of(snakemake))
    if "folder" in takes and "folder" not in arguments:
        # Where the images lie, unless the workflow draws them. It is no parameter of the rules:
        # what is made of the same images in another place is the same.
        arguments["folder"] = snakemake.config["dataset"]["path"]
    if "threads" in takes:
        arguments["threads"] = snakemake.threads
    if "kept" in takes:
        arguments["kept"] = _kept(snakemake, origin.code)
    if "resume" in takes:
        arguments["resume"] = _resume(snakemake, origin)
    return arguments


def _kept(snakemake: Any, code: str) -> Path:
    """Folder where a job finds what earlier ones of its kind found out, by the same code."""
    rule = _results(snakemake) / ".kept" / Path(snakemake.rule, *map(str, snakemake.wildcards))
    decides = {"code": code, **{name: version(name) for name in DECODERS}}
    folder = rule / digest_of(decides)
    for old in rule.iterdir() if rule.is_dir() else ():
        if old != folder:
            shutil.rmtree(old)
    return folder


def _resume(snakemake: Any, origin: Origin) -> Resume | None:
    """Where a long job keeps its state beside its first output, if the config wants that."""
    minutes = snakemake.config["resume"]["minutes"]
    if minutes is None:
        return None
    place = _paths(snakemake.output)[0].with_name(".state.safetensors")
    decides = {
        "settings": settings_of(snakemake),
        "code": origin.code,
        "inputs": origin.inputs,
    }
    decides |= {"threads": snakemake.threads, "torch": version("torch")}
    return Resume(place, minutes, digest_of(decides))


def _results(snakemake: Any) -> Path:
    """Folder of the experiment."""
    return Path("results") / snakemake.config["experiment"]


def _paths(files: Any) -> list[Path]:
    return [Path(file) for file in files]


def _named(files: Any) -> dict[str, Path | list[Path]]:
    return {
        name: Path(value) if isinstance(value, str) else [Path(v) for v in value]
        for name, value in files.items()
    }


def _job_name(snakemake: Any) -> str:
    wildcards = " ".join(f"{name}={value}" for name, value in snakemake.wildcards.items())
    return f"{snakemake.rule} {wildcards}".strip()


def _explain(snakemake: Any, error: Exception) -> None:
    """One message a person can act on; a traceback only where the fault is not theirs."""
    if isinstance(error, UserError):
        logging.error("%s: %s", _job_name(snakemake), error)
        text = str(error)
    else:
        logging.error("%s\n%s", _job_name(snakemake), traceback.format_exc())
        text = f"{type(error).__name__}: {error}; the traceback is in {snakemake.log[0]}"
    print(f"\n{_job_name(snakemake)}: {text}\n", file=sys.stderr, flush=True)


def _mirror(snakemake: Any, mirrored: TrackedResult, started: int, status: Status) -> None:
    """Leave a record for the tracking store; the tracking uploader sends it."""
    if snakemake.config["tracking"]["uri"] is None:
        return
    try:
        record = JobRecord(
            name=_job_name(snakemake),
            tags=dict(_tags(snakemake)),
            parameters=_flatten(settings_of(snakemake)),
            metrics=dict(mirrored.metrics),
            series=dict(mirrored.series),
            artifacts=[*map(str, snakemake.output), str(snakemake.log[0])],
            started=started,
            ended=milliseconds(),
            status=status,
        )
        queue_record(record, _results(snakemake) / "tracking")
    except Exception as error:  # noqa: BLE001 - the mirror must never cost finished work
        logging.warning("no record for MLflow: %s", error)
        print(
            f"warning: {_job_name(snakemake)} is complete, but its record for MLflow could not be "
            f"written ({error})",
            file=sys.stderr,
        )


def _tags(snakemake: Any) -> Iterator[tuple[str, str]]:
    yield "experiment", str(snakemake.config["experiment"])
    yield "rule", snakemake.rule
    for name, value in snakemake.wildcards.items():
        yield f"wildcard.{name}", str(value)
        if name == "seed":
            yield "seed", str(value)
    yield "git_commit", git_commit()
    yield "device", _device()


def git_commit() -> str:
    """Commit of the workflow, with ``+`` where files differ from it."""
    commit = _git("rev-parse", "HEAD")
    return commit + ("+" if commit and _git("status", "--porcelain", "-uno") else "") or "unknown"


def _git(*arguments: str) -> str:
    """What git prints; nothing where there is no git or no repository."""
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        process = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return process.stdout.strip() if process.returncode == 0 else ""


def _device() -> str:
    """Name of the GPU that the job used; asking starts none."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return str(torch.cuda.get_device_name())
    return "cpu"


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as ``optimiser.name`` and so on."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


if "snakemake" in vars(sys.modules["__main__"]):
    end_with_run()  # a job, from its first second on: what it imports next may take some
