from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_pruning import UserError
from neuron_pruning.splits import split_images

LABELS = ["a"] * 30 + ["b"] * 70
GROUPS = [f"g{n // 7}" for n in range(100)]
protocols = st.sampled_from(["random", "stratified", "clip", "movie"])


@given(protocols, st.integers(0, 1000))
def test_a_fifth_is_for_testing_and_seeds_repeat(protocol, seed):
    test = split_images(LABELS, GROUPS, protocol, 0.2, seed)
    assert np.array_equal(test, split_images(LABELS, GROUPS, protocol, 0.2, seed))
    if protocol in ("random", "stratified"):
        assert test.sum() == 20
    else:
        assert 13 < test.sum() <= 20


@given(st.integers(0, 1000))
def test_no_group_is_on_both_sides(seed):
    test = split_images(LABELS, GROUPS, "clip", 0.3, seed)
    sides = {}
    for group, side in zip(GROUPS, test, strict=True):
        sides.setdefault(group, set()).add(bool(side))
    assert all(len(s) == 1 for s in sides.values())


@given(st.integers(0, 1000))
def test_stratified_keeps_the_shares(seed):
    test = split_images(LABELS, GROUPS, "stratified", 0.2, seed)
    assert Counter(np.asarray(LABELS)[test]) == {"a": 6, "b": 14}


def test_seeds_differ():
    one, other = (split_images(LABELS, GROUPS, "random", 0.2, seed) for seed in (0, 1))
    assert not np.array_equal(one, other)


def test_the_papers_split_of_675_images():
    assert split_images(["x"] * 675, ["y"] * 675, "random", 0.2, 0).sum() == 135


def test_impossible_splits():
    with pytest.raises(UserError, match=r"split.protocol must be one of"):
        split_images(LABELS, GROUPS, "leave-one-out", 0.2, 0)
    with pytest.raises(UserError, match="0 of 100 images"):
        split_images(LABELS, ["one"] * 100, "movie", 0.2, 0)
