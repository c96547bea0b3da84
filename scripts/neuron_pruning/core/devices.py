"""Where the arithmetic runs: a GPU of the job's own, or the CPU."""

import ctypes
import fcntl
import itertools
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from neuron_pruning.core.errors import UserError

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # parameters of glibc's mallopt


def use_cpu(threads: int) -> torch.device:
    """The CPU with ``threads`` threads, deterministic."""
    _compute_alike(threads)
    _keep_freed_memory()
    return torch.device("cpu")


def choose_device(threads: int) -> torch.device:
    """A leased CUDA device, or the CPU with ``threads`` threads; deterministic either way.

    Each call takes another lease: a process calls it once.

    Raises:
        UserError: there is a GPU that PyTorch cannot use.
    """
    gpus = visible_gpus()
    if not gpus:
        return use_cpu(threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else cuBLAS is not
    _compute_alike(threads)
    device = torch.device("cuda", lease_gpu(gpus, lease_folder()))
    torch.cuda.set_device(device)  # else libraries and statistics look at the first GPU
    return device


def _compute_alike(threads: int) -> None:
    """Same results from the same inputs, wherever that is possible."""
    torch.set_deterministic_debug_mode("warn")  # its homonym imports the compiler, 1 s
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined] # slow debugging aid
    torch.set_num_threads(threads)


def visible_gpus() -> list[str]:
    """Names by which all processes of a machine know its GPUs, in PyTorch's order.

    Raises:
        UserError: there is a GPU that PyTorch cannot use.
    """
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    count = torch.cuda.device_count()  # asks the driver, and CUDA may still refuse it
    if count > 0 and not torch.cuda.is_available():
        raise UserError(
            f"PyTorch {torch.__version__} cannot use this machine's GPU, probably because its "
            f"driver is older than CUDA {torch.version.cuda} wants; update the driver or install "
            "a PyTorch for an older CUDA, or set CUDA_VISIBLE_DEVICES= to compute on the CPU"
        )
    return [named[gpu].strip() if gpu < len(named) and named[gpu] else str(gpu)
            for gpu in range(count)]  # fmt: skip


def lease_folder() -> Path:
    """One folder per user and machine: workflows in any directory share its GPUs."""
    folder = Path(tempfile.gettempdir()) / f"neuron-pruning-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def lease_gpu(gpus: Sequence[str], folder: Path) -> int:
    """Index of the GPU with the fewest jobs, which has one more until this process ends.

    Snakemake counts GPUs but does not say which one a job has (its issue 281). Here a job holds
    a locked file, ``GPU.SLOT.lock``; the kernel lets go of it with the process, killed or not.
    GPUs are shared only where Snakemake starts more jobs than there are GPUs.
    """
    for slot in itertools.count():
        for gpu, name in enumerate(gpus):
            file = os.open(folder / f"{name}.{slot}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
            else:
                return gpu  # and the file stays open
    raise AssertionError("there is always one more slot")


def device_name(device: torch.device, threads: int) -> str:
    """Name of the device in records: the GPU's name, or the CPU and its threads."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"cpu ({platform.machine()}, {threads} threads)"


def _keep_freed_memory() -> None:
    """Make glibc reuse large blocks instead of giving them back to the kernel.

    A training step frees and asks for gigabytes; mapping and zeroing them again each time took a
    third of its time.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another C library: nothing to tune
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, -1)  # never
