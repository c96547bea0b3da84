"""Pyramid of histograms of oriented gradients, a descriptor of shape.

Bosch, Zisserman and Munoz, "Representing shape with a spatial pyramid kernel", CIVR 2007:
gradients at the edges of an image, counted by direction in ever smaller cells.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, sobel
from skimage.feature import canny

from neuron_pruning.core.errors import UserError

SMOOTHING = 2**0.5  # pixels: standard deviation of the Gaussian before edges are looked for
STRONG = 0.7  # share of the pixels whose gradient is smaller than the upper threshold
WEAK = 0.4  # lower threshold over the upper one

Real = NDArray[np.float64]


def pyramid_of_gradients(image: NDArray[np.number], levels: int = 4, bins: int = 16) -> Real:
    """Histograms of the gradients' directions at edges, over cells of every level.

    Level n has 2 ** n x 2 ** n cells, and a cell ``bins`` directions over the full circle. The
    vector holds level by level, row by row, and has the sum 1; an image without edges gives
    zeros.

    ASSUME: "4 levels" are 0 to 3, 85 cells.

    Args:
        image: grey values, H x W.
        levels: of the pyramid, the whole image included.
        bins: directions; bin b covers [b, b + 1) * 360 / bins degrees, 0 is bright on the right
            and 90 bright below.

    Returns:
        (4 ** levels - 1) / 3 * bins shares.

    Raises:
        UserError: no level, no bin, or more cells than pixels.
    """
    if levels < 1 or bins < 1:
        raise UserError(f"PHOG needs one level and one bin at least, not {levels} and {bins}")
    cells = 2 ** (levels - 1)
    if min(image.shape) < max(cells, 2):
        raise UserError(
            f"levels: {levels} levels have {cells} cells a side, more than an image of "
            f"{image.shape[0]} x {image.shape[1]} pixels; take fewer levels or larger images"
        )
    values = image.astype(np.float64)
    strength, direction = edge_gradients(values, find_edges(values))
    finest = _count(strength, direction, cells, bins)
    pyramid = np.concatenate([_coarsen(finest, 2**level).ravel() for level in range(levels)])
    return pyramid / (pyramid.sum() or 1.0)


def find_edges(image: Real) -> NDArray[np.bool_]:
    """Pixels on edges, by Canny's method.

    ASSUME: smoothing and thresholds follow the picture, as the authors' program leaves it to
    MATLAB's defaults: 30 % of the pixels pass the upper threshold, and the lower one is 0.4 of it.
    """
    upper = float(np.quantile(_smooth_gradients(image), STRONG))
    return canny(image, SMOOTHING, low_threshold=WEAK * upper, high_threshold=upper)


def _smooth_gradients(image: Real) -> Real:
    """Strengths of the gradients as Canny's method measures them, after its smoothing."""
    inside = gaussian_filter(np.ones_like(image), SMOOTHING, mode="constant")
    smooth = gaussian_filter(image, SMOOTHING, mode="constant") / inside
    return np.hypot(sobel(smooth, axis=0), sobel(smooth, axis=1))


def edge_gradients(image: Real, edges: NDArray[np.bool_]) -> tuple[Real, Real]:
    """Strength of the gradient (0 off the edges) and its direction in [0, 1) of a circle.

    ASSUME: central differences of the image itself, not smoothed, as in the authors' program.
    """
    down, across = np.gradient(image)
    direction = np.arctan2(down, across) / (2 * np.pi) % 1.0
    return np.where(edges, np.hypot(down, across), 0.0), direction


def _count(strength: Real, direction: Real, cells: int, bins: int) -> Real:
    """Strengths by cell and direction, cells x cells x bins.

    ASSUME: a gradient counts for one bin and one cell; none is shared between neighbours.
    """
    rows, columns = (np.arange(size) * cells // size for size in strength.shape)
    cell = rows[:, None] * cells + columns
    # A direction a rounding error below the full circle is not below it.
    turn = np.minimum((direction * bins).astype(int), bins - 1)
    places = (cell * bins + turn).ravel()
    counted = np.bincount(places, strength.ravel(), minlength=cells * cells * bins)
    return counted.astype(np.float64).reshape(cells, cells, bins)


def _coarsen(finest: Real, cells: int) -> Real:
    """Sums over the cells of the finest level that lie in one of ``cells`` x ``cells``."""
    factor = len(finest) // cells
    return finest.reshape(cells, factor, cells, factor, -1).sum(axis=(1, 3))
