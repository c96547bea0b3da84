"""PNG files of 16 bits a value as 8 bits, also where they use fewer of them."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

DEPTHS = (8, 12)  # ASSUME: of what is stored in 16 bits as it came from an 8- or 12-bit source
PNG = b"\x89PNG\r\n\x1a\n"

Values = NDArray[np.uint16]


def has_sixteen_bits(data: bytes) -> bool:
    """Whether the bytes of a file are a PNG of 16 bits a value."""
    return data.startswith(PNG) and data[24:25] == b"\x10"


def eight_bits(stored: Image.Image, data: bytes) -> Image.Image:
    """Grey or RGB image of 8 bits a value of a loaded PNG of 16, ``data`` being its file."""
    values = _values(stored, data)
    unused = 16 - used_bits(values, significant_bits(data))
    return Image.fromarray((values << unused >> 8).astype(np.uint8))


def used_bits(values: Values, significant: int | None = None) -> int:
    """How many of the 16 bits of its values an image uses, from the lowest on.

    ASSUME: an image without a value of 256 or more has 8, one without a value of 4096 or more 12,
    any other all 16. Image by image, so that each looks the same in every data set; a picture of 16
    bits that stays below a sixteenth of its range, and would hardly be seen, becomes brighter.

    Args:
        values: of one image, height x width or height x width x channels.
        significant: what the file says; values of so many bits are scaled to all 16, as the PNG
            specification demands, unless they show that they are not.
    """
    largest = int(values.max(initial=0))
    if significant is None:
        return next((bits for bits in DEPTHS if largest < 1 << bits), 16)
    unscaled = largest < 1 << significant and bool((values & ((1 << (16 - significant)) - 1)).any())
    return significant if unscaled else 16


def significant_bits(data: bytes) -> int | None:
    """Largest number of the PNG chunk sBIT, below 16; None where the file says nothing."""
    place = len(PNG)
    while place + 8 <= len(data):
        length, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        if kind == b"IDAT":
            break
        if kind == b"sBIT":
            bits = max(data[place + 8 : place + 8 + min(length, 4)], default=16)
            return bits if 0 < bits < 16 else None
        place += length + 12
    return None


def _values(stored: Image.Image, data: bytes) -> Values:
    """Values as stored, without transparency; Pillow keeps those of grey images alone."""
    if stored.mode.startswith("I"):
        return np.asarray(stored).astype(np.uint16)
    import cv2  # takes a tenth of a second, and few files need it

    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None or found.dtype != np.uint16:
        raise ValueError("a PNG of 16 bits that cannot be decoded")
    grey = found.ndim == 2
    return np.ascontiguousarray(found if grey else found[..., 2::-1], dtype=np.uint16)
