import gc
import weakref

import pytest
import torch

from neuron_pruning import UserError
from neuron_pruning.training.memory import retry_in_less_memory, retry_with_smaller_micro_batch
from neuron_pruning.training.settings import TrainingSettings


def test_a_full_gpu_gets_half_the_micro_batch(capsys):
    tried, rooms = [], []

    def attempt(settings, room):
        tried.append(settings.micro_batch or settings.batch_size)
        rooms.append(room)
        if tried[-1] > 5:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return settings

    assert retry_with_smaller_micro_batch(attempt, TrainingSettings(0.1, 20, 0)).micro_batch == 5
    assert tried == [20, 20, 10, 5]
    assert rooms == [None, 0, 0, 0]  # first without images on the GPU: that changes no result
    told = capsys.readouterr().err
    assert "warning: GPU out of memory: continuing without images that stay on the GPU" in told
    assert "warning: GPU out of memory: continuing with micro-batches of 10" in told


def test_what_a_failed_attempt_held_is_free_before_the_next():
    held = []

    class Held:
        """In a reference cycle, as networks and optimisers are."""

        def __init__(self):
            self.me = self
            held.append(weakref.ref(self))

    def attempt(settings, room):
        assert all(one() is None for one in held)
        here = Held()
        if len(held) < 3:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return here is not None

    gc.disable()  # collects when it likes
    try:
        assert retry_with_smaller_micro_batch(attempt, TrainingSettings(0.1, 20, 0))
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "GET was unable to find an engine to execute this computation",
    ],
)
def test_other_words_for_a_full_gpu_are_understood(text):
    def attempt(size, room):
        if size > 2:
            raise RuntimeError(text)
        return size

    assert retry_in_less_memory(attempt, 4, "batches") == 2


def test_other_errors_pass():
    def attempt(size, room):
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        retry_in_less_memory(attempt, 4, "batches")


def test_a_gpu_without_memory_for_one_image_is_an_error():
    def attempt(_settings, _room):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(UserError, match="no memory for a single image"):
        retry_with_smaller_micro_batch(attempt, TrainingSettings(0.1, 2, 0))
