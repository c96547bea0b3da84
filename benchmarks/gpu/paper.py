"""The paper's experiment on a GPU: seconds of the run, of each job, and of the trainings."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pandas as pd

from benchmarks.common import ROOT, Row, write_results
from neuron_pruning.reporting.provenance import measured_seconds

LAST_ON_GPU = "evaluate"  # of a run of the paper; every training is upstream of one


def run(arguments: argparse.Namespace) -> bool:
    """Run the workflow from scratch and write its times; whether all jobs succeeded."""
    gpu, jobs = arguments.device == "cuda", arguments.jobs_per_gpu
    name = f"gpu-paper-{jobs}" if gpu else "gpu-rehearsal"
    place = ROOT / "results" / name
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    overlay = place / "overlay.yaml"
    settings = {"experiment": name, "tracking": {"uri": None}}
    settings |= {} if gpu else {"seeds": [0], "training": {"epochs": 1}}
    overlay.write_text(json.dumps(settings))  # which is YAML, too
    config = [] if gpu else ["configs/tiny.yaml"]
    # pulp, which the other scheduler needs, is not on a bare machine.
    command = [sys.executable, "-m", "snakemake", "--scheduler", "greedy"]
    command += ["--cores", str(arguments.threads), "--resources", f"gpu={jobs * gpus(gpu)}"]
    command += ["--configfile", *config, str(overlay)]
    command += [] if arguments.whole else ["--until", LAST_ON_GPU]
    started = time.time()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    status = subprocess.run(command, cwd=ROOT, env={**os.environ, "PATH": path}, check=False)
    seconds = time.time() - started
    rows = [*job_rows(place), *training_rows(place)]
    text = f"{seconds:.0f} s from command to end, exit status {status.returncode}.\n\n"
    write_results(name, [{**row, "run_s": seconds} for row in rows], text + summary(rows), started)
    return status.returncode == 0 and bool(rows)


def gpus(gpu: bool) -> int:
    """GPUs of this machine; one job at a time stands for them in a rehearsal."""
    import torch

    return torch.cuda.device_count() if gpu else 1


def job_rows(place: Path) -> list[Row]:
    """Seconds and largest memory of every job; a line cut off by a kill counts nothing."""
    rows = []
    for file in sorted((place / "benchmarks").rglob("*.jsonl")):
        rule = file.relative_to(place / "benchmarks").parts[0].removesuffix(".jsonl")
        row = {"kind": "job", "rule": rule, "seconds": measured_seconds(file)}
        for line in file.read_text().splitlines():
            with suppress(ValueError, KeyError):
                row["max_rss_mb"] = json.loads(line)["max_rss"]
        rows.append(row)
    return rows


def training_rows(place: Path) -> list[Row]:
    """Seconds and speed of every training."""
    rows = []
    for file in sorted((place / "runs").rglob("speed.parquet")):
        speed = pd.read_parquet(file)
        rows.append({"kind": "training", "rule": speed["model"][0],
                     "seconds": float(speed["seconds"].sum()),
                     "images_per_second": float(speed["images_per_second"].median()),
                     "device": speed["device"][0]})  # fmt: skip
    return rows


def summary(rows: list[Row]) -> str:
    """Markdown: jobs, all their seconds and the longest, by rule or model."""
    lines = ["| what | of | n | seconds in all | longest |", "|---|---|---|---|---|"]
    if rows:
        groups = pd.DataFrame(rows).groupby(["kind", "rule"])["seconds"]
        for (kind, rule), one in groups.agg(["count", "sum", "max"]).iterrows():
            counts = f"{one['count']:.0f} | {one['sum']:.1f} | {one['max']:.1f}"
            lines.append(f"| {kind} | {rule} | {counts} |")
    return "\n".join(lines)
