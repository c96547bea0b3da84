"""Many jobs: a dry run of 10,000, and 1,000 small ones for real with four at once.

Counted for the real ones: rows of the tables and runs of the tracking store, none lost or doubled.
"""

import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil

from benchmarks.common import ROOT, Row, write_results
from benchmarks.jobs import write_overlay

EXPERIMENT = "bench-load"
ANGLES = [round(0.25 * step, 2) for step in range(1, 241)]
LOAD = {
    "experiment": EXPERIMENT,
    "run_models": ["alexnet"],
    "models": {"alexnet": {"learning_rates": [0.001]}},
    "seeds": [0, 1, 2, 3],
    "controls": {"untrained": False},
    "comparison": {"splits": [], "networks": []},
    "pruning": {
        "angles": ANGLES,
        "techniques_compared": ["distinctiveness"],
        "compensations": ["none"],
    },
    "tables": {"formats": ["csv"]},
}
THREADS = [f"{rule}=1" for rule in ("train", "evaluate", "initialise", "prepare_frames")]


def dry_row() -> Row:
    """Seconds and memory of ``snakemake -n`` over 10,000 jobs."""
    overlay = write_overlay({"experiment": "bench", "seeds": list(range(526))})
    started = time.perf_counter()
    printed = subprocess.run(
        [snakemake(), "-n", "--configfile", "config.yaml", overlay],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6
    total = next(line.split()[1] for line in printed.splitlines() if line.startswith("total "))
    return {"kind": "dry run", "jobs": int(total), "seconds": seconds, "scheduler_mb": peak}


def real_row() -> Row:
    """The same of a real run, after which everything is counted."""
    place = ROOT / "results" / EXPERIMENT
    shutil.rmtree(place, ignore_errors=True)
    uri = f"sqlite:///{place}/mlflow.db"
    overlay = write_overlay({**LOAD, "tracking": {"uri": uri, "artifacts": f"{place}/artifacts"}})
    command = [snakemake(), "--cores", "4", "--resources", "gpu=4", "--set-threads", *THREADS]
    started = time.perf_counter()
    with (ROOT / "results" / "bench-load.log").open("w") as log:
        run = subprocess.Popen(
            [*command, "--configfile", "configs/tiny.yaml", overlay],
            cwd=ROOT, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        peaks: list[int] = []
        watch = threading.Thread(target=watch_memory, args=(run.pid, peaks))
        watch.start()
        status = run.wait()
        watch.join()
    seconds = time.perf_counter() - started
    if status != 0:
        raise SystemExit("the run failed; see results/bench-load.log")
    jobs = len(list((place / "benchmarks").rglob("*.jsonl")))
    counted = {name: count for name, count in count(place, uri)}
    return {"kind": "real run", "jobs": jobs, "seconds": seconds,
            "scheduler_mb": max(peaks) / 1e6, **counted}  # fmt: skip


def count(place: Path, uri: str) -> Iterator[tuple[str, int]]:
    """Rows and runs, and how many of them should be there.

    Raises:
        SystemExit: a row or a run is missing or doubled.
    """
    from neuron_pruning.tracking.mlflow_client import quiet_client

    jobs = len(list((place / "benchmarks").rglob("*.jsonl")))
    table = pd.read_parquet(place / "tables" / "table4.parquet")
    if sorted(table["angle"]) != ANGLES or set(table["seeds"]) != {len(LOAD["seeds"])}:
        raise SystemExit("Table 4 has lost or doubled rows")
    yield "table_rows", len(table)
    client = quiet_client()(tracking_uri=uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    names, token = [], None
    while token is None or token:
        page = client.search_runs([experiment.experiment_id], max_results=500, page_token=token)
        names += [run.info.run_name for run in page]
        token = page.token or ""
    if len(set(names)) != len(names) or len(names) != jobs:
        raise SystemExit(f"{jobs} jobs, {len(names)} runs, {len(set(names))} names")
    yield "tracked_runs", len(names)


def watch_memory(pid: int, peaks: list[int]) -> None:
    """Resident memory of a process every half second, until it ends."""
    try:
        process = psutil.Process(pid)
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            peaks.append(process.memory_info().rss)
            time.sleep(0.5)
    except psutil.NoSuchProcess:
        return


def snakemake() -> str:
    """The command beside this Python."""
    return str(Path(sys.executable).parent / "snakemake")


def main() -> None:
    """Measure both."""
    started = time.time()
    rows = [dry_row(), real_row()]
    lines = [
        "| | jobs | seconds | jobs a second | scheduler, MB | rows of Table 4 | tracked runs |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['kind']} | {r['jobs']:,} | {r['seconds']:.0f} | {r['jobs'] / r['seconds']:.1f} "
        f"| {r['scheduler_mb']:.0f} | {r.get('table_rows', '–')} | {r.get('tracked_runs', '–')} |"
        for r in rows
    ]
    write_results("load", rows, "\n".join(lines), started)


if __name__ == "__main__":
    main()
