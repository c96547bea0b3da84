"""Disks that are full or read-only, files that change behind the workflow's back, clocks."""

import os
import subprocess
from contextlib import contextmanager

import pytest

from tests.faults.conftest import TABLES, jobs_of, wait_for


@contextmanager
def small_disk(folder, megabytes):
    """A disk of its own under ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("megabytes", [3, 14])
def test_a_full_disk(disturbed, megabytes):
    """Too small for the images, or for what comes later: it is said, and room mends it."""
    results = disturbed.project.folder / "results"
    with small_disk(results, megabytes):
        ran = disturbed.run()
        assert ran.returncode != 0
        assert "No space left" in ran.stderr or "the disk is full" in ran.stderr
        assert [p for p in results.rglob("*") if ".partial." in p.name] == []
        subprocess.run(["mount", "-o", "remount,size=500m", str(results)], check=True)
        disturbed.recover()


def test_a_read_only_folder_of_results(disturbed):
    results = disturbed.project.folder / "results"
    with small_disk(results, 500):
        subprocess.run(["mount", "-o", "remount,ro", str(results)], check=True)
        ran = disturbed.run()
        assert ran.returncode != 0
        assert "results/tiny cannot be written" in ran.stderr
        assert "Traceback" not in ran.stderr
        subprocess.run(["mount", "-o", "remount,rw", str(results)], check=True)
        disturbed.recover()


VICTIMS = {
    "a checkpoint": "runs/**/network.safetensors",
    "activations": "evaluations/**/activations.safetensors",
    "metrics": "evaluations/**/metrics.parquet",
    "a split": "splits/**/seed~0.parquet",
    "the images": "dataset/**/images.npy",
}


def damage(path, how, chance):
    content = bytearray(path.read_bytes())
    place = chance.randrange(len(content))
    if how == "truncated":
        content = content[:place]
    else:
        content[place] ^= 1 << chance.randrange(8)
    before = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as a bad disk does it


@pytest.mark.parametrize("how", ["truncated", "flipped"])
@pytest.mark.parametrize("victim", VICTIMS)
def test_a_damaged_file(disturbed, chance, victim, how):
    """What needs it stops before it is used and names it; the next run makes it anew."""
    stop_before = {"a split": "initialise", "the images": "initialise"}.get(victim, "prune")
    if victim == "metrics":
        stop_before = "select_hyperparameters"
    ran = disturbed.project.run(
        *TABLES, "--until", *before(stop_before), "--resources", "gpu=2",
        *one_thread(), overlay=small(),
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-4000:]
    path = sorted((disturbed.project.folder / "results/tiny").glob(VICTIMS[victim]))[0]
    damage(path, how, chance)
    ran = disturbed.run()
    assert ran.returncode != 0
    assert "damaged since it was written" in ran.stderr and path.name in ran.stderr
    assert path.with_name(path.name + ".damaged").exists()
    disturbed.recover()


def before(rule):
    """Rules that run before one."""
    order = ["split_dataset", "prepare_frames", "initialise", "train", "evaluate"]
    return order[:2] if rule == "initialise" else order


def small():
    from tests.faults.conftest import SMALL

    return SMALL


def one_thread():
    from tests.faults.conftest import ONE_THREAD

    return ONE_THREAD


@pytest.mark.parametrize("days", [1, -1])
def test_a_clock_that_jumps(disturbed, days):
    """Half of the files are from tomorrow or from yesterday: nothing is made for ever anew."""
    run = disturbed.start()
    runs = disturbed.project.folder / "results/tiny/runs"
    wait_for(lambda: jobs_of(run) and list(runs.rglob("network.safetensors")))
    run.send_signal(2)
    run.wait(timeout=120)
    for path in (disturbed.project.folder / "results").rglob("*"):
        if path.is_file():
            status = path.stat()
            moved = status.st_mtime_ns + days * 86_400 * 10**9
            os.utime(path, ns=(moved, moved))
    disturbed.recover()
