"""Networks as descriptions, without weights.

The paper's two (sections 2.2.1 and 2.2.2), a small one for faces, and torchvision's classifiers, as
``torchvision/resnet18``, in front of the same fully connected layers.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from neuron_pruning.core.errors import UserError
from neuron_pruning.models.backbone_sizes import BACKBONES, SIDE, BackboneSize

Normalisation = Literal["none", "batch", "contrast"]

CHUNK_BYTES = 64 * 2**20  # of a convolution's output at once; any size that fits a cache does
FEATURES = "features"  # name of what the convolutions give to the first fully connected layer
TORCHVISION = "torchvision/"  # in front of a name of torchvision's

PAPER_MODELS = ("alexnet", "vgg")
DEFAULT_CHANNELS = {
    "alexnet": (96, 96, 256, 384, 384, 256),
    "vgg": (8, 16, 32, 64, 128, 256, 512),
    "vgg8": (32, 32, 64, 64, 128, 128, 128, 128),
}
# ASSUME: the paper's 3072 and 10240 neurons are fully connected layers after a flatten of the
# same size. The compact reading, flatten only, is widths (1526, 100, 7) and (5120, 1000, 100, 7).
DEFAULT_WIDTHS = {
    "alexnet": (3072, 1526, 100, 7),
    "vgg": (10240, 5120, 1000, 100, 7),
    "vgg8": (100, 7),
}


class Window(NamedTuple):
    """What slides over an image: side, step and border in pixels."""

    size: int
    stride: int
    padding: int = 0

    def outputs(self, length: int) -> int:
        """Places along a side of ``length`` pixels; below 1 where none fits."""
        return (length + 2 * self.padding - self.size) // self.stride + 1

    def inputs(self, places: int) -> int:
        """Smallest side that has so many places."""
        return max((places - 1) * self.stride + self.size - 2 * self.padding, 1)


class ConvolutionPlan(NamedTuple):
    """One convolution and the max-pooling after it, if any."""

    convolution: Window
    pooling: Window | None = None


POOL = Window(3, 2)
# ASSUME: stride 4 in AlexNet's second convolution too: only it gives the paper's 3072.
PLANS: dict[str, tuple[ConvolutionPlan, ...]] = {
    "alexnet": (
        *(ConvolutionPlan(Window(11, 4), POOL),) * 2,
        ConvolutionPlan(Window(5, 1, 2)),
        *(ConvolutionPlan(Window(3, 1, 1)),) * 2,
        ConvolutionPlan(Window(3, 1, 1), POOL),
    ),
    "vgg": (ConvolutionPlan(Window(3, 1, 1), Window(2, 2)),) * 7,
    # Not the paper's: pairs of convolutions as in Simonyan & Zisserman (2015), for small faces.
    "vgg8": (ConvolutionPlan(Window(3, 1, 1)), ConvolutionPlan(Window(3, 1, 1), Window(2, 2))) * 4,
}


@dataclass(frozen=True)
class Architecture:
    """What a network is made of; stored beside its weights.

    ``input_size`` is height, width; ``widths`` the units of the fully connected layers, the
    last being the classes. ``batch`` normalises before every ReLU, ``contrast`` also the local
    contrast of the images. A classifier of torchvision has its own convolutions and its own batch
    normalisation: ``channels`` is empty, and ``normalisation`` none or ``contrast``.
    """

    name: str
    input_size: tuple[int, int]
    channels: tuple[int, ...]
    widths: tuple[int, ...]
    normalisation: Normalisation = "none"

    @property
    def backbone(self) -> str | None:
        """Torchvision's name of what is in front of the fully connected layers, if it is that."""
        return self.name.removeprefix(TORCHVISION) if self.name.startswith(TORCHVISION) else None

    @property
    def backbone_size(self) -> BackboneSize:
        """What is known of a classifier of torchvision; zeros for the paper's networks."""
        return BACKBONES.get(self.backbone or "", BackboneSize())

    @property
    def layer_names(self) -> list[str]:
        """Names of the fully connected layers, input side first; the last gives the logits."""
        return [f"fc{number}" for number in range(1, len(self.widths) + 1)]

    @property
    def output_names(self) -> list[str]:
        """Names under which outputs are recorded: of the convolutions, and of those layers."""
        return [FEATURES, *self.layer_names]

    def place_of(self, layer: str) -> int:
        """Index of a fully connected layer.

        Raises:
            UserError: there is none of that name; the message lists those there are.
        """
        if layer not in self.layer_names:
            known = ", ".join(self.layer_names)
            raise UserError(f"{self.name} has no layer {layer!r}; it has {known}")
        return self.layer_names.index(layer)

    def following(self, layer: str) -> str:
        """Name of the fully connected layer that reads from ``layer``.

        Raises:
            UserError: no such layer, or the output layer, which nothing reads from.
        """
        place, names = self.place_of(layer), self.layer_names
        if layer == names[-1]:
            raise UserError(
                f"{layer} is the output layer: its units are the classes; use {names[:-1]}"
            )
        return names[place + 1]

    def input_name(self, layer: str) -> str:
        """Name under which the inputs of a fully connected layer are recorded."""
        return self.output_names[self.place_of(layer)]


class LayerSize(NamedTuple):
    """Sizes of one layer for one image; a fully connected layer has one place."""

    name: str
    inputs: int  # values that one output reads
    outputs: int  # kernels or units
    places: int  # positions of a kernel


def describe(
    name: str,
    input_size: Sequence[int] = (576, 720),
    widths: Sequence[int] | None = None,
    channels: Sequence[int] | None = None,
    normalisation: Normalisation = "none",
) -> Architecture:
    """Architecture of the arguments of :func:`neuron_pruning.build_network`, checked."""
    check_name(name)
    if name not in PLANS and normalisation == "batch":
        normalisation = "none"  # torchvision's networks have their own
    architecture = Architecture(
        name,
        (int(input_size[0]), int(input_size[1])),
        tuple(channels or DEFAULT_CHANNELS.get(name, ())),
        tuple(widths or DEFAULT_WIDTHS.get(name, ())),
        normalisation,
    )
    check_architecture(architecture)
    return architecture


def with_classes(architecture: Mapping[str, Any], classes: int) -> Architecture:
    """Architecture of a config's hidden widths and the number of classes of the data."""
    return describe(**{**architecture, "widths": [*architecture["widths"], classes]})


def check_name(name: str) -> None:
    """Refuse a network that does not exist.

    Raises:
        UserError: naming those of the paper, or the names of torchvision's that are nearest.
    """
    known = [*PLANS, *(f"{TORCHVISION}{backbone}" for backbone in BACKBONES)]
    if name in known:
        return
    near = difflib.get_close_matches(name.removeprefix(TORCHVISION), BACKBONES, 4)
    hint = f"did you mean {' or '.join(TORCHVISION + other for other in near)}? " if near else ""
    listed = ", ".join([*PLANS, f"{TORCHVISION}<name of a classifier of torchvision>"])
    raise UserError(f"unknown model {name!r}; {hint}known: {listed}")


def check_architecture(architecture: Architecture) -> None:
    """Refuse with a UserError what cannot be built.

    Whether a classifier of torchvision takes images of some size, torchvision says itself.
    """
    check_name(architecture.name)
    name, expected = architecture.name, len(PLANS.get(architecture.name, ()))
    if architecture.backbone is not None and architecture.channels:
        raise UserError(f"{name} has its own convolutions; leave out its channels")
    if len(architecture.channels) != expected:
        raise UserError(f"{name} has {expected} convolutions, got {len(architecture.channels)}")
    if len(architecture.widths) < 2 or min(*architecture.widths, *architecture.channels) < 1:
        raise UserError("widths need a hidden and an output layer, each of one unit or more")
    height, width = architecture.input_size
    least = 1 if architecture.backbone else smallest_input(name)
    if min(height, width) < least:
        raise UserError(
            f"images of {height} x {width} (height x width) are too small for "
            f"{name}: it needs {least} x {least} at least"
        )


def smallest_input(name: str) -> int:
    """Smallest height and width in pixels that leave one output per channel."""
    size = 1
    for plan in reversed(PLANS[name]):
        if plan.pooling is not None:
            size = plan.pooling.inputs(size)
        size = plan.convolution.inputs(size)
    return size


def layer_sizes(architecture: Architecture) -> Iterator[LayerSize]:
    """Sizes of the convolutions, then of the fully connected layers.

    Of a classifier of torchvision, which is no chain of convolutions, the latter alone.
    """
    inputs, sides = 3, list(architecture.input_size)
    if architecture.backbone is not None:
        inputs, sides = architecture.backbone_size.features, [1, 1]
    plans = zip(PLANS.get(architecture.name, ()), architecture.channels, strict=True)
    for number, (plan, kernels) in enumerate(plans, start=1):
        sides = [plan.convolution.outputs(side) for side in sides]
        area = plan.convolution.size**2
        yield LayerSize(f"conv{number}", inputs * area, kernels, sides[0] * sides[1])
        if plan.pooling is not None:
            sides = [plan.pooling.outputs(side) for side in sides]
        inputs = kernels
    inputs *= sides[0] * sides[1]
    for number, units in enumerate(architecture.widths, start=1):
        yield LayerSize(f"fc{number}", inputs, units, 1)
        inputs = units


def count_multiply_adds(architecture: Architecture) -> int:
    """Multiply-adds of one forward pass of one image: convolutions, linear layers, local contrast.

    ASSUME: those of a classifier of torchvision grow with the image's area, from what
    torchvision's own size takes; borders make the true number differ by some percent.
    """
    layers = sum(layer.inputs * layer.outputs * layer.places for layer in layer_sizes(architecture))
    height, width = architecture.input_size
    contrast = architecture.normalisation == "contrast"
    means = 2 * height * width * (height + width) * contrast  # two, along rows and columns
    backbone = architecture.backbone_size.multiply_adds * (height * width / SIDE**2)
    return layers + means + round(backbone)


def count_parameters(architecture: Architecture) -> int:
    """Trainable parameters: weights, biases, and two per kernel where batches are normalised."""
    weights = sum((layer.inputs + 1) * layer.outputs for layer in layer_sizes(architecture))
    weights += 2 * sum(architecture.channels) * (architecture.normalisation != "none")
    return weights + architecture.backbone_size.parameters


def activation_bytes(architecture: Architecture, images: int) -> int:
    """Host memory that ``images`` at once take in a step of training, about.

    Twice the images and three times what leaves the pooling. Where batches are normalised, four
    and a half times what leaves a convolution too, if that fills no more than ``CHUNK_BYTES``:
    larger outputs are made piece by piece and not kept. The factors were fitted to measured peaks
    (docs/explanation/performance.md), a little above them. A classifier of torchvision: twice the
    images and twice what leaves all its layers, an upper estimate for the images of up to 256
    pixels that most take.
    """
    height, width = architecture.input_size
    outputs = 2 * architecture.backbone_size.outputs * (height * width / SIDE**2)
    plans = PLANS.get(architecture.name, ())
    for layer, plan in zip(layer_sizes(architecture), plans, strict=False):
        values = layer.outputs * layer.places
        outputs += 3 * (values // (plan.pooling.stride**2 if plan.pooling else 1))
        if architecture.normalisation != "none" and 4 * values * images <= CHUNK_BYTES:
            outputs += 4.5 * values
    return int(4 * images * (2 * 3 * height * width + outputs))


def memory_mb(architecture: Architecture, images: int, copies: int) -> int:
    """Host memory in MB of a job with ``copies`` of the parameters and ``images`` at once."""
    parameters = 4 * copies * count_parameters(architecture)
    return round(3000 + (parameters + activation_bytes(architecture, images)) / 1e6)
