import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, sobel
from skimage.feature import canny
from skimage.filters import gaussian

from neuron_pruning import UserError
from neuron_pruning.baselines.phog import edge_gradients, find_edges, pyramid_of_gradients


def picture(seed=0, size=64):
    return gaussian_filter(np.random.default_rng(seed).normal(size=(size, size)), 3)


def step(size=32):
    """Dark left, bright right, the edge in the middle."""
    image = np.zeros((size, size))
    image[:, size // 2 :] = 200
    return image


def test_gradients_by_hand():
    image = np.array([[0, 1, 4], [2, 5, 6], [7, 7, 7]], dtype=float)
    edges = np.ones((3, 3), dtype=bool)
    edges[2, 2] = False
    strength, direction = edge_gradients(image, edges)
    # In the middle: across (6 - 2) / 2 = 2, down (7 - 1) / 2 = 3.
    assert strength[1, 1] == pytest.approx(np.sqrt(13))
    assert direction[1, 1] * 360 == pytest.approx(56.30993247)
    # At a border, one-sided: across 7 - 7 = 0, down 7 - 2 = 5.
    assert strength[2, 0] == pytest.approx(5) and direction[2, 0] * 360 == pytest.approx(90)
    assert strength[2, 2] == 0


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_step_has_the_direction_in_which_it_is_brighter(turns):
    pyramid = pyramid_of_gradients(np.rot90(step(), -turns))  # clockwise
    whole = pyramid[:16] * 4
    assert whole[4 * turns] == pytest.approx(1) and whole.sum() == pytest.approx(1)


def test_a_step_by_hand():
    """Both columns beside the step have the gradient 100; Canny keeps one of them, or both."""
    edges = find_edges(step())
    assert edges.any() and not np.delete(edges, [15, 16], axis=1).any()
    strength, _ = edge_gradients(step(), edges)
    assert set(np.unique(strength)) == {0, 100}
    pyramid = pyramid_of_gradients(step(), levels=2, bins=8)
    assert pyramid.shape == (40,)
    left, right = edges[:, 15].sum(), edges[:, 16].sum()
    upper_left, upper_right = edges[:16, 15].sum(), edges[:16, 16].sum()
    wanted = np.zeros((5, 8))
    wanted[:, 0] = [
        left + right,
        upper_left,
        upper_right,
        left - upper_left,
        right - upper_right,
    ]
    np.testing.assert_allclose(pyramid.reshape(5, 8), wanted / wanted.sum())


def test_every_level_counts_its_own_cells():
    image = picture()
    strength, direction = edge_gradients(image, find_edges(image))
    pyramid = pyramid_of_gradients(image).reshape(85, 16)
    start = 0
    for level in range(4):
        side = 64 // 2**level
        for row in range(2**level):
            for col in range(2**level):
                cell = np.s_[row * side : (row + 1) * side, col * side : (col + 1) * side]
                counted, _ = np.histogram(direction[cell], 16, (0, 1), weights=strength[cell])
                found = pyramid[start + row * 2**level + col]
                np.testing.assert_allclose(found, counted / strength.sum() / 4, atol=1e-12)
        start += 4**level


@given(st.integers(0, 30))
def test_a_quarter_turn_moves_cells_and_directions(seed):
    image = picture(seed)
    one = pyramid_of_gradients(image, levels=3)
    turned = pyramid_of_gradients(np.rot90(image, -1), levels=3)
    finest = one[-256:].reshape(4, 4, 16)
    wanted = np.roll(np.rot90(finest, -1), 4, axis=2)
    np.testing.assert_allclose(turned[-256:].reshape(4, 4, 16), wanted, atol=1e-9)


@given(st.integers(9, 70), st.integers(9, 70), st.integers(1, 4), st.integers(1, 20))
def test_levels_weigh_the_same_at_any_size(height, width, levels, bins):
    image = gaussian_filter(np.random.default_rng(0).normal(size=(height, width)), 1)
    pyramid = pyramid_of_gradients(image, levels, bins)
    assert pyramid.shape == ((4**levels - 1) // 3 * bins,) and (pyramid >= 0).all()
    bounds = np.cumsum([4**level * bins for level in range(levels)])[:-1]
    for part in np.split(pyramid, bounds):
        assert part.sum() == pytest.approx(1 / levels)


@given(st.floats(0.1, 100), st.floats(-50, 50))
def test_brightness_and_contrast_do_not_matter(contrast, brightness):
    image = picture(3)
    found = pyramid_of_gradients(contrast * image + brightness)
    np.testing.assert_allclose(found, pyramid_of_gradients(image), atol=1e-6)


def test_an_image_without_edges_gives_zeros():
    pyramid = pyramid_of_gradients(np.full((20, 20), 128, dtype=np.uint8))
    assert pyramid.shape == (1360,) and not pyramid.any()


def test_settings_that_do_not_suit():
    with pytest.raises(UserError, match="levels: 4 levels have 8 cells a side, more than an image"):
        pyramid_of_gradients(np.zeros((7, 30)))
    for levels, bins in [(0, 16), (4, 0)]:
        with pytest.raises(UserError, match="one level and one bin at least"):
            pyramid_of_gradients(np.zeros((30, 30)), levels, bins)


def test_the_lower_threshold_is_a_share_of_the_upper_one():
    """As in MATLAB: the upper one is passed by 30 % of the pixels, the lower one is 0.4 of it."""
    image = np.random.default_rng(0).normal(size=(64, 64)).cumsum(axis=0).cumsum(axis=1)
    by_quantile = canny(image, 2**0.5, low_threshold=0.4, high_threshold=0.7, use_quantiles=True)
    inside = gaussian(np.ones_like(image), 2**0.5, mode="constant")
    smooth = gaussian(image, 2**0.5, mode="constant") / inside
    upper = np.percentile(np.hypot(sobel(smooth, axis=0), sobel(smooth, axis=1)), 70)
    wanted = canny(image, 2**0.5, low_threshold=0.4 * upper, high_threshold=upper)
    edges = find_edges(image)
    assert np.array_equal(edges, wanted) and not np.array_equal(edges, by_quantile)
