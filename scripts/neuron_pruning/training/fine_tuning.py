"""Fine-tuning of a pruned network: of the layers downstream of the pruned one, or of all."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from neuron_pruning.core.errors import UserError
from neuron_pruning.core.seeds import derive_seed
from neuron_pruning.data.images import Patterns, batches
from neuron_pruning.data.split_file import Split
from neuron_pruning.models.checkpoints import Checkpoint
from neuron_pruning.models.networks import Network
from neuron_pruning.training.callbacks import Callback
from neuron_pruning.training.loop import train_network
from neuron_pruning.training.optimisers import build_optimiser, centre_gradients
from neuron_pruning.training.schedules import build_schedule
from neuron_pruning.training.settings import TrainingSettings
from neuron_pruning.training.state import Epoch


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
    names = checkpoint.architecture.layer_names
    downstream = names[names.index(checkpoint.architecture.following(layer)) :]
    layers = {name: _linear(checkpoint, name) for name in downstream}
    tail = nn.Sequential(
        *[part for linear in layers.values() for part in (linear, nn.Sigmoid())][:-1]
    ).train()
    _train(tail, torch.from_numpy(np.asarray(activations, dtype=np.float32)), labels, settings)
    return replace(checkpoint, tensors={**checkpoint.tensors, **_tensors(layers)})


def fine_tune_pruned(
    checkpoint: Checkpoint,
    layers: Sequence[str],
    outputs: Mapping[str, NDArray[np.float32]],
    labels: NDArray[np.int64],
    settings: TrainingSettings,
) -> Checkpoint:
    """Train the layers downstream of the first of several pruned layers.

    Args:
        checkpoint: the pruned network; left as it is.
        layers: names of its pruned layers.
        outputs: recorded outputs of the unpruned network for the training images, N x units each.
        labels: class of every training image, N.
        settings: as of :func:`fine_tune_downstream`.
    """
    architecture = checkpoint.architecture
    first = min(layers, key=architecture.place_of)
    inputs = outputs[architecture.input_name(first)]
    activations = checkpoint.hidden_activations(first, inputs)
    return fine_tune_downstream(checkpoint, first, activations, labels, settings)


def fine_tune_all_layers(
    network: Network,
    images: NDArray[np.uint8],
    split: Split,
    settings: TrainingSettings,
    device: torch.device,
    callbacks: Sequence[Callback] = (),
) -> list[Epoch]:
    """Train all layers of a pruned network in place on the training images.

    The images come in another order than in the run itself.

    Args:
        network: the pruned network.
        images: all images of the data set, N x height x width x 3.
        split: their labels and subsets.
        settings: of the run; ``epochs`` of the fine-tuning.
        device: where the training runs.
        callbacks: of the training loop.

    Returns:
        The history, one row per epoch.
    """
    train, test = (
        Patterns(images, split.positions(subset), split.labels[split.positions(subset)])
        for subset in ("train", "test")
    )
    own_seed = replace(settings, seed=derive_seed(settings.seed, "fine-tuning"))
    return train_network(network, train, test, own_seed, device, callbacks)


def _linear(checkpoint: Checkpoint, name: str) -> nn.Linear:
    weight, bias = checkpoint.linear(name)
    linear = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(weight))
        linear.bias.copy_(torch.from_numpy(bias))
    return linear


def _tensors(layers: Mapping[str, nn.Linear]) -> dict[str, NDArray[np.float32]]:
    return {
        f"classifier.{name}.{kind}": parameter.detach().numpy()
        for name, linear in layers.items()
        for kind, parameter in linear.named_parameters()
    }


def _train(
    tail: nn.Sequential,
    inputs: torch.Tensor,
    labels: NDArray[np.int64],
    settings: TrainingSettings,
) -> None:
    """Train on recorded activations, which are small enough for one tensor, in float32."""
    optimiser = build_optimiser(tail, settings.learning_rate, settings.optimiser)
    schedule = build_schedule(optimiser, settings, len(labels))
    rng = np.random.default_rng(derive_seed(settings.seed, "fine-tuning"))
    targets = torch.from_numpy(labels)
    for epoch in range(1, settings.epochs + 1):
        for rows in batches(rng.permutation(len(labels)), settings.batch_size):
            batch = torch.from_numpy(rows)
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(
                tail(inputs[batch]), targets[batch], label_smoothing=settings.label_smoothing
            )
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
