import pytest
import torch

from neuron_pruning.core.numerics import autocast, precision_context

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
