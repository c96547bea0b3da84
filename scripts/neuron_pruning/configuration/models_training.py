"""Sections of the config about networks and their training."""

from typing import Annotated, Literal

from pydantic import Field

from neuron_pruning.configuration.fields import (
    AS_WRITTEN,
    Count,
    LearningRate,
    Name,
    NotNegative,
    Positive,
    Section,
    Several,
    Share,
    ShareBelowOne,
    Size,
    Some,
    Whole,
    WordOrList,
)
from neuron_pruning.core.numerics import PrecisionSetting
from neuron_pruning.models.architectures import DEFAULT_CHANNELS, DEFAULT_WIDTHS, Normalisation
from neuron_pruning.training.settings import (
    AugmentationSettings,
    OptimiserName,
    OptimiserSettings,
    Schedule,
    TrainingSettings,
)

# These names, and the defaults of Initialisation, stand in the package too, in a module that
# imports PyTorch; a test compares them.
Scheme = Literal["default", "centred", "standardised"]


class Model(Section):
    """One network: its architecture, pruned layer and hyper-parameter grid."""

    architecture: str | None = None
    """alexnet, vgg, vgg8 (for small faces) or torchvision/<name of a classifier>; null means the
    model's own name."""
    input_size: Size | None = None
    """Height and width in pixels that this model sees; null means dataset.input_size."""
    channels: list[Count] = []
    """Kernels of the convolutions, input side first; an empty list means the architecture's own.
    Torchvision's classifiers take none."""
    widths: Annotated[list[Several], Field(min_length=1)]
    """Units of the hidden fully connected layers; the output layer has one unit per class. ASSUME:
    of the paper's networks, fully connected layers after a flatten of the size of the first; the
    compact reading is [1526, 100] and [5120, 1000, 100]."""
    pruned_layer: WordOrList[str, Some[str]]
    """Hidden fully connected layer whose units are pruned, fc1 being the first, or a list of
    several."""
    learning_rates: Some[LearningRate] = [0.0005, 0.001]
    """Learning rates of the grid. Write 0.0005, not 5e-4, which YAML reads as text."""
    batch_sizes: Some[Count] = [64, 128]
    """Batch sizes of the grid."""


def _paper(name: str, pruned_layer: str) -> Model:
    channels, widths = DEFAULT_CHANNELS[name], DEFAULT_WIDTHS[name][:-1]
    return Model(channels=list(channels), widths=list(widths), pruned_layer=pruned_layer)


MODELS = {
    "alexnet": _paper("alexnet", "fc3"),
    "vgg": _paper("vgg", "fc4"),
    "vgg8": Model(  # not the paper's: small, for face crops and the recipe faces
        input_size=[48, 48],
        widths=list(DEFAULT_WIDTHS["vgg8"][:-1]),
        pruned_layer="fc1",
        learning_rates=[0.002],
        batch_sizes=[32],
    ),
}


class Initialisation(Section):
    """How the weights start. ASSUME: the paper states no initialisation."""

    scheme: Scheme = "default"
    """PyTorch's own; sigmoid layers that start centred; or every unit standardised over the
    training images."""
    gain: Positive = 4.0
    """Gain of centred sigmoid layers."""
    weights: str | None = None
    """Pretrained weights of a torchvision model, by torchvision's name for them (DEFAULT) or a
    file."""
    output_deviation: Positive = 1.0
    """Standard deviation of the logits after the scheme standardised."""
    calibration_images: Several = 64
    """Training images that the scheme standardised looks at."""


class Augmentation(Section):
    """How training images are varied from epoch to epoch. ASSUME: not at all by default."""

    flip: bool = AugmentationSettings.flip
    """Half of the images are mirrored."""
    crop: ShareBelowOne = AugmentationSettings.crop
    """Largest share of a side that is cut off."""
    rotation: Annotated[float, Field(ge=0, le=180), AS_WRITTEN] = AugmentationSettings.rotation
    """Largest turn to either side in degrees."""
    colour: Share = AugmentationSettings.colour
    """Largest change of brightness, contrast and saturation, as a share."""
    grey: Share = AugmentationSettings.grey
    """Share of the images that lose their colours."""
    erase: Share = AugmentationSettings.erase
    """Share of the images that lose a rectangle."""


class Optimiser(Section):
    """How the weights move. ASSUME: the paper names no optimiser."""

    name: OptimiserName = OptimiserSettings.name
    """Optimiser."""
    weight_decay: NotNegative = OptimiserSettings.weight_decay
    """Weight decay of the optimiser."""
    momentum: ShareBelowOne = OptimiserSettings.momentum
    """Momentum of sgd."""
    linear_fan_in: Positive | None = OptimiserSettings.linear_fan_in
    """Fully connected weights with more inputs learn at this number over their inputs times the
    learning rate; null means all learn at the learning rate."""
    convolution_fan_in: Positive | None = OptimiserSettings.convolution_fan_in
    """The same for convolutions, inputs being channels times kernel area."""
    centred_gradients: bool = OptimiserSettings.centred_gradients
    """Whether the mean of each unit's weight gradient is subtracted."""
    warmup_steps: Whole = OptimiserSettings.warmup_steps
    """Steps of linear warm-up."""
    schedule: Schedule = OptimiserSettings.schedule
    """Learning rate after the warm-up."""


class Recipe(Section):
    """What the paper leaves open about training: initialisation, normalisation, optimiser."""

    normalisation: Normalisation = "none"
    """Batch normalisation before every ReLU of the convolutions; contrast also evens out the local
    contrast of the images. ASSUME: none, as the paper has none."""
    initialisation: Initialisation = Initialisation()
    augmentation: Augmentation = Augmentation()
    label_smoothing: ShareBelowOne = TrainingSettings.label_smoothing
    """Share of the target that is spread evenly over all classes."""
    epochs: Count | None = None
    """Passes through the training images; null means training.epochs."""
    optimiser: Optimiser = Optimiser()


RECIPES = {
    # The paper's words, PyTorch's defaults for the rest.
    "as_written": Recipe(),
    # Initialisation and optimiser alone: obeys every word of the paper, and learns.
    "initialised": Recipe(
        initialisation=Initialisation(scheme="standardised"),
        optimiser=Optimiser(linear_fan_in=200, convolution_fan_in=500, centred_gradients=True),
    ),
    # Generalises best on whole frames: batch normalisation in the convolutions.
    "stabilised": Recipe(
        normalisation="batch",
        initialisation=Initialisation(scheme="centred"),
        optimiser=Optimiser(linear_fan_in=100),
    ),
    # For small face crops: light is evened out, images vary, steps are more and smaller.
    "faces": Recipe(
        normalisation="contrast",
        initialisation=Initialisation(scheme="centred"),
        optimiser=Optimiser(name="adamw", weight_decay=0.05, warmup_steps=50, schedule="cosine"),
        augmentation=Augmentation(flip=True, crop=0.25, rotation=12.0, colour=0.3, erase=0.3),
        label_smoothing=0.1,
        epochs=180,
    ),
}

# Recipes that `precision: auto` may train in bfloat16, as long as they initialise as above: their
# units start with activations that vary by far more than the 0.002 to 0.004 by which bfloat16 steps
# near 0.5, and accuracies differ less than between seeds (tests/training/test_precision.py).
# as_written must not be among them: its activations vary by 1e-6 to 1e-5, which bfloat16 rounds
# away. Of a recipe that somebody adds nothing is known.
BFLOAT16_RECIPES = ("initialised", "stabilised", "faces")


class Training(Section):
    """What all trainings share."""

    epochs: Count = TrainingSettings.epochs
    """Passes through the training images."""
    precision: PrecisionSetting = TrainingSettings.precision
    """Arithmetic of matrix products and convolutions in training; weights stay float32. auto means
    bfloat16 on a processor that multiplies it in hardware (AMX or AVX-512), for the recipes
    initialised, stabilised and faces, and float32 everywhere else. ASSUME: float32, because with
    auto results depend on the processor."""
    micro_batch: Count | None = TrainingSettings.micro_batch
    """Images at once where a batch does not fit memory; gradients add up to those of the batch.
    ASSUME: null; with batch normalisation it would change the statistics."""
    autotune: bool = TrainingSettings.autotune
    """On a GPU, cuDNN times its deterministic algorithms and takes the fastest. For long trainings;
    two runs may then differ in the last bits."""


class Resume(Section):
    """The training checkpoint from which a killed training continues."""

    minutes: NotNegative | None = 5
    """Minutes between two training checkpoints; 0 means after every step, null never."""


class Evaluation(Section):
    """Forward passes after training."""

    batch_size: Count = 64
    """Images of a forward pass; without influence on results, but for the last bits on a GPU."""


class Cell(Section):
    """One cell of a hyper-parameter grid."""

    learning_rate: LearningRate
    """Learning rate."""
    batch_size: Count
    """Batch size."""


class Selection(Section):
    """How the hyper-parameters of the pruned networks are chosen."""

    subset: Literal["test", "validation"] = "test"
    """Part of the images whose mean accuracy decides; validation needs a split with a
    validation_fraction. ASSUME: the mean over seeds, on test as in the paper."""
    fixed: dict[Name, Cell] = {}
    """Learning rate and batch size by model; a model that is not named gets its best by mean
    accuracy."""
