"""Aligned crops of faces."""

import math

from PIL import Image

from neuron_pruning.data.face_boxes import FaceBox

PADDING = (128, 128, 128)  # mid-grey: 0 after normalisation


def crop_region(box: FaceBox, size: tuple[int, int], margin: float = 0.0) -> tuple[float, float]:
    """Width and height, in pixels of the image, of what a crop of ``size`` shows.

    That is the box and ``margin`` of its sides all around, widened or heightened to the aspect
    ratio of ``size``, which is height x width.
    """
    height, width = size
    scale = (1 + 2 * margin) * max(box.width / width, box.height / height)
    return scale * width, scale * height


def crop_face(
    image: Image.Image, box: FaceBox, size: tuple[int, int], margin: float = 0.0
) -> Image.Image:
    """The face about the middle, its eyes level, nothing distorted; mid-grey beyond the image.

    Args:
        image: RGB, upright.
        box: in pixels of ``image``.
        size: height x width of the crop.
        margin: of the box's sides, shown beyond each of them.
    """
    height, width = size
    region = crop_region(box, size, margin)
    step = region[0] / width  # pixels of the image for one of the crop
    image, left, top = _neighbourhood(image, box, math.hypot(*region) / 2)
    middle_x, middle_y = box.x + box.width / 2 - left, box.y + box.height / 2 - top
    shrink_x = shrink_y = 1.0
    if step > 1:  # the rotation looks at 4 x 4 pixels only, so it must find them small already
        smaller = (max(1, round(image.width / step)), max(1, round(image.height / step)))
        shrink_x, shrink_y = smaller[0] / image.width, smaller[1] / image.height
        image = image.resize(smaller, Image.Resampling.LANCZOS, reducing_gap=3.0)
    cosine, sine = (f(math.radians(box.angle)) * step for f in (math.cos, math.sin))
    # from a pixel of the crop to one of the image: [a b c; d e f]
    affine = (
        cosine * shrink_x,
        -sine * shrink_x,
        (middle_x - (cosine * width - sine * height) / 2) * shrink_x,
        sine * shrink_y,
        cosine * shrink_y,
        (middle_y - (sine * width + cosine * height) / 2) * shrink_y,
    )
    how = Image.Transform.AFFINE, affine, Image.Resampling.BICUBIC
    return image.transform((width, height), *how, fillcolor=PADDING)


def _neighbourhood(image: Image.Image, box: FaceBox, reach: float) -> tuple[Image.Image, int, int]:
    """The part of the image within ``reach`` of the box's middle, and where it begins."""
    middle_x, middle_y = box.x + box.width / 2, box.y + box.height / 2
    left, top = (max(0, math.floor(m - reach) - 8) for m in (middle_x, middle_y))
    right = min(image.width, math.ceil(middle_x + reach) + 8)
    bottom = min(image.height, math.ceil(middle_y + reach) + 8)
    return image.crop((left, top, right, bottom)), left, top
