"""Sections of the config about images: where they come from, and how they are divided."""

from typing import Annotated, Literal

from pydantic import Field

from neuron_pruning.configuration.fields import (
    AS_WRITTEN,
    OpenShare,
    Section,
    Seed,
    ShareBelowOne,
    Size,
)

# Literals that stand in the package too, in modules whose import takes a second; a test compares.
Crop = Literal["none", "face"]
Resize = Literal["fit", "stretch"]
OnBadImage = Literal["fail", "skip"]
Protocol = Literal["random", "stratified", "clip", "movie", "group", "list"]
Expression = Literal["Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise"]


# Images of each class in SFEW.
SFEW_COUNTS: dict[Expression, int] = {
    "Angry": 100,
    "Disgust": 75,
    "Fear": 100,
    "Happy": 100,
    "Neutral": 100,
    "Sad": 100,
    "Surprise": 100,
}


class Dataset(Section):
    """Where the images come from and how they become an array."""

    path: str | None = Field(
        None,
        description="Folder that holds one folder of PNG or JPEG images per class; null draws "
        "the built-in faces.",
    )
    input_size: Size = Field(
        [576, 720], description="Height and width in pixels that the networks see."
    )
    crop: Crop = Field(
        "none", description="Whole frames, or faces that are found, levelled and cut out."
    )
    margin: Annotated[float, Field(gt=-0.5, le=4), AS_WRITTEN] = Field(
        0.0,
        description="Share of a face's box that is added on every side. ASSUME: the detector's "
        "box as it is.",
    )
    boxes: str | None = Field(
        None,
        description="CSV with the columns image, x, y, width, height; its boxes are taken instead "
        "of found ones, and levelled by the eyes in them.",
    )
    resize: Resize = Field(
        "fit",
        description="Whole frames of another size keep their aspect ratio and are padded with "
        "grey, or are stretched. ASSUME: fit; SFEW and the built-in faces need neither.",
    )
    near_duplicate_distance: Annotated[int, Field(ge=0, le=32)] | None = Field(
        8,
        description="Images whose 64-bit perceptual hashes differ in at most this many bits count "
        "as one picture; null means byte-identical files alone. ASSUME: 8, measured on SFEW.",
    )
    on_bad_image: OnBadImage = Field(
        "fail",
        description="A file that is no readable image stops the workflow, or is left out and "
        "listed in the audit.",
    )


class Faces(Section):
    """The built-in data, drawn in the layout of SFEW."""

    seed: Seed = Field(0, description="Seed of the drawing.")
    width: int = Field(720, ge=64, description="Width of an image in pixels.")
    height: int = Field(576, ge=64, description="Height of an image in pixels.")
    movies: int = Field(54, ge=1, description="Movies; each has its own look and people.")
    counts: Annotated[
        dict[Expression, Annotated[int, Field(ge=5)]],
        Field(min_length=2),
    ] = Field(
        SFEW_COUNTS,
        description="Images of each class; a class that is not named has none.",
    )


class Split(Section):
    """One way to divide the images into a training, a validation and a test part."""

    protocol: Protocol = Field(
        description="Images uniformly at random as the paper does, class by class, or whole "
        "clips, movies or groups of a CSV; or the lists of a CSV.",
    )
    test_fraction: OpenShare = Field(0.2, description="Share of the images that are for testing.")
    validation_fraction: ShareBelowOne = Field(
        0.0,
        description="Share of the other images that neither train nor test, for "
        "selection.subset: validation.",
    )
    folds: Annotated[int, Field(ge=2)] | None = Field(
        None,
        description="Cross-validation instead of test_fraction: seed s tests fold s modulo folds.",
    )
    file: str | None = Field(
        None,
        description="CSV with a column image and, for list, part (train, validation or test).",
    )
    column: str | None = Field(
        None, description="Column of that CSV that names the group, for the protocol group."
    )


SPLITS = {
    "random": Split(protocol="random"),  # the paper's
    "stratified": Split(protocol="stratified"),  # each class has the same share in every part
    "clip": Split(protocol="clip"),  # no clip and no near-duplicate on both sides
    "movie": Split(protocol="movie"),  # no movie on both sides
    "spi": Split(protocol="movie", folds=2),  # halves without a common movie: a seed tests one
}
