"""Further training of a pruned network, of the layers behind the cut or of all."""

from collections.abc import Mapping
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
from neuron_pruning.training.loop import (
    Epoch,
    TrainingSettings,
    build_optimiser,
    build_schedule,
    centre_gradients,
    train_network,
)


def fine_tune_behind(
    checkpoint: Checkpoint,
    layer: str,
    said: NDArray[np.floating],
    truth: NDArray[np.int64],
    settings: TrainingSettings,
) -> Checkpoint:
    """Train the layers behind ``layer`` on what it says, with the run's own recipe.

    But for the augmentation: what the layer says is recorded, of the images as they are.

    Args:
        checkpoint: the pruned network; left as it is.
        layer: the pruned layer, whose weights and all in front stay.
        said: its outputs after pruning over the training patterns, N x units.
        truth: classes, N.
        settings: of the run; ``epochs`` of the fine-tuning, 0 for none.

    Raises:
        UserError: the loss is no longer a number.
    """
    names = checkpoint.architecture.layer_names
    behind = names[names.index(checkpoint.architecture.following(layer)) :]
    layers = {name: _linear(checkpoint, name) for name in behind}
    tail = nn.Sequential(
        *[part for name in behind for part in (layers[name], nn.Sigmoid())][:-1]
    ).train()
    _train(tail, torch.from_numpy(np.asarray(said, dtype=np.float32)), truth, settings)
    return replace(checkpoint, tensors={**checkpoint.tensors, **_tensors(layers)})


def fine_tune_network(
    network: Network,
    images: NDArray[np.uint8],
    parts: Split,
    settings: TrainingSettings,
    device: torch.device,
) -> list[Epoch]:
    """Train all of a pruned network in place on the training images; the history, a row an epoch.

    The images come in another order than in the run itself.
    """
    train, test = (
        Patterns(images, parts.positions(part), parts.truth[parts.positions(part)])
        for part in ("train", "test")
    )
    fresh = replace(settings, seed=derive_seed(settings.seed, "fine-tuning"))
    return train_network(network, train, test, fresh, device)


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
    truth: NDArray[np.int64],
    settings: TrainingSettings,
) -> None:
    """Epochs over the recorded patterns, which are small enough for one tensor, in float32."""
    optimiser = build_optimiser(tail, settings.learning_rate, settings.optimiser)
    schedule = build_schedule(optimiser, settings, len(truth))
    shuffle = np.random.default_rng(derive_seed(settings.seed, "fine-tuning"))
    classes = torch.from_numpy(truth)
    for epoch in range(1, settings.epochs + 1):
        for rows in batches(shuffle.permutation(len(truth)), settings.batch_size):
            picked = torch.from_numpy(rows)
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(
                tail(inputs[picked]), classes[picked], label_smoothing=settings.label_smoothing
            )
            loss.backward()
            if settings.optimiser.centred_gradients:
                centre_gradients(tail)
            optimiser.step()
            schedule.step()
        if not torch.isfinite(loss):
            raise UserError(
                f"fine-tuning diverged in epoch {epoch}; try fewer epochs or a smaller rate"
            )
