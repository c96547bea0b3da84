"""What to do when the GPU has too little memory for a batch."""

import gc
import logging
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import torch

from neuron_pruning.core.errors import UserError
from neuron_pruning.training.settings import TrainingSettings

Result = TypeVar("Result")
# Not every library says with OutOfMemoryError that it got no memory.
FULL = (
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "nable to find an engine to execute this computation",  # of cuDNN, without a workspace
)


def retry_with_smaller_micro_batch(
    attempt: Callable[[TrainingSettings, float | None], Result], settings: TrainingSettings
) -> Result:
    """What ``attempt`` returns, with half the micro-batch each time the GPU runs out of memory.

    It gets settings and how many bytes of images the GPU may hold; None: what it has room for.

    Raises:
        UserError: not even one image fits.
    """
    whole = settings.micro_batch or settings.batch_size

    def sized(size: int, room: float | None) -> Result:
        smaller = settings if size == whole else replace(settings, micro_batch=size)
        return attempt(smaller, room)

    return retry_in_less_memory(sized, whole, "micro-batches")


def retry_in_less_memory(
    attempt: Callable[[int, float | None], Result], size: int, pieces: str
) -> Result:
    """What ``attempt`` returns, in less memory each time the GPU has too little.

    The second attempt holds no images on the GPU, which changes no result; only then does the
    size, which may, become half as large.

    Args:
        attempt: gets a number of images at once, and how many bytes of images the GPU may hold;
            None: what it has room for.
        size: of the first attempt, in images.
        pieces: what has that size, in words.

    Raises:
        UserError: not even one image fits.
    """
    room = None
    while True:
        try:
            return attempt(size, room)
        except RuntimeError as error:
            if not _out_of_memory(error):
                raise
            if room is not None and size == 1:
                raise UserError(
                    "the GPU has no memory for a single image; use a smaller network or input "
                    "size, or run fewer jobs per GPU (resources: gpu)"
                ) from error
        # Only here, after the except block, can the tensors of the failed attempt be freed; those
        # in reference cycles, such as the network's, wait for the collector.
        gc.collect()
        torch.cuda.empty_cache()
        if room is None:
            room, change = 0.0, "without images that stay on the GPU"
        else:
            size //= 2
            change = f"with {pieces} of {size}"
        warning = f"GPU out of memory: continuing {change}"
        logging.warning(warning)
        print(f"warning: {warning}", file=sys.stderr, flush=True)


def _out_of_memory(error: RuntimeError) -> bool:
    """Whether a GPU had too little memory, whoever says so."""
    return isinstance(error, torch.cuda.OutOfMemoryError) or any(t in str(error) for t in FULL)
