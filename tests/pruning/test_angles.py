from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neuron_pruning import pairwise_angles, select_units
from neuron_pruning.pruning.angles import BLOCK_ROWS

DATA = Path(__file__).parent / "oracles"
sigmoids = arrays(
    np.float64,
    st.tuples(st.integers(2, 12), st.integers(2, 9)),
    elements=st.floats(0, 1, width=32),
)


@pytest.fixture
def worked_example():
    """Activations of Gedeon & Harris's worked example, 16 patterns x 6 units."""
    frame = pd.read_csv(DATA / "gedeon_harris_1991_activations.csv")
    return frame.drop(columns="pattern").to_numpy()


def test_worked_example_angles(worked_example):
    angles = pairwise_angles(worked_example)
    table = pd.read_csv(DATA / "gedeon_harris_1991_angles.csv")
    found = angles[table["unit_a"] - 1, table["unit_b"] - 1]
    np.testing.assert_allclose(found, table["recomputed_degrees"], atol=1e-3)
    assert angles.dtype == np.float64
    assert np.abs(found - table["published_degrees"]).max() < 1.3


def test_worked_example_selection(worked_example):
    selection = select_units(worked_example, 15)
    assert [(r.unit, r.rule, r.partner) for r in selection.removals] == [
        (5, "similar", 4),
        (3, "similar", 0),
        (0, "complementary", 4),
        (4, "complementary", 0),
    ]
    assert selection.kept == (1, 2)
    assert selection.largest_similar_angle == pytest.approx(8.2275, abs=1e-3)


@given(sigmoids)
def test_angles_are_symmetric_bounded_and_never_nan(activations):
    angles = pairwise_angles(activations)
    np.testing.assert_array_equal(angles, angles.T)
    np.testing.assert_array_equal(np.diag(angles), 0)
    assert ((angles >= 0) & (angles <= 180)).all()


@given(sigmoids, st.randoms(use_true_random=False))
def test_permuting_units_permutes_angles(activations, random):
    order = list(range(activations.shape[1]))
    random.shuffle(order)
    permuted = pairwise_angles(activations[:, order])
    np.testing.assert_allclose(
        permuted, pairwise_angles(activations)[np.ix_(order, order)], atol=1e-5
    )


def test_known_angles():
    a = np.array([[1.0, 1.0, 0.0, 0.5], [1.0, 0.5, 0.0, 1.0]])
    np.testing.assert_allclose(pairwise_angles(a)[0], [0, 45, 180, 45], atol=1e-6)
    assert pairwise_angles(a, "none")[1, 3] == pytest.approx(np.degrees(np.arccos(0.8)))
    assert pairwise_angles(a, "mean")[1, 3] == pytest.approx(180)


def test_vector_without_direction_is_far_from_everything():
    a = np.array([[0.5, 0.9, 0.5], [0.5, 0.1, 0.5]])
    np.testing.assert_array_equal(pairwise_angles(a)[0], [0, 90, 90])


def test_blocks_join_without_a_seam():
    a = np.random.default_rng(0).random((3, BLOCK_ROWS + 5))
    c = a - 0.5
    c /= np.linalg.norm(c, axis=0)
    wanted = np.degrees(np.arccos(np.clip(c.T @ c, -1, 1)))
    np.fill_diagonal(wanted, 0)
    np.testing.assert_allclose(pairwise_angles(a), wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("activations", "message"),
    [
        ([[0.1, np.nan], [0.1, 0.2]], "unit 1 are NaN"),
        ([[np.inf, 0.1], [0.3, 0.1]], "unit 0 are NaN or infinite"),
        ([[0.1], [0.2]], "not 2 patterns x 1 units"),
        (np.zeros((1, 3)), "not 1 patterns x 3 units"),
        ([0.1, 0.2], "2|dimensional"),
    ],
)
def test_bad_activations_are_refused(activations, message):
    with pytest.raises(ValueError, match=message):
        pairwise_angles(activations)


def test_unknown_centring_is_refused():
    with pytest.raises(ValueError, match="centring"):
        pairwise_angles([[0.1, 0.2], [0.3, 0.1]], "median")
