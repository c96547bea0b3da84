"""Does the CUDA path run, and right: one line per check, and on after a failure."""

import argparse
import gc
import tempfile
import time
import traceback
from pathlib import Path

import torch

from benchmarks.common import Row, write_results
from benchmarks.gpu.bed import Bed
from benchmarks.gpu.checks import Check, Skipped, all_checks
from neuron_pruning.core.devices import choose_device, use_cpu


def has_gpu() -> bool:
    """Whether PyTorch finds a GPU."""
    return torch.cuda.is_available()


def run(arguments: argparse.Namespace) -> bool:
    """Run all checks, or those whose names begin as asked for; whether none failed."""
    started, gpu = time.time(), arguments.device == "cuda"
    device = (choose_device if gpu else use_cpu)(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        bed = Bed(device, arguments.threads, full=gpu, folder=Path(folder))
        wanted = tuple(arguments.only or [""])
        checks = {n: c for n, c in all_checks(bed.models).items() if n.startswith(wanted)}
        rows = [outcome(name, check, bed) for name, check in checks.items()]
    lines = ["| check | outcome | s | seen |", "|---|---|---|---|"]
    lines += ["| {check} | {outcome} | {seconds:.1f} | {seen} |".format(**row) for row in rows]
    write_results("gpu-smoke", rows, "\n".join(lines), started, show=False)
    failed = [row["check"] for row in rows if row["outcome"] == "fail"]
    print(f"{len(rows)} checks in {time.time() - started:.0f} s, failed: {failed or 'none'}")
    return bool(rows) and not failed


def outcome(name: str, check: Check, bed: Bed) -> Row:
    """Run one check and print its line; a traceback follows a failure."""
    gc.collect()
    started, trace = time.perf_counter(), ""
    try:
        result, seen = "pass", check(bed)
    except Skipped as reason:
        result, seen = "skip", str(reason)
    except Exception as error:  # noqa: BLE001 - the next check may still tell something
        result, seen = "fail", f"{type(error).__name__}: {error}".replace("\n", " ")
        trace = traceback.format_exc()
    seconds = time.perf_counter() - started
    print(f"{result}  {name}  {seconds:.1f} s  {seen}\n{trace}", end="", flush=True)
    return {"check": name, "outcome": result, "seconds": seconds, "seen": seen}
