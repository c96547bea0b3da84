import pytest
import torch

from neuron_pruning.core import numerics
from neuron_pruning.core.numerics import (
    autocast,
    automatic_precision,
    multiplies_bfloat16,
    precision_context,
)

CPU = torch.device("cpu")


def arithmetic():
    cudnn = torch.backends.cudnn
    return torch.get_float32_matmul_precision() == "high", cudnn.allow_tf32, cudnn.benchmark


@pytest.mark.parametrize("autotune", [False, True])
@pytest.mark.parametrize(("precision", "tf32"), [("float32", False), ("tf32", True)])
def test_precision_and_autotuning_hold_inside_their_block_alone(precision, tf32, autotune):
    before = arithmetic()
    with precision_context(precision, autotune):
        assert arithmetic() == (tf32, tf32, autotune)
    assert arithmetic() == before


def test_only_bfloat16_is_cast_to():
    matrix = torch.ones(2, 2)
    for precision in ("float32", "tf32", "bfloat16"):
        with autocast(precision, CPU):
            kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
            assert (matrix @ matrix).dtype == kind


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16\n", True),
        ("processor\t: 0\nflags\t\t: fpu amx_bf16 amx_tile\n", True),
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512f amx_tile\n", False),
        ("model name\t: avx512_bf16\n", False),
        (None, False),
    ],
)
def test_the_kernel_says_whether_bfloat16_is_multiplied_in_hardware(tmp_path, listed, found):
    if listed is not None:
        (tmp_path / "cpuinfo").write_text(listed)
    assert multiplies_bfloat16(tmp_path / "cpuinfo") == found


@pytest.mark.parametrize("gpu", [False, True])
@pytest.mark.parametrize("fast", [False, True])
def test_auto_is_bfloat16_on_a_fast_processor_without_gpu_alone(monkeypatch, fast, gpu):
    monkeypatch.setattr(numerics, "multiplies_bfloat16", lambda: fast)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert automatic_precision() == ("bfloat16" if fast and not gpu else "float32")
