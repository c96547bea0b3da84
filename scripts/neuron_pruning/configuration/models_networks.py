"""Sections of the config about trained networks of any kind: where they are, what goes."""

from typing import Annotated, Literal

from pydantic import Field

from neuron_pruning.configuration.fields import (
    Angle,
    Count,
    Name,
    OpenShare,
    Pair,
    Positive,
    Section,
    Some,
)
from neuron_pruning.configuration.models_pruning import Latency

# Literals that stand in any_network too, which lies above this folder; a test compares.
Compensation = Literal[
    "auto", "none", "bias", "add", "scaled", "affine", "lstsq", "lstsq_patches", "ridge", "fold"
]
BatchNormRule = Literal["reestimate", "rescale", "keep"]
Order = Literal["sequential", "parallel"]
Runtime = Literal["eager", "compiled", "onnx"]
Peer = Literal[
    "ours", "ours_equal", "ours_global", "ours_greedy", "grail", "model_folding",
    "torch_pruning_magnitude", "torch_pruning_magnitude_global", "torch_pruning_fpgm",
    "torch_pruning_taylor", "torch_pruning_random",
]  # fmt: skip

Channels = Annotated[list[float], Field(min_length=1, max_length=3)]


class NetworkInput(Section):
    """How an image becomes what a network reads, where its own metadata do not say so."""

    size: Pair[Count]
    """Height and width in pixels."""
    mean: Channels
    """Mean of each channel of values in [0, 1]; three are RGB, one is grey."""
    std: Annotated[list[Positive], Field(min_length=1, max_length=3)]
    """Deviation of each channel, likewise."""


class ImportedNetwork(Section):
    """A trained network, from elsewhere or of this workflow."""

    source: str
    """package.module:factory, torchvision/NAME, timm/NAME, a folder that Hugging Face's
    save_pretrained wrote, or a network.safetensors of this workflow; one below the experiment's own
    results is trained first."""
    weights: str | None = None
    """File of its weights, .safetensors or a state dict; null where the source has them."""
    calibration: str
    """Folder of images to measure and fit on, a folder per class or flat; or the name of a data
    set, as for dataset.path."""
    evaluation: str
    """Folder of other images, or name of a data set, which judge the pruned networks."""
    labelled: bool = True
    """Whether the class folders of the evaluation images are the network's classes; without labels
    the unpruned network's predictions are what pruned ones are compared with. Calibration never
    looks at labels."""
    class_names: Some[str] | None = None
    """Class folders in the order of the network's outputs; null means the order of their names."""
    classes: Count | None = None
    """How many classes the network tells apart, where torchvision or timm builds it."""
    input: NetworkInput | None = None
    """Preprocessing; null means that of the network's metadata."""


class NetworkLatency(Latency):
    """How forward passes of pruned networks are timed, for Table 12."""

    runtimes: list[Runtime] = ["eager", "onnx"]
    """What runs them on the CPU: PyTorch as it is, compiled by torch.compile, which needs a C++
    compiler, or onnxruntime; an empty list means no such table."""
    batch_sizes: Some[Count] = [1, 16]
    """Images of a forward pass."""


class NetworkPruning(Section):
    """How networks that were trained elsewhere are pruned, for Tables 9 and 10."""

    multiply_adds: Some[OpenShare] = [0.75, 0.5, 0.35, 0.25]
    """Shares of a network's multiply-adds that pruned ones may have."""
    techniques: Some[Name] = ["l1", "variance"]
    """Labels of the techniques that are compared; random is always among them."""
    compensations: Some[Compensation] = ["none", "auto"]
    """Compensations of the remaining units; auto is least squares, on patches where kernels see
    few values."""
    batch_norms: Some[BatchNormRule] = ["keep", "reestimate"]
    """What becomes of the statistics of batch normalisations behind the cuts."""
    order: Order = "parallel"
    """All layers measured in the unpruned network, or each behind the cuts in front of it."""
    peers: list[Peer] = []
    """Prunings as others put them together, for Table 11, beside ours; empty: no such table."""
    latency: NetworkLatency = NetworkLatency()
    """Table 12: how fast the pruned networks are."""
    draws: Count = 5
    """Draws of calibration images, each with a random removal of its own."""
    calibration_images: Count = 256
    """Images of a draw."""
    evaluation_images: Count | None = None
    """Evaluation images at most; null means all."""
    angles: Some[Angle] = [15, 10, 5]
    """Angles in degrees within which Table 9 counts pairs of similar units."""
