"""Arithmetic that several folders share: constants, the sigmoid, precision of matrix products."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # work on arrays needs no torch
    import torch

LUMA = (0.299, 0.587, 0.114)  # grey of red, green and blue (ITU-R BT.601)
Precision = Literal["float32", "tf32", "bfloat16"]
PrecisionSetting = Literal[Precision, "auto"]  # of the config; see automatic_precision
CPUINFO = Path("/proc/cpuinfo")
BFLOAT16_FLAGS = {"amx_bf16", "avx512_bf16"}  # the kernel's names of such instructions
Values = TypeVar("Values", bound=NDArray[np.floating])


def sigmoid(values: Values) -> Values:
    """1 / (1 + exp(-x)) in the type of ``values``, without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * values))


@contextmanager
def precision_context(precision: Precision, autotune: bool = False) -> Iterator[None]:
    """Arithmetic of float32 products and convolutions inside the block, backward passes included.

    For bfloat16 a forward pass needs :func:`autocast` as well. ``autotune`` lets cuDNN time its
    deterministic algorithms and take the fastest.
    """
    import torch

    cudnn = torch.backends.cudnn
    before = torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.benchmark
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    cudnn.allow_tf32, cudnn.benchmark = precision == "tf32", autotune
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        cudnn.allow_tf32, cudnn.benchmark = before[1:]


def automatic_precision() -> Precision:
    """What ``auto`` is on this machine.

    bfloat16 where the processor multiplies its matrices in hardware; float32 on any other, which
    would emulate it, and on a GPU.
    """
    if not multiplies_bfloat16():
        return "float32"
    import torch

    return "float32" if torch.cuda.is_available() else "bfloat16"


def multiplies_bfloat16(cpuinfo: Path = CPUINFO) -> bool:
    """Whether the kernel lists instructions for products of bfloat16 matrices.

    Asking the kernel loads no torch. It answers on Linux alone; elsewhere this is False.
    """
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return any(BFLOAT16_FLAGS & set(line.split()) for line in lines if line.startswith("flags"))


def autocast(precision: Precision, device: "torch.device") -> "torch.autocast":
    """Context of a forward pass in ``precision``; weights stay float32."""
    import torch

    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
