"""Files of images as upright RGB pixels of 8 bits."""

import io

from PIL import ExifTags, Image

from neuron_pruning.data.sixteen_bits import eight_bits, has_sixteen_bits

LARGEST_IMAGE = 70_000_000  # pixels: 210 MB decoded; more is taken for a decompression bomb
TURNS = {  # by EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_upright(data: bytes) -> tuple[Image.Image, str]:
    """Upright RGB image of the bytes of a file, and its colour mode as stored.

    EXIF orientation is honoured; grey, palette and RGBA become RGB. Only PNG and JPEG are decoded,
    whatever the name says, and no more than ``LARGEST_IMAGE`` pixels.

    Raises:
        Exception: the file is truncated, damaged, too large or no image; Pillow raises a dozen
            types, such as SyntaxError for a damaged PNG chunk.
    """
    with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as stored:
        mode = stored.mode
        if stored.width * stored.height > LARGEST_IMAGE:
            raise ValueError(
                f"{stored.width} x {stored.height} pixels; {LARGEST_IMAGE:,} at most are decoded"
            )
        stored.load()
        image = eight_bits(stored, data) if has_sixteen_bits(data) else stored
        rgb = image.convert("RGB")  # ASSUME: transparency is dropped, not blended
        turn = _turn_of(stored)
        return rgb if turn is None else rgb.transpose(turn), mode


def _turn_of(stored: Image.Image) -> Image.Transpose | None:
    """What makes an image upright.

    Not ``ImageOps.exif_transpose``, which writes the EXIF block again and fails over other fields.
    """
    try:
        return TURNS.get(stored.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 - a block that cannot be read says nothing; viewers do so too
        return None
