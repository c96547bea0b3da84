import pytest
import torch

from neuron_pruning import UserError
from neuron_pruning.training.memory import retry_with_smaller_micro_batch
from neuron_pruning.training.settings import TrainingSettings


def test_a_full_gpu_gets_half_the_micro_batch(capsys):
    tried = []

    def attempt(settings):
        tried.append(settings.micro_batch or settings.batch_size)
        if tried[-1] > 5:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return settings

    assert retry_with_smaller_micro_batch(attempt, TrainingSettings(0.1, 20, 0)).micro_batch == 5
    assert tried == [20, 10, 5]
    assert (
        "warning: GPU out of memory: continuing with micro-batches of 10" in capsys.readouterr().err
    )


def test_a_gpu_without_memory_for_one_image_is_an_error():
    def attempt(_):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(UserError, match="no memory for a single image"):
        retry_with_smaller_micro_batch(attempt, TrainingSettings(0.1, 2, 0))
