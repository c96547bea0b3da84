"""Tiles of photographs that packages ship, as images without labels: two folders for a network.

No picture has tiles in both, so that nothing that was measured or fitted on judges the result.
"""

import sys
from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path

from PIL import Image

SIDE = 160  # of a tile, in pixels: half the work of the 224 that the network was trained on
SCALES = (1.0, 0.75, 0.5)  # sides of the squares that become tiles, in shorter sides of the picture
PICTURES = {
    "calibration": (
        "skimage/data/astronaut.png", "skimage/data/brick.png", "skimage/data/chelsea.png",
        "skimage/data/coffee.png", "skimage/data/gravel.png", "skimage/data/hubble_deep_field.jpg",
        "skimage/data/ihc.png", "skimage/data/rocket.jpg",
        "sklearn/datasets/images/china.jpg",
    ),
    "evaluation": (
        "skimage/data/camera.png", "skimage/data/coins.png", "skimage/data/grass.png",
        "skimage/data/moon.png", "skimage/data/motorcycle_left.png", "skimage/data/retina.jpg",
        "sklearn/datasets/images/flower.jpg",
        "matplotlib/mpl-data/sample_data/grace_hopper.jpg",
    ),
}  # fmt: skip


def squares(width: int, height: int) -> Iterator[tuple[int, int, int, int]]:
    """Left, top, right and bottom of squares that cover a picture at every scale.

    Neighbours of one scale overlap by half a side or a little more.
    """
    for scale in SCALES:
        side = round(scale * min(width, height))
        for top in starts(height, side):
            for left in starts(width, side):
                yield left, top, left + side, top + side


def starts(length: int, side: int) -> list[int]:
    """Where squares begin along one edge, evenly from end to end."""
    steps = -(-2 * (length - side) // side)
    return [round(step * (length - side) / steps) for step in range(steps + 1)] if steps else [0]


def write_tiles(folder: Path) -> None:
    """Write ``folder/PART/PICTURE/NUMBER.png``; the same bytes every time."""
    for part, pictures in PICTURES.items():
        for name in pictures:
            place = folder / part / Path(name).stem
            place.mkdir(parents=True)
            package, _, inside = name.partition("/")
            with as_file(files(package) / inside) as path, Image.open(path) as opened:
                picture = opened.convert("RGB")
            for number, square in enumerate(squares(*picture.size)):
                tile = picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=square)
                tile.save(place / f"{number:02}.png", compress_level=1)


if __name__ == "__main__":
    write_tiles(Path(sys.argv[1]))
