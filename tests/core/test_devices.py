"""GPUs are pretended: a lease is a matter of names and locked files."""

import signal
import time
from multiprocessing import get_context

import pytest
import torch

from neuron_pruning import UserError
from neuron_pruning.core import devices
from neuron_pruning.core.devices import choose_device, lease_gpu, visible_gpus

FORK = get_context("fork")  # a process of its own, without importing PyTorch once more


def hold(folder, gpus, told):
    """Take a GPU, say which, and keep it."""
    told.send(lease_gpu(gpus, folder))
    time.sleep(600)


def start(folder, *gpus):
    """A job that takes a GPU and keeps it, and where it says which."""
    heard, told = FORK.Pipe(duplex=False)
    process = FORK.Process(target=hold, args=(folder, gpus, told), daemon=True)
    process.start()
    return process, heard


@pytest.fixture
def jobs(tmp_path):
    """Function that starts a job on pretended GPUs; all are killed in the end."""
    started = []

    def job(*gpus):
        started.append(start(tmp_path, *gpus))
        return started[-1]

    yield job
    for process, _ in started:
        process.kill()
        process.join()


def gpu_of(job):
    _, heard = job
    assert heard.poll(60)
    return heard.recv()


def test_each_job_gets_a_gpu_of_its_own_and_a_killed_one_gives_it_back(jobs):
    running = [jobs("0", "1", "GPU-abc") for _ in range(3)]
    gpus = [gpu_of(one) for one in running]
    assert sorted(gpus) == [0, 1, 2]
    process, _ = running[1]
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert gpu_of(jobs("0", "1", "GPU-abc")) == gpus[1]


def test_gpus_are_shared_only_when_there_are_more_jobs(jobs):
    assert [gpu_of(jobs("0", "1")) for _ in range(5)] == [0, 1, 0, 1, 0]


def test_a_gpu_keeps_its_name_where_only_some_are_visible(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-abc")
    assert visible_gpus() == ["3", "GPU-abc"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert visible_gpus() == ["0", "1"]


def test_where_there_are_gpus_a_job_computes_on_its_own(monkeypatch, tmp_path):
    monkeypatch.setattr(devices, "visible_gpus", lambda: ["0", "1"])
    monkeypatch.setattr(devices, "lease_folder", lambda: tmp_path)
    current = []
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    assert choose_device(1) == torch.device("cuda", 0)
    assert choose_device(1) == torch.device("cuda", 1)  # as another job would
    assert sorted(place.name for place in tmp_path.iterdir()) == ["0.0.lock", "1.0.lock"]
    assert current == [torch.device("cuda", 0), torch.device("cuda", 1)]  # of the whole process


def test_a_gpu_that_pytorch_cannot_use_is_an_error_that_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)  # says the driver
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)  # says CUDA
    with pytest.raises(UserError, match=r"driver.*CUDA_VISIBLE_DEVICES="):
        choose_device(1)


def test_leases_need_no_entry_for_the_user(monkeypatch, tmp_path):
    monkeypatch.setattr(devices.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr("os.getuid", lambda: 4242)  # as a pod has it, without a name
    assert devices.lease_folder() == tmp_path / "neuron-pruning-gpus-4242"
    assert devices.lease_folder().is_dir()


def test_without_gpus_the_cpu_computes_deterministically(monkeypatch):
    monkeypatch.setattr(devices, "visible_gpus", lambda: [])
    assert choose_device(2) == torch.device("cpu")
    assert torch.get_num_threads() == 2
    assert torch.are_deterministic_algorithms_enabled()
