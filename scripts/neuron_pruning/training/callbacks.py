"""Callbacks: what happens beside the training loop at fixed points of it."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from neuron_pruning.core.resume import Resume, StateKeeper
from neuron_pruning.training.settings import TrainingSettings
from neuron_pruning.training.state import Epoch, TrainingProgress, TrainingState, with_prefix


@dataclass(frozen=True)
class StepContext:
    """What the steps of one training share, and what callbacks get to see."""

    state: TrainingState  # network, optimiser and all else that a step changes
    progress: TrainingProgress
    settings: TrainingSettings
    images: int  # training images per epoch
    callbacks: Sequence["Callback"]  # in the order in which their hooks are called

    @property
    def images_done(self) -> int:
        """Training images of all finished steps."""
        of_epoch = min(self.progress.step * self.settings.batch_size, self.images)
        return len(self.progress.history) * self.images + of_epoch

    def notify(self, hook: str) -> None:
        """Call ``hook`` of every callback in turn."""
        for callback in self.callbacks:
            getattr(callback, hook)(self)


class Callback:
    """Hooks of the training loop; by default each does nothing.

    Hooks must not read values of tensors that are on a GPU, nor keep the context: it would keep
    the memory of a failed attempt, too.
    """

    def on_training_start(self, context: StepContext) -> None:
        """Before the first epoch; the place to restore a state."""

    def on_epoch_start(self, context: StepContext) -> None:
        """Before the first step of an epoch, or the next step of a resumed one."""

    def before_step(self, context: StepContext) -> None:
        """When gradients are complete, before the optimiser changes the weights."""

    def after_step(self, context: StepContext) -> None:
        """When weights and learning rate are updated; gradients are still there."""

    def on_epoch_end(self, context: StepContext) -> None:
        """After the evaluation on the test images; the epoch is in the history."""

    def on_training_end(self, context: StepContext) -> None:
        """After the last epoch, or when the training fails."""

    def state_dict(self) -> Mapping[str, Tensor]:
        """Tensors that belong in a training checkpoint."""
        return {}

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue from the tensors of :meth:`state_dict`."""


class ProgressBar(Callback):
    """Progress over the training images of all epochs; silent where no terminal is watched."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._bar: tqdm | None = None

    def on_training_start(self, context: StepContext) -> None:
        """Open the bar."""
        total = context.images * context.settings.epochs
        self._bar = tqdm(desc=self._title, total=total, unit="img", disable=None, leave=False)

    def on_epoch_start(self, context: StepContext) -> None:
        """Show what an earlier process has done."""
        self.after_step(context)

    def after_step(self, context: StepContext) -> None:
        """Move on to the images of all finished steps."""
        if self._bar is not None:
            self._bar.update(context.images_done - self._bar.n)

    def on_training_end(self, context: StepContext) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()


class EpochLog(Callback):
    """Writes a line to the log when an epoch ends; epochs of an earlier process come first."""

    def __init__(self) -> None:
        self._logged = 0

    def on_epoch_start(self, context: StepContext) -> None:
        """Log the epochs of an earlier process."""
        self.on_epoch_end(context)

    def on_epoch_end(self, context: StepContext) -> None:
        """Log the epochs that are not in the log yet."""
        history = context.progress.history
        for row in history[self._logged :]:
            logging.info(
                f"epoch {row.epoch} of {context.settings.epochs}: "
                f"train loss {row.train_loss:.3f}, train accuracy {row.train_accuracy:.3f}, "
                f"test loss {row.test_loss:.3f}, test accuracy {row.test_accuracy:.3f}, "
                f"{row.images_per_second:.1f} images/s"
            )
        self._logged = len(history)


class TrainingCheckpoint(Callback):
    """Writes the whole state to a training checkpoint now and then, and resumes from it.

    It must be the last callback, so that it writes what the others did in the same step.
    """

    def __init__(self, resume: Resume) -> None:
        self._keeper = StateKeeper(resume)
        self._restored: Mapping[str, Tensor] = {}  # until PyTorch's generators are restored

    def on_training_start(self, context: StepContext) -> None:
        """Continue from the checkpoint of an earlier process, if there is one."""
        loaded = self._keeper.load()
        if loaded is None:
            return
        arrays, about = loaded
        self._restored = {name: torch.from_numpy(array) for name, array in arrays.items()}
        context.state.load_state(self._restored, about["numbers"])
        for callback in context.callbacks:
            callback.load_state_dict(with_prefix(self._restored, _prefix(callback)))
        progress = context.progress
        progress.history = [Epoch(**row) for row in about["history"]]
        progress.step, progress.seconds = about["step"], about["seconds"]
        logging.info("resuming in epoch %d after step %d", progress.epoch, progress.step)

    def on_epoch_start(self, context: StepContext) -> None:
        """Restore PyTorch's generators, which the loop has seeded for the whole epoch."""
        if self._restored:
            context.state.load_torch_rng(self._restored)
            self._restored = {}

    def after_step(self, context: StepContext) -> None:
        """Write the state if the last checkpoint is old enough; the time is not training time."""
        if not self._keeper.due:
            return
        progress = context.progress
        progress.stop_clock()
        tensors = context.state.tensors()
        for callback in context.callbacks:
            tensors |= {_prefix(callback) + n: t for n, t in callback.state_dict().items()}
        about = {
            "history": [asdict(row) for row in progress.history],
            "step": progress.step,
            "seconds": progress.seconds,
            "numbers": context.state.numbers(),
        }
        self._keeper.save({n: _array(tensor) for n, tensor in tensors.items()}, about)
        progress.start_clock()


def _array(tensor: Tensor) -> NDArray[Any]:
    """On the CPU it shares the memory of the training; safetensors needs one dimension or more."""
    return np.atleast_1d(tensor.detach().cpu().numpy())


def _prefix(callback: Callback) -> str:
    """Begin of the names of a callback's tensors in a training checkpoint."""
    return f"callbacks/{type(callback).__name__}/"
