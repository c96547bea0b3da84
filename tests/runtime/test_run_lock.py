"""One run at a time."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from neuron_pruning import UserError
from runtime.run_lock import RunLock

SCRIPTS = Path(__file__).parents[2] / "scripts"
HOLD = """
import sys, time
sys.path.insert(0, {scripts!r})
from pathlib import Path
from runtime.run_lock import RunLock
lock = RunLock(Path({folder!r}))
lock.take()
print("taken", flush=True)
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
