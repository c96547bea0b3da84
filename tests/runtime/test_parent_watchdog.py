"""No job without its run."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
JOB = """
import sys, time
sys.path.insert(0, {scripts!r})
from runtime.parent_watchdog import end_with_run
end_with_run()
print("working", flush=True)
time.sleep(60)
"""


def start(*command):
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    process.first = process.stdout.readline().strip()
    return process


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


def test_a_script_without_a_run_goes_on(tmp_path):
    code = JOB.format(scripts=str(SCRIPTS)).replace("60", "0.2")
    assert start(sys.executable, "-c", code).wait(timeout=20) == 0
