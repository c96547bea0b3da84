"""Seconds that are no work: imports, the start and end of each kind of job, and scheduling."""

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import yaml

from benchmarks.common import ROOT, SCRATCH, Row, summarise, write_results

MODULES = ["numpy", "pyarrow.parquet", "pandas", "safetensors.numpy", "matplotlib.pyplot"]
MODULES += ["torch", "torchvision", "mlflow"]
SEEDS = {"full config.yaml": None, "1,000 jobs": 52, "10,000 jobs": 526}
TINY = "bench-tiny"
REPEATS = 3


def import_rows() -> Iterator[Row]:
    """Seconds that each import costs a fresh Python, beyond starting it."""
    for repeat in range(REPEATS):
        bare = seconds_of([sys.executable, "-c", ""])
        yield {"kind": "import", "what": "(Python itself)", "seconds": bare, "repeat": repeat}
        for module in MODULES:
            whole = seconds_of([sys.executable, "-c", f"import {module}"])
            seconds = whole - bare
            yield {"kind": "import", "what": module, "seconds": seconds, "repeat": repeat}


def tiny_rows() -> Iterator[Row]:
    """Every job of the tiny config, one at a time, and what lies between them."""
    place = ROOT / "results" / TINY
    shutil.rmtree(place, ignore_errors=True)
    overlay = {"experiment": TINY, "tracking": {"uri": f"sqlite:///{place}/mlflow.db"}}
    started = time.perf_counter()
    snakemake("--cores", "1", "--configfile", "configs/tiny.yaml", write_overlay(overlay))
    whole = time.perf_counter() - started
    rows = list(job_rows(place))
    yield from rows
    between = (whole - sum(row["wall"] for row in rows)) / len(rows)
    what = "(Snakemake and the last records, a job)"
    yield {"kind": "job", "what": what, "seconds": between, "repeat": 0}


def job_rows(place: Path) -> Iterator[Row]:
    """Wall time of every job of a finished experiment less what it worked, and peak memory."""
    for path in sorted((place / "benchmarks").rglob("*.jsonl")):
        name = path.relative_to(place / "benchmarks")
        log = (place / "logs" / name).with_suffix(".log").read_text(encoding="utf-8")
        worked = float(re.findall(r"worked for ([\d.]+) s", log)[-1])
        found = json.loads(path.read_text(encoding="utf-8").splitlines()[-1])
        rule = name.parts[0].removesuffix(".jsonl")
        model = re.findall(r"model~(\w+)", str(name))
        what = " ".join([rule, *model])
        yield {
            "kind": "job", "what": what, "seconds": found["s"] - worked, "repeat": 0,
            "wall": found["s"], "worked": worked, "peak_mb": found["max_rss"] * 1.048576,
        }  # fmt: skip


def finished(place: Path) -> str:
    """Jobs of a finished experiment: overhead, work and memory."""
    lines = [
        "| job | n | overhead, s, median (range) | work, s, median | peak memory, MB |",
        "|---|---|---|---|---|",
    ]
    for what, jobs in pd.DataFrame(job_rows(place)).groupby("what"):
        over = jobs["seconds"]
        lines.append(
            f"| {what} | {len(jobs)} | {over.median():.2f} ({over.min():.2f}-{over.max():.2f}) "
            f"| {jobs['worked'].median():.1f} | {jobs['peak_mb'].max():,.0f} |"
        )
    return "\n".join(lines)


def tracking_rows() -> Iterator[Row]:
    """What the tracking uploader needs for a new store and then for each record."""
    from neuron_pruning.tracking.mlflow_client import send_waiting
    from neuron_pruning.tracking.outbox import JobRecord, milliseconds, queue_record

    folder = SCRATCH / "tracking"
    shutil.rmtree(folder, ignore_errors=True)
    store = f"sqlite:///{folder}/mlflow.db"
    for repeat in range(21):
        now = milliseconds()
        parameters = {f"parameter{k}": k for k in range(20)}
        series = {f"series{k}": [float(k)] * 10 for k in range(6)}
        record = JobRecord("job", {"rule": "bench"}, parameters, {"a": 1.0}, series, (), now, now)
        started = time.perf_counter()
        queue_record(record, folder)
        queued = time.perf_counter()
        send_waiting(folder, store, "bench", str(folder / "artifacts"))
        sent = time.perf_counter()
        what = "a record, by the uploader" if repeat else "import and new store, by the uploader"
        yield {"kind": "tracking", "what": what, "seconds": sent - queued, "repeat": repeat}
        what = "a record, by the job"
        yield {"kind": "tracking", "what": what, "seconds": queued - started, "repeat": repeat}


def dry_run_rows() -> Iterator[Row]:
    """Seconds of ``snakemake -n``."""
    for what, seeds in SEEDS.items():
        overlay = {"experiment": "bench"} | ({"seeds": list(range(seeds))} if seeds else {})
        for repeat in range(REPEATS if seeds is None else 1):
            started = time.perf_counter()
            output = snakemake("-n", "--configfile", "config.yaml", write_overlay(overlay))
            seconds = time.perf_counter() - started
            jobs = int(re.findall(r"^total +(\d+)", output, re.MULTILINE)[0])
            what_jobs = f"snakemake -n, {what} ({jobs} jobs before the checkpoint)"
            yield {"kind": "dry run", "what": what_jobs, "seconds": seconds, "repeat": repeat}


def seconds_of(command: list[str]) -> float:
    """Wall time of a command."""
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def write_overlay(values: Row) -> str:
    """Config file with ``values``."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    path = SCRATCH / "overlay.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return str(path)


def snakemake(*arguments: str) -> str:
    """What Snakemake prints on standard output."""
    command = [str(Path(sys.executable).parent / "snakemake"), *arguments]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{process.stderr[-3000:]}")
    return process.stdout


def report(rows: list[Row]) -> str:
    """Medians and spread."""
    lines = ["| | what | seconds, median (range) | n |", "|---|---|---|---|"]
    for _, row in summarise(rows, ["kind", "what"], "seconds").iterrows():
        lines.append(
            f"| {row['kind']} | {row['what']} "
            f"| {row['median']:.3f} ({row['min']:.3f}-{row['max']:.3f}) | {row['count']} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure everything, one thing at a time, or tell of an experiment that has run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--of", type=Path, help="folder of a finished experiment, results/...")
    place = parser.parse_args().of
    if place is not None:
        print(finished(place))
        return
    started = time.time()
    rows = [*import_rows(), *tracking_rows(), *dry_run_rows(), *tiny_rows()]
    write_results("jobs", rows, report(rows), started)


if __name__ == "__main__":
    main()
