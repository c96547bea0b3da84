"""What to do when the GPU has too little memory for a batch."""

import logging
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import torch

from neuron_pruning.core.errors import UserError
from neuron_pruning.training.settings import TrainingSettings

Result = TypeVar("Result")


def retry_with_smaller_micro_batch(
    attempt: Callable[[TrainingSettings], Result], settings: TrainingSettings
) -> Result:
    """Call ``attempt``, with half the micro-batch each time the GPU runs out of memory.

    Args:
        attempt: trains with the settings that it gets.
        settings: of the first attempt.

    Returns:
        What the first successful attempt returns.

    Raises:
        UserError: not even one image fits.
    """
    while True:
        try:
            return attempt(settings)
        except torch.cuda.OutOfMemoryError as error:
            micro_batch = settings.micro_batch or settings.batch_size
            if micro_batch == 1:
                raise UserError(
                    "the GPU has no memory for a single image; use a smaller network or input "
                    "size, or run fewer jobs per GPU (resources: gpu)"
                ) from error
            settings = replace(settings, micro_batch=micro_batch // 2)
        # Only here, after the except block, are the tensors of the failed attempt free.
        warn_user(f"GPU out of memory: continuing with micro-batches of {micro_batch // 2}")
        torch.cuda.empty_cache()


def warn_user(warning: str) -> None:
    """Write a warning to the log and to the terminal."""
    logging.warning(warning)
    print(f"warning: {warning}", file=sys.stderr, flush=True)
