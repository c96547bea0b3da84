"""Local phase quantisation, a texture descriptor that blur hardly changes.

Ojansivu and Heikkila, "Blur insensitive texture classification using local phase quantization",
ICISP 2008. A blur whose point spread function is symmetric about its centre multiplies the
spectrum of an image by real numbers, and at low frequencies these are positive: the signs of the
real and imaginary parts of a local spectrum stay what they are.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d

from neuron_pruning.core.errors import UserError

CODES = 256  # eight signs, one bit each
CORRELATION = 0.9  # of the grey values of neighbouring pixels, as in the authors' program
FLAT = 1e-9  # of the brightest pixel: what is smaller comes from rounding, not from the image

Real = NDArray[np.float64]


def local_phase_quantisation(
    image: NDArray[np.number], window: int = 7, decorrelate: bool = True
) -> NDArray[np.uint8]:
    """Codes of the local phase, one for every pixel whose window lies within the image.

    Bits 0 to 3 are the signs of the real parts at the frequencies (a, 0), (0, a), (a, a) and
    (a, -a) with a = 1 / window, bits 4 to 7 those of the imaginary parts; after decorrelation
    bit n is the sign of the n-th whitened coefficient.

    ASSUME: a coefficient of zero, as everywhere in a flat patch, gives the bit 0.

    Args:
        image: grey values, H x W.
        window: side M of the square, uniform window; odd.
        decorrelate: whiten the eight coefficients before their signs are taken.

    Returns:
        (H - M + 1) x (W - M + 1) codes.

    Raises:
        UserError: the window is even, below 3, or larger than the image.
    """
    if window < 3 or window % 2 == 0:
        raise UserError(f"window: LPQ needs an odd number of pixels, 3 at least, not {window}")
    if min(image.shape) < window:
        raise UserError(
            f"window: {window} pixels are more than an image of {image.shape[0]} x "
            f"{image.shape[1]} has; take a smaller window or larger images"
        )
    values = image.astype(np.float64)
    coefficients = local_spectrum(values, window)
    if decorrelate:
        coefficients = np.tensordot(whitening(window), coefficients, axes=1)
    bits = coefficients > FLAT * np.abs(values).max()
    return np.packbits(bits, axis=0, bitorder="little")[0]


def lpq_histogram(
    image: NDArray[np.number], blocks: tuple[int, int] = (4, 4), window: int = 7
) -> Real:
    """Histograms of the codes of every block, row by row, as shares of the whole sum of 1.

    ASSUME: every block weighs the same. The codes of the whole image are divided into blocks, so
    that a window reaches into the neighbouring block; blocks differ by a pixel where the sides do
    not divide.

    Returns:
        rows * columns * 256 shares of an image of H x W grey values.

    Raises:
        UserError: the window does not suit, or there are more blocks than codes.
    """
    codes = local_phase_quantisation(image, window)
    if min(blocks) < 1 or any(n > size for n, size in zip(blocks, codes.shape, strict=True)):
        raise UserError(
            f"blocks: {blocks} do not fit into the {codes.shape[0]} x {codes.shape[1]} codes of "
            "an image; take fewer blocks or larger images"
        )
    rows = np.array_split(codes, blocks[0])
    pieces = [piece for row in rows for piece in np.array_split(row, blocks[1], axis=1)]
    shares = [np.bincount(p.ravel(), minlength=CODES) / p.size for p in pieces]
    return np.concatenate(shares) / len(shares)


def local_spectrum(image: Real, window: int) -> Real:
    """Short-term Fourier transform at the four lowest frequencies that are not zero.

    Returns:
        8 x (H - M + 1) x (W - M + 1): four real parts, then four imaginary parts.
    """
    flat, wave = _waves(window)
    constant, wavy = (_along(1, image, weights) for weights in (flat, wave))
    pairs = ((wavy, flat), (constant, wave), (wavy, wave), (wavy, wave.conj()))
    found = [_along(0, filtered, weights) for filtered, weights in pairs]
    return np.concatenate([np.real(found), np.imag(found)])


@cache
def whitening(window: int) -> Real:
    """Rotation, 8 x 8, after which the coefficients of an image are uncorrelated.

    The covariance of two pixels is modelled as ``CORRELATION ** distance``; the rotation is the
    transposed V of the singular value decomposition of the covariance of the coefficients.

    ASSUME: the model leaves some coefficients with equal variances, and their order and mixture
    open. As in the authors' program factors next to one part them; V has the sign that makes its
    largest entries positive.
    """
    part = np.diag(1 + 1e-6 * np.array([7, 6, 5, 4, 3, 2, 1, 0]))
    rotation = np.linalg.svd(part @ coefficient_covariance(window) @ part)[2]
    largest = np.abs(rotation).argmax(axis=1)
    return rotation * np.sign(rotation[np.arange(8), largest])[:, None]


def coefficient_covariance(window: int) -> Real:
    """Covariance of the eight coefficients under the model of the pixels, 8 x 8."""
    steps = np.arange(window)
    rows, columns = (grid.ravel() for grid in np.meshgrid(steps, steps, indexing="ij"))
    distance = np.hypot(rows[:, None] - rows, columns[:, None] - columns)
    flat, wave = _waves(window)
    pairs = [(flat, wave), (wave, flat), (wave, wave), (wave.conj(), wave)]
    filters = np.array([np.outer(down, across).ravel() for down, across in pairs])
    basis = np.concatenate([filters.real, filters.imag])
    return basis @ CORRELATION**distance @ basis.T


def _waves(window: int) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """The window along one axis, alone and with the wave of one period."""
    offsets = np.arange(window) - window // 2
    return np.ones(window, dtype=complex), np.exp(-2j * np.pi * offsets / window)


def _along(
    axis: int, image: NDArray[np.number], weights: NDArray[np.complex128]
) -> NDArray[np.complex128]:
    """Convolution along one axis where the weights lie within the image."""
    reach = len(weights) // 2
    whole = convolve1d(image, weights, axis=axis, mode="nearest")
    return whole[reach:-reach] if axis == 0 else whole[:, reach:-reach]
