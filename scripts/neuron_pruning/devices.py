"""Where the arithmetic runs."""

import torch


def choose_device(threads: int) -> torch.device:
    """The first CUDA device, or the CPU with ``threads`` threads; deterministic either way."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.set_num_threads(threads)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
