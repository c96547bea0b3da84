"""GPUs are pretended: a lease is a matter of names and locked files."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from neuron_pruning.core import devices
from neuron_pruning.core.devices import choose_device, visible_gpus

HOLDER = """
import sys
from pathlib import Path
from neuron_pruning.core.devices import lease_gpu
lease = lease_gpu(sys.argv[2:], Path(sys.argv[1]))
print(lease, flush=True)
sys.stdin.read()
"""
SCRIPTS = Path(devices.__file__).parents[2]


def start(folder, *gpus):
    """A job that takes a GPU and keeps it."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), *gpus],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(SCRIPTS)},
    )


@pytest.fixture
def jobs(tmp_path):
    """Function that starts a job on pretended GPUs; all are killed in the end."""
    started = []

    def job(*gpus):
        started.append(start(tmp_path, *gpus))
        return started[-1]

    yield job
    for process in started:
        process.kill()
        process.communicate()


def gpu_of(process):
    return int(process.stdout.readline())


def test_each_job_gets_a_gpu_of_its_own_and_a_killed_one_gives_it_back(jobs):
    running = [jobs("0", "1", "GPU-abc") for _ in range(3)]
    gpus = [gpu_of(process) for process in running]
    assert sorted(gpus) == [0, 1, 2]
    running[1].send_signal(signal.SIGKILL)
    running[1].wait()
    assert gpu_of(jobs("0", "1", "GPU-abc")) == gpus[1]


def test_gpus_are_shared_only_when_there_are_more_jobs(jobs):
    assert [gpu_of(jobs("0", "1")) for _ in range(5)] == [0, 1, 0, 1, 0]


def test_a_gpu_keeps_its_name_where_only_some_are_visible(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-abc")
    assert visible_gpus() == ["3", "GPU-abc"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert visible_gpus() == ["0", "1"]


def test_where_there_are_gpus_a_job_computes_on_its_own(monkeypatch, tmp_path):
    monkeypatch.setattr(devices, "visible_gpus", lambda: ["0", "1"])
    monkeypatch.setattr(devices, "lease_folder", lambda: tmp_path)
    assert choose_device(1) == torch.device("cuda", 0)
    assert choose_device(1) == torch.device("cuda", 1)  # as another job would
    assert sorted(place.name for place in tmp_path.iterdir()) == ["0.0.lock", "1.0.lock"]


def test_without_gpus_the_cpu_computes_deterministically(monkeypatch):
    monkeypatch.setattr(devices, "visible_gpus", lambda: [])
    assert choose_device(2) == torch.device("cpu")
    assert torch.get_num_threads() == 2
    assert torch.are_deterministic_algorithms_enabled()
