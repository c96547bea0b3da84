"""Disks that are full or read-only, files that change behind the workflow's back, clocks."""

import os
import random
import shutil
import subprocess
from contextlib import contextmanager

import pytest

from tests.faults.conftest import SEED, TRIALS

TO_ARRAY = "results/tiny/dataset/crop~none/size~300x300/images.npy"


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


@pytest.mark.parametrize("where", ["early", "late"])
def test_a_full_disk(disturbed, where):
    """No room for the images, or not enough for all results: the job says so; room mends it."""
    results = disturbed.project.folder / "results"
    whole = sum(p.stat().st_blocks * 512 for p in (disturbed.quiet.folder / "results").rglob("*"))
    twice = (disturbed.quiet.folder / TO_ARRAY).stat().st_size  # it has a second name
    megabytes = {"early": 3, "late": (whole - twice) // 1_048_576 - 1}[where]
    with small_disk(results, megabytes):
        ran = disturbed.run()
        assert ran.returncode != 0, megabytes
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


# Kinds of files, and what is taken away so that a run needs them again.
LATER = ["selection.parquet", "pruned", "sweeps", "tables"]
VICTIMS = {
    "a checkpoint": ("runs/**/network.safetensors", ["evaluations", *LATER]),
    "activations": ("evaluations/**/activations.safetensors", LATER[1:]),
    "metrics": ("evaluations/**/metrics.parquet", LATER),
    "a split": ("splits/**/seed~0.parquet", ["networks", "runs", "evaluations", *LATER]),
    "the images": ("dataset/**/images.npy", ["networks", "runs", "evaluations", *LATER]),
}
CASES = [(victim, how) for victim in VICTIMS for how in ("truncated", "flipped")]
if len(CASES) > TRIALS:
    CASES = random.Random(SEED).sample(CASES, TRIALS)


def damage(path, how, rng):
    content = bytearray(path.read_bytes())
    place = rng.randrange(len(content))
    if how == "truncated":
        content = content[:place]
    else:
        content[place] ^= 1 << rng.randrange(8)
    before = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as a bad disk does it


def take_away(results, names):
    for name in names:
        place = results / name
        shutil.rmtree(place) if place.is_dir() else place.unlink()


@pytest.mark.parametrize(("victim", "how"), CASES)
def test_a_damaged_file(disturbed, victim, how):
    """What needs it stops before it is used and names it; the next run makes it again."""
    results = disturbed.take_over()
    pattern, later = VICTIMS[victim]
    path = sorted(results.glob(pattern))[0]
    damage(path, how, random.Random(f"{SEED}/{victim}/{how}"))
    take_away(results, later)
    ran = disturbed.run()
    assert ran.returncode != 0
    assert "damaged since it was written" in ran.stderr and path.name in ran.stderr
    assert path.with_name(path.name + ".damaged").exists()
    disturbed.recover()


@pytest.mark.parametrize("days", [1, -1])
def test_a_clock_that_jumps(disturbed, days):
    """Half of the files are from tomorrow or from yesterday: nothing is made again for ever."""
    results = disturbed.take_over()
    take_away(results, ["evaluations", *LATER])
    for path in results.rglob("*"):
        if path.is_file():
            moved = path.stat().st_mtime_ns + days * 86_400 * 10**9
            os.utime(path, ns=(moved, moved))
    disturbed.recover()
