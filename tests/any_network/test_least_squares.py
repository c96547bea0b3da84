"""Least squares from moments are NumPy's on the rows, quick where no direction is weak."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neuron_pruning.any_network import least_squares
from neuron_pruning.any_network.least_squares import refit
from neuron_pruning.any_network.moments import Accumulator
from neuron_pruning.pruning.compensations import LSTSQ_RCOND


def moments_of(rows):
    accumulator = Accumulator("layer")
    accumulator.add(torch.from_numpy(rows))
    return accumulator.moments


def on_rows(outgoing, rows, leaves, constant):
    """What least squares give by NumPy."""
    columns = np.column_stack([rows[:, ~leaves], np.ones(len(rows))[:, None][:, : int(constant)]])
    factors = np.linalg.lstsq(columns, rows[:, leaves] @ outgoing[:, leaves].T, rcond=LSTSQ_RCOND)
    found, kept = factors[0].T, int((~leaves).sum())
    weight = np.where(leaves, 0.0, outgoing)
    weight[:, ~leaves] += found[:, :kept]
    return weight, found[:, kept] if constant else np.zeros(len(outgoing))


def assert_same(rows, leaves, constant, digits=1e-8):
    outgoing = np.random.default_rng(1).normal(size=(3, rows.shape[1]))
    found = refit(outgoing, moments_of(rows), leaves, constant)
    weight, bias = on_rows(outgoing, rows, leaves, constant)
    np.testing.assert_allclose(found.weight, weight, atol=digits)
    np.testing.assert_allclose(found.bias, bias, atol=digits)


def random_rows(rows, columns, rank, seed):
    generator = np.random.default_rng(seed)
    made = generator.normal(size=(rows, rank)) @ generator.normal(size=(rank, columns))
    return made / np.sqrt(rank) + generator.normal(size=columns)


@given(
    st.integers(2, 40), st.integers(2, 9), st.integers(1, 9), st.integers(1, 8), st.booleans(),
    st.integers(0, 10**6),
)  # fmt: skip
def test_weights_are_those_of_least_norm_on_the_rows(rows, columns, rank, gone, constant, seed):
    leaves = np.arange(columns) < min(gone, columns - 1)
    made = random_rows(rows, columns, rank, seed)
    assert_same(np.random.default_rng(seed).permutation(made.T).T, leaves, constant, 1e-5)


ROWS = random_rows(40, 5, 5, seed=0)
LEAVES = np.array([True, False, False, False, False])
ODD = {
    "dead": ROWS * [1, 1, 0, 1, 1],
    "saturated": np.where(np.arange(5) == 2, 1.0, ROWS),
    "clone": ROWS[:, [0, 1, 1, 3, 4]],
    "nearly a clone": ROWS[:, [0, 1, 1, 3, 4]] + 1e-9 * ROWS[:, [2]] * (np.arange(5) == 2),
    "few rows": ROWS[:3],
    "one row": ROWS[:1],
    "all dead": ROWS * [1, 0, 0, 0, 0],
    "zeros": np.zeros((4, 5)),
    "unlike sizes": ROWS * [1, 1e-4, 1, 1, 10],
}


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("rows", ODD.values(), ids=ODD.keys())
def test_weights_of_odd_rows(rows, constant):
    assert_same(rows, LEAVES, constant)


@pytest.mark.parametrize("constant", [True, False])
def test_eigenvalues_are_for_weak_directions_alone(monkeypatch, constant):
    class Asked(Exception):
        pass

    def eigh(matrix):
        raise Asked

    monkeypatch.setattr(least_squares.np.linalg, "eigh", eigh)
    for name in ("dead", "unlike sizes"):
        assert_same(ODD[name], LEAVES, constant)
    for name in ("clone", "nearly a clone", "few rows"):
        with pytest.raises(Asked):
            assert_same(ODD[name], LEAVES, constant)
