"""One run at a time, and no job without its run."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guards import RunLock, date_back
from neuron_pruning import UserError

SCRIPTS = Path(__file__).parents[2] / "scripts"
HOLD = """
import sys, time
sys.path.insert(0, {scripts!r})
from pathlib import Path
from guards import RunLock, date_back
lock = RunLock(Path({folder!r}))
lock.take()
print("taken", flush=True)
time.sleep(60)
"""
JOB = """
import sys, time
sys.path.insert(0, {scripts!r})
from guards import end_with_run
end_with_run()
print("working", flush=True)
time.sleep(60)
"""


def start(*command):
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    process.first = process.stdout.readline().strip()
    return process


def test_the_lock_is_held_by_one_and_ends_with_it(tmp_path):
    code = HOLD.format(scripts=str(SCRIPTS), folder=str(tmp_path / "results"))
    holder = start(sys.executable, "-c", code)
    assert holder.first == "taken"
    with pytest.raises(UserError, match=rf"another snakemake .*\(process {holder.pid} on"):
        RunLock(tmp_path / "results").take()
    RunLock(tmp_path / "another").take()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    RunLock(tmp_path / "results").take()


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "results").write_text("a file")
    with pytest.raises(UserError, match="cannot be written"):
        RunLock(tmp_path / "results" / "tiny").take()


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_job_ends_with_the_run_above_it(tmp_path, wrapped):
    """Between the two there may be a shell."""
    job = tmp_path / "job.py"
    job.write_text(JOB.format(scripts=str(SCRIPTS)))
    command = [sys.executable, str(job)]
    command = ["sh", "-c", f"{' '.join(command)}; true"] if wrapped else command
    run = tmp_path / "snakemake"
    run.write_text(f"import subprocess; subprocess.run({command!r})")
    above = start(sys.executable, str(run))
    assert above.first == "working"
    jobs = [p for p in psutil.Process(above.pid).children(recursive=True) if p.name() != "sh"]
    above.kill()
    above.wait()
    _, alive = psutil.wait_procs(jobs, timeout=10)
    assert jobs and not alive


def test_a_script_that_nobody_runs_goes_on(tmp_path):
    code = JOB.format(scripts=str(SCRIPTS)).replace("60", "0.2")
    assert start(sys.executable, "-c", code).wait(timeout=20) == 0


@given(
    st.lists(st.integers(-9, 9), min_size=1, max_size=8, unique=True), st.sampled_from([10, 100])
)
def test_files_from_the_future_are_from_now_in_their_order(tmp_path_factory, offsets, seconds):
    folder, now = tmp_path_factory.mktemp("results"), 1_000_000_000
    for number, offset in enumerate(offsets):
        place = folder / f"d{number % 2}"
        place.mkdir(exist_ok=True)
        (place / str(number)).touch()
        os.utime(place / str(number), (now + seconds * offset, now + seconds * offset))
    jumped = seconds * max(offsets) > 60
    assert date_back(folder, now) == (sum(offset > 0 for offset in offsets) if jumped else 0)
    files = sorted(folder.rglob("[0-9]"), key=lambda path: path.stat().st_mtime_ns)
    found = [offsets[int(path.name)] for path in files]
    assert 0 in offsets or found == sorted(offsets)
    assert not jumped or files[-1].stat().st_mtime <= now
    assert date_back(folder, now) == 0
