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
    """What ``attempt`` returns, with half the micro-batch each time the GPU runs out of memory.

    Raises:
        UserError: not even one image fits.
    """
    while True:
        try:
            return attempt(settings)
        except torch.cuda.OutOfMemoryError as error:
            micro_batch = (settings.micro_batch or settings.batch_size) // 2
            if micro_batch == 0:
                raise UserError(
                    "the GPU has no memory for a single image; use a smaller network or input "
                    "size, or run fewer jobs per GPU (resources: gpu)"
                ) from error
        # Only here, after the except block, are the tensors of the failed attempt free.
        settings = replace(settings, micro_batch=micro_batch)
        warning = f"GPU out of memory: continuing with micro-batches of {micro_batch}"
        logging.warning(warning)
        print(f"warning: {warning}", file=sys.stderr, flush=True)
        torch.cuda.empty_cache()
