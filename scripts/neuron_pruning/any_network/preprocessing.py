"""How an image becomes what a network reads; from the metadata of torchvision, timm, Hugging Face.

Everything here is offline: no library is asked for more than what it ships.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from neuron_pruning.core.errors import UserError

INTERPOLATIONS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")  # Pillow's order
GIVE = (
    "give it: --size, --mean and --std on the command line, or preprocessing=Preprocessing(height, "
    "width, mean, std), with mean and deviation of each channel of values in [0, 1]"
)


@dataclass(frozen=True)
class Preprocessing:
    """Resize, cut out the middle, normalise: (value / 255 - mean) / std, channel by channel.

    Attributes:
        height: of what the network reads, in pixels.
        width: likewise.
        mean: of each channel, of values in [0, 1]; three channels are RGB, one is grey.
        std: deviation of each channel, likewise.
        resize: height and width before the middle is cut out; None: ``height`` and ``width``.
        stretch: whether images are resized to exactly ``resize``. Else their aspect ratio stays,
            and they are as small as they can be and cover it.
        pad: whether instead they lie whole in the middle of ``resize``, with grey beside them.
        interpolation: of resizing, one of ``INTERPOLATIONS``, with Pillow's antialiasing.

    Raises:
        UserError: a value that makes no sense.
    """

    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: tuple[int, int] | None = None
    stretch: bool = False
    interpolation: str = "bilinear"
    pad: bool = False

    def __post_init__(self) -> None:
        for name in ("mean", "std", "resize"):  # a list, as JSON has it, would not be hashable
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else tuple(value))
        sides = (self.height, self.width, *self.before_crop)
        if len(sides) != 4 or not all(type(side) is int and side > 0 for side in sides):
            raise UserError(
                f"preprocessing: sizes must be two whole numbers above 0, height and width; "
                f"not {(self.height, self.width)}, resized to {self.resize}"
            )
        if len(self.mean) not in (1, 3) or len(self.mean) != len(self.std):
            raise UserError(
                "preprocessing: mean and std need one number for grey images or three for RGB; "
                f"not {self.mean} and {self.std}"
            )
        if not all(map(math.isfinite, (*self.mean, *self.std))) or min(self.std) <= 0:
            raise UserError(
                "preprocessing: mean and std must be finite, std above 0; "
                f"not {self.mean} and {self.std}"
            )
        if self.stretch and self.pad:
            raise UserError("preprocessing: stretch and pad exclude each other; give one of them")
        if self.interpolation not in INTERPOLATIONS:
            raise UserError(
                f"preprocessing: interpolation is one of {', '.join(INTERPOLATIONS)}; "
                f"not {self.interpolation!r}"
            )

    @property
    def channels(self) -> int:
        """Of the images: 3 or 1."""
        return len(self.mean)

    @property
    def before_crop(self) -> tuple[int, int]:
        """Height and width that a resized image covers, or has."""
        return self.resize or (self.height, self.width)

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Height and width, before the crop, of an image of that height and width."""
        rows, columns = self.before_crop
        if self.stretch or self.pad:
            return rows, columns
        if columns * height >= width * rows:  # no wider, for its height, than what it covers
            return height * columns // width, columns
        return rows, width * rows // height


def workflow_preprocessing(height: int, width: int) -> Preprocessing:
    """Of networks that this workflow trains: whole images as ``dataset.resize: fit`` makes them."""
    half = (0.5,) * 3
    return Preprocessing(height, width, half, half, interpolation="lanczos", pad=True)


def torchvision_preprocessing(transforms: Any) -> Preprocessing:
    """Of the ``transforms()`` of an entry of torchvision's weights for classification."""
    (side,), (before,) = transforms.crop_size, transforms.resize_size
    return Preprocessing(
        side,
        side,
        transforms.mean,
        transforms.std,
        resize=(before, before),
        interpolation=transforms.interpolation.value,
    )


def timm_preprocessing(config: Mapping[str, Any], source: str) -> Preprocessing:
    """Of ``timm.data.resolve_model_data_config(model)``.

    Raises:
        UserError: a way of cropping that is not known here.
    """
    _, height, width = config["input_size"]
    if config["crop_mode"] not in ("center", "squash"):
        raise UserError(
            f"{source}: its images are cropped by the rule {config['crop_mode']!r}, which is not "
            f"known here; {GIVE}"
        )
    return Preprocessing(
        height,
        width,
        config["mean"],
        config["std"],
        resize=tuple(math.floor(side / config["crop_pct"]) for side in (height, width)),
        stretch=config["crop_mode"] == "squash",
        interpolation=config["interpolation"],
    )


def hugging_face_preprocessing(processor: Mapping[str, Any], source: str) -> Preprocessing:
    """Of ``to_dict()`` of an image processor, or of its ``preprocessor_config.json``.

    Raises:
        UserError: it does what is not known here.
    """
    if processor.get("data_config"):  # timm's, in a folder of Hugging Face
        return timm_preprocessing(processor["data_config"], source)
    size = processor.get("size") if processor.get("do_resize", True) else None
    if size is None:
        raise UserError(f"{source}: its image processor does not resize; {GIVE}")
    before, stretch = _hugging_face_size(size, source)
    after = before
    if processor.get("crop_pct"):  # ConvNeXt's rule: large images are stretched and not cropped
        stretch = after[0] >= 384
        if not stretch:
            before = (int(before[0] / processor["crop_pct"]),) * 2
    elif processor.get("do_center_crop") and processor.get("crop_size"):
        after, _ = _hugging_face_size(processor["crop_size"], source)
    mean, std = _hugging_face_values(processor, source)
    return Preprocessing(
        *after,
        mean,
        std,
        resize=before,
        stretch=stretch,
        interpolation=INTERPOLATIONS[processor.get("resample") or 0],
    )


def _hugging_face_size(size: Any, source: str) -> tuple[tuple[int, int], bool]:
    """Height and width, and whether images are stretched to them."""
    if isinstance(size, int):
        return (size, size), True
    if size.get("height") and size.get("width"):
        return (size["height"], size["width"]), True
    if size.get("shortest_edge") and not size.get("longest_edge"):
        return (size["shortest_edge"], size["shortest_edge"]), False
    raise UserError(f"{source}: the size {dict(size)} of its image processor is not known; {GIVE}")


def _hugging_face_values(
    processor: Mapping[str, Any], source: str
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of values in [0, 1]; there they are of values times a factor."""
    factor = 255.0 * (processor.get("rescale_factor") or 1 / 255)
    if processor.get("do_rescale") is False:
        factor = 255.0
    offset = 1.0 if processor.get("rescale_offset") else 0.0
    mean: Any = (0.0, 0.0, 0.0)
    std: Any = (1.0, 1.0, 1.0)
    if processor.get("do_normalize", True):
        mean, std = processor.get("image_mean"), processor.get("image_std")
    if not mean or not std:
        raise UserError(f"{source}: its image processor has no mean or deviation; {GIVE}")
    if processor.get("include_top"):  # EfficientNet divides by the deviation twice
        std = [value**2 for value in std]
    return tuple((m + offset) / factor for m in mean), tuple(s / factor for s in std)
