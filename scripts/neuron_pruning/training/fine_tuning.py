"""Fine-tuning of a pruned network: of the layers downstream of the pruned one, or of all."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neuron_pruning.core.errors import UserError
from neuron_pruning.core.seeds import derive_seed
from neuron_pruning.data.images import batches
from neuron_pruning.data.split_file import Split
from neuron_pruning.models.checkpoints import Checkpoint
from neuron_pruning.models.dense import Dense
from neuron_pruning.models.networks import Network
from neuron_pruning.models.sequential import dense_chain
from neuron_pruning.training.callbacks import EpochLog
from neuron_pruning.training.loop import train_and_test, train_network
from neuron_pruning.training.memory import retry_with_smaller_micro_batch
from neuron_pruning.training.optimisers import build_optimiser, build_schedule, centre_gradients
from neuron_pruning.training.settings import TrainingSettings


def fine_tune_downstream(
    checkpoint: Checkpoint,
    layer: str,
    activations: NDArray[np.floating],
    labels: NDArray[np.int64],
    settings: TrainingSettings,
) -> Checkpoint:
    """Train the layers downstream of ``layer`` on its activations, with the run's own recipe.

    There is no augmentation, because the activations are those of the unchanged images.

    Args:
        checkpoint: the pruned network; left as it is.
        layer: the pruned layer, which keeps its weights like all layers before it.
        activations: of ``layer`` after pruning for the training images, N x units.
        labels: class of every training image, N.
        settings: of the run; ``epochs`` of the fine-tuning, 0 for none.

    Returns:
        The network with the trained layers.

    Raises:
        UserError: the loss is no longer finite.
    """
    return fine_tune_alike([checkpoint], layer, [activations], labels, settings)[0]


def fine_tune_alike(
    checkpoints: Sequence[Checkpoint],
    layer: str,
    activations: Sequence[NDArray[np.floating]],
    labels: NDArray[np.int64],
    settings: TrainingSettings,
) -> list[Checkpoint]:
    """As :func:`fine_tune_downstream`, of networks of one shape, each with its activations.

    All take the same steps at once, which for small layers costs little more than one alone.
    """
    if not settings.epochs:
        return list(checkpoints)
    names = checkpoints[0].architecture.layer_names
    downstream = names[names.index(layer) + 1 :]
    tail = dense_chain(
        {name: StackedLinear([one.linear(name) for one in checkpoints]) for name in downstream}
    )
    inputs = np.stack([np.asarray(values, dtype=np.float32) for values in activations])
    _train(tail, torch.from_numpy(inputs), labels, settings)
    tuned = {f"classifier.{name}": tensor.numpy() for name, tensor in tail.state_dict().items()}
    return [
        replace(one, tensors={**one.tensors, **{name: stack[n] for name, stack in tuned.items()}})
        for n, one in enumerate(checkpoints)
    ]


class StackedLinear(nn.Linear):
    """One fully connected layer of several networks: weights networks x outputs x inputs."""

    def __init__(self, layers: Sequence[Dense]) -> None:
        outputs, inputs = layers[0].weight.shape
        super().__init__(inputs, outputs, device="meta")  # nothing is drawn
        self.weight = nn.Parameter(torch.from_numpy(np.stack([one.weight for one in layers])))
        self.bias = nn.Parameter(torch.from_numpy(np.stack([one.bias for one in layers])))

    def forward(self, values: Tensor) -> Tensor:
        """Networks x images x outputs, of networks x images x inputs."""
        return torch.baddbmm(self.bias[:, None], values, self.weight.mT)


def fine_tune_pruned(
    checkpoint: Checkpoint,
    layers: Sequence[str],
    outputs: Mapping[str, NDArray[np.float32]],
    split: Split,
    settings: TrainingSettings,
) -> Checkpoint:
    """Train the layers downstream of the first of several pruned layers.

    ``outputs`` are those that the unpruned network gave for all images, N x units each; for the
    rest see :func:`fine_tune_downstream`.
    """
    architecture, rows = checkpoint.architecture, split.positions("train")
    first = min(layers, key=architecture.place_of)
    inputs = outputs[architecture.input_name(first)][rows]
    activations = checkpoint.hidden_activations(first, inputs)
    return fine_tune_downstream(checkpoint, first, activations, split.labels[rows], settings)


def fine_tune_all_layers(
    checkpoint: Checkpoint,
    images: NDArray[np.uint8],
    split: Split,
    settings: TrainingSettings,
    device: torch.device,
) -> Network:
    """Train all layers of a pruned network on the training images, in an order of its own.

    ``images`` are all of the data set, N x height x width x 3. The trained network is on
    ``device``; ``checkpoint`` stays as it is.
    """
    parts = train_and_test(images, split)
    own_seed = derive_seed(settings.seed, "fine-tuning")

    def attempt(settings: TrainingSettings, room: float | None) -> Network:
        network = Network.from_checkpoint(copy.deepcopy(checkpoint))
        train_network(network, *parts, settings, device, [EpochLog()], room)
        return network

    return retry_with_smaller_micro_batch(attempt, replace(settings, seed=own_seed))


def _train(
    tail: nn.Sequential, inputs: Tensor, labels: NDArray[np.int64], settings: TrainingSettings
) -> None:
    """Train on recorded activations, networks x images x units in float32: small enough for that.

    The loss is the sum of the networks' own, so that each gets its own gradient.
    """
    optimiser = build_optimiser(tail, settings.learning_rate, settings.optimiser)
    schedule = build_schedule(optimiser, settings, len(labels))
    rng = np.random.default_rng(derive_seed(settings.seed, "fine-tuning"))
    targets = torch.from_numpy(labels).expand(len(inputs), -1)
    for epoch in range(1, settings.epochs + 1):
        for rows in batches(rng.permutation(len(labels)), settings.batch_size):
            batch = torch.from_numpy(rows)
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(
                tail(inputs[:, batch]).flatten(0, 1),
                targets[:, batch].flatten(),
                label_smoothing=settings.label_smoothing,
                reduction="sum",
            ) / len(batch)
            loss.backward()
            if settings.optimiser.centred_gradients:
                centre_gradients(tail)
            optimiser.step()
            schedule.step()
        if not torch.isfinite(loss):
            raise UserError(
                f"fine-tuning diverged in epoch {epoch}; "
                "try fewer epochs or a smaller learning rate"
            )
