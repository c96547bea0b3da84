"""Where the arithmetic runs."""

import ctypes
import os
import platform
import sys

import torch

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # parameters of glibc's mallopt


def choose_device(threads: int) -> torch.device:
    """The first CUDA device, or the CPU with ``threads`` threads; deterministic either way."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else cuBLAS is not
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined] # slow debugging aid
    torch.set_num_threads(threads)
    if torch.cuda.is_available():
        return torch.device("cuda")
    _keep_freed_memory()
    return torch.device("cpu")


def device_name(device: torch.device, threads: int) -> str:
    """What a record says of the device: the card's name, or the CPU and its threads."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"cpu ({platform.machine()}, {threads} threads)"


def _keep_freed_memory() -> None:
    """Make glibc reuse large blocks instead of giving them back to the kernel.

    A training step frees and asks for gigabytes; mapping and zeroing them anew each time took a
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
