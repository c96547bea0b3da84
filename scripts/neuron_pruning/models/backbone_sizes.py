"""Sizes of torchvision's classifiers, so that rules and work on stored networks need no torch.

``backbone_sizes.csv`` holds what ``backbones.measure_backbone`` finds in torchvision 0.28; a test
compares.
"""

import csv
from pathlib import Path
from typing import NamedTuple

SIDE = 224  # height and width in pixels of the images that were measured with


class BackboneSize(NamedTuple):
    """A network without the layer that scores the classes, for one image of the side above."""

    features: int = 0  # what it gives
    parameters: int = 0
    multiply_adds: int = 0
    outputs: int = 0  # values that leave all its layers


_lines = Path(__file__).with_suffix(".csv").read_text().splitlines()
BACKBONES = {name: BackboneSize(*map(int, sizes)) for name, *sizes in csv.reader(_lines[1:])}
