import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, shift, uniform_filter

from neuron_pruning import UserError
from neuron_pruning.baselines.lpq import (
    CORRELATION,
    coefficient_covariance,
    local_phase_quantisation,
    local_spectrum,
    lpq_histogram,
    whitening,
)

windows = st.sampled_from([3, 5, 7, 9])


def texture(seed=0, size=96):
    """Grey values that are smooth over a few pixels, as in a picture."""
    return gaussian_filter(np.random.default_rng(seed).normal(size=(size, size)), 3)


def by_definition(image, window):
    """Coefficients as sums over f(x - y) exp(-2 pi i u y), pixel by pixel."""
    reach, a = window // 2, 1 / window
    frequencies = [(0, a), (a, 0), (a, a), (-a, a)]  # down, across
    rows, columns = (size - 2 * reach for size in image.shape)
    found = np.zeros((4, rows, columns), dtype=complex)
    for n, (down, across) in enumerate(frequencies):
        for i in range(rows):
            for j in range(columns):
                for y in range(-reach, reach + 1):
                    for x in range(-reach, reach + 1):
                        wave = np.exp(-2j * np.pi * (down * y + across * x))
                        found[n, i, j] += image[i + reach - y, j + reach - x] * wave
    return np.concatenate([found.real, found.imag])


@pytest.mark.parametrize("window", [3, 5])
def test_coefficients_are_the_direct_sums(window):
    image = np.random.default_rng(0).normal(size=(8, 9))
    wanted = by_definition(image, window)
    np.testing.assert_allclose(local_spectrum(image, window), wanted, atol=1e-12)
    bits = sum((wanted[n] > 0) * 2**n for n in range(8))
    codes = local_phase_quantisation(image, window, decorrelate=False)
    assert codes.dtype == np.uint8
    np.testing.assert_array_equal(codes, bits)


def test_decorrelated_codes_are_signs_of_the_whitened_coefficients():
    image = texture(1, 30)
    spectrum = local_spectrum(image, 7)
    for i, j in [(0, 0), (5, 11), (23, 23)]:
        whitened = whitening(7) @ spectrum[:, i, j]
        code = sum(int(value > 0) << n for n, value in enumerate(whitened))
        assert local_phase_quantisation(image)[i, j] == code


@pytest.mark.parametrize(
    ("phase", "code"), [(-45, 0b1_0001), (45, 0b1), (135, 0), (-135, 0b1_0000)]
)
def test_a_wave_has_the_phase_that_it_was_given(phase, code):
    across = np.arange(21) - 10
    image = np.tile(np.cos(2 * np.pi * across / 7 + np.deg2rad(phase)), (21, 1))
    # The transform of the paper conjugates. The wave has no other of the four frequencies.
    assert local_phase_quantisation(image, 7, decorrelate=False)[7, 7] == code
    assert local_phase_quantisation(image.T, 7, decorrelate=False)[7, 7] == 2 * code


@pytest.mark.parametrize("decorrelate", [False, True])
@pytest.mark.parametrize(
    "blur",
    [
        lambda image: gaussian_filter(image, 1.5),
        lambda image: uniform_filter(image, (5, 1)),  # a motion, along one axis
        lambda image: uniform_filter(image, 3),
    ],
)
def test_a_symmetric_blur_leaves_nearly_all_bits(blur, decorrelate):
    image = texture()
    codes = local_phase_quantisation(image, 7, decorrelate)
    blurred = local_phase_quantisation(blur(image), 7, decorrelate)
    assert shared_bits(codes, blurred) > 0.93
    # The same blur about another centre turns the phases.
    moved = local_phase_quantisation(shift(blur(image), 3, order=1), 7, decorrelate)
    assert shared_bits(codes, moved) < 0.8


def shared_bits(one, other):
    return 1 - np.unpackbits(one ^ other).mean()


@given(windows)
def test_whitened_coefficients_are_uncorrelated_under_the_model(window):
    rotation, covariance = whitening(window), coefficient_covariance(window)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(8), atol=1e-12)
    whitened = rotation @ covariance @ rotation.T
    variances = np.diag(whitened)
    assert (np.diff(variances) < 1e-3).all() and variances[-1] > 0
    assert np.abs(whitened - np.diag(variances)).max() < 1e-5 * variances[0]
    # Before that they were not.
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() > 1e-2 * variances[0]


@given(windows)
def test_the_covariance_is_that_of_the_coefficients(window):
    pixels = window**2
    impulses = np.eye(pixels).reshape(pixels, window, window)
    basis = np.array([local_spectrum(impulse, window)[:, 0, 0] for impulse in impulses]).T
    # The convolution turns the window about; so does the model's covariance, to the same.
    places = np.array([divmod(n, window) for n in range(pixels)])
    distance = np.linalg.norm(places[:, None] - places, axis=2)
    wanted = basis @ CORRELATION**distance @ basis.T
    np.testing.assert_allclose(coefficient_covariance(window), wanted, atol=1e-9)


@given(st.integers(0, 50), st.floats(0.1, 100), st.floats(-50, 50))
def test_brightness_and_contrast_do_not_matter(seed, contrast, brightness):
    image = np.random.default_rng(seed).normal(size=(12, 13))
    codes = local_phase_quantisation(image)
    np.testing.assert_array_equal(local_phase_quantisation(contrast * image + brightness), codes)


@pytest.mark.parametrize("value", [0, 77, 255])
def test_a_flat_image_has_the_code_zero_everywhere(value):
    codes = local_phase_quantisation(np.full((20, 30), value, dtype=np.uint8))
    assert codes.shape == (14, 24) and not codes.any()


def test_histograms_are_those_of_the_blocks():
    image = texture(2, 46)  # 40 x 40 codes
    histogram = lpq_histogram(image, (4, 2), 7).reshape(4, 2, 256)
    codes = local_phase_quantisation(image, 7)
    counts = np.bincount(codes[30:, :20].ravel(), minlength=256)
    np.testing.assert_allclose(histogram[3, 0], counts / 200 / 8)
    np.testing.assert_allclose(histogram.sum(axis=2), 1 / 8)
    assert lpq_histogram(image).shape == (4096,)


@given(st.integers(10, 40), st.integers(10, 40))
def test_every_size_gives_a_histogram_of_the_same_length(height, width):
    image = np.random.default_rng(0).normal(size=(height, width))
    histogram = lpq_histogram(image)
    assert histogram.shape == (4096,) and histogram.sum() == pytest.approx(1)


@pytest.mark.parametrize("window", [4, 1, -3, 0])
def test_windows_without_a_middle(window):
    with pytest.raises(UserError, match="window: LPQ needs an odd number"):
        local_phase_quantisation(np.zeros((20, 20)), window)


def test_images_that_are_too_small():
    with pytest.raises(UserError, match="window: 7 pixels are more than an image of 20 x 6"):
        local_phase_quantisation(np.zeros((20, 6)))
    with pytest.raises(UserError, match=r"blocks: \(4, 4\) do not fit into the 14 x 3 codes"):
        lpq_histogram(np.zeros((20, 9)))
    with pytest.raises(UserError, match=r"blocks: \(0, 4\)"):
        lpq_histogram(np.zeros((20, 20)), (0, 4))
