"""Intervals and tests that draw clips and seeds again."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_pruning.statistics.resampling import (
    FLIPS,
    Resampling,
    clips_of,
    ends,
    packed,
    smallest_p,
    unpacked,
)
from neuron_pruning.statistics.significance import discordant_p


def right(*seeds):
    """One draw per seed."""
    return {seed: np.array([found], np.float32) for seed, found in enumerate(seeds)}


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_outcomes_come_back_as_they_were(outcome):
    found = unpacked([packed(np.array(outcome))] * 2, len(outcome))
    assert found.tolist() == [outcome, outcome]
    assert len(packed(np.array(outcome))) == -(-len(outcome) // 8)


@pytest.mark.parametrize(("first_only", "second_only"), [(10, 1), (12, 5), (3, 3), (6, 0)])
def test_one_seed_without_clips_is_mcnemars_test(first_only, second_only):
    a = [1] * first_only + [0] * second_only + [1] * 20
    b = [0] * first_only + [1] * second_only + [1] * 20
    images = Resampling({0: np.arange(len(a))})
    by_clip = images.by_clip(right(a), right(b))[None]
    wanted = discordant_p(first_only, second_only)
    assert images.p_values(by_clip).item() == pytest.approx(wanted, abs=0.012)


def test_an_image_of_two_seeds_counts_once():
    """Six images better: tested by one seed, and by two seeds, which know no more images."""
    better, worse = [1] * 6 + [0] * 6, [0] * 12
    once, twice = Resampling({0: np.arange(12)}), Resampling({s: np.arange(12) for s in (0, 1)})
    p = once.p_values(once.by_clip(right(better), right(worse))[None])
    again = twice.by_clip(right(better, better), right(worse, worse))[None]
    assert twice.p_values(again) == pytest.approx(p, abs=0.01)
    others = Resampling({0: np.arange(12), 1: 12 + np.arange(12)})
    apart = others.by_clip(right(better, better), right(worse, worse))[None]
    assert others.p_values(apart).item() < 0.1 * p.item()


def test_the_smallest_p_is_reached_where_all_clips_agree():
    images = Resampling({0: np.array([0, 0, 1, 2, 3, 4])})
    by_clip = images.by_clip(right([1] * 6), right([0] * 6))[None]
    assert smallest_p(by_clip) == pytest.approx(2 / 2**5)
    assert images.p_values(by_clip) == pytest.approx(2 / 2**5, abs=0.006)
    assert smallest_p(np.ones((1, 100))) == 1 / (FLIPS + 1) and smallest_p(np.zeros((1, 3))) == 1


def test_intervals_of_single_images_are_as_wide_as_the_binomial_says():
    images = Resampling({0: np.arange(200)})
    low, high = ends(images.accuracies(right([1, 0] * 100)))
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 200), rel=0.1)


def test_intervals_know_clips_seeds_and_draws():
    outcome = np.repeat([1, 0] * 10, 10)
    single = Resampling({0: np.arange(200)}).accuracies(right(outcome)).std()
    clips = Resampling({0: np.arange(200) // 10}).accuracies(right(outcome)).std()
    assert clips == pytest.approx(np.sqrt(10) * single, rel=0.15)
    same = {seed: np.arange(200) for seed in (0, 1)}
    steady = Resampling(same).accuracies(right([1, 0] * 100, [1, 0] * 100)).std()
    apart = Resampling(same).accuracies(right([1] * 200, [0] * 200)).std()
    assert apart > 5 * steady  # the seeds differ by more than images do
    draws = {0: np.array([[1] * 200, [0] * 200], np.float32)}
    assert Resampling({0: np.arange(200)}).accuracies(draws).std() > 0.3


def test_a_seed_whose_images_a_sample_lacks_does_not_count_there():
    images = Resampling({0: np.arange(2), 1: 2 + np.arange(2)})
    found = images.accuracies(right([1, 1], [1, 1]))
    assert np.isnan(found).any() and np.unique(found[~np.isnan(found)]) == 1


def test_clips_are_told_apart_over_all_seeds():
    tested = pd.DataFrame({"seed": [0, 0, 1, 1], "clip": ["a", "b", "b", "c"]})
    assert {s: found.tolist() for s, found in clips_of(tested).items()} == {0: [0, 1], 1: [1, 2]}
