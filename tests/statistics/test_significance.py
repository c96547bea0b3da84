import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from neuron_pruning.core.errors import UserError
from neuron_pruning.statistics.significance import (
    better_than,
    corrected_t,
    discordant_p,
    holm,
    holm_together,
    majority_accuracy,
    mcnemar,
    of_counts,
    of_tests,
    p_words,
    paired_over_seeds,
    wilson,
    wilson_of_mean,
)

counts = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
p_lists = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def paired_predictions(both, first_only, second_only, neither):
    """Two vectors of correct predictions with these counts."""
    parts = [(True, True)] * both + [(True, False)] * first_only + [(False, True)] * second_only
    pairs = np.array(parts + [(False, False)] * neither)
    return pairs[:, 0], pairs[:, 1]


# Wilson's interval: Newcombe (1998), Statistics in Medicine 17, Table I, method 3
@pytest.mark.parametrize(
    ("right", "images", "wanted"),
    [
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
        (10, 20, (0.2993, 0.7007)),
        (20, 20, (0.8389, 1.0)),
    ],
)
def test_wilson_of_textbooks(right, images, wanted):
    assert wilson(right, images) == pytest.approx(wanted, abs=5e-5)


@given(counts, st.floats(0.5, 0.99))
def test_wilson_holds_the_share_and_stays_a_share(count, level):
    right, images = count
    low, high = wilson(right, images, level)
    assert 0 <= low <= right / images <= high <= 1
    assert low < high


@given(counts, st.integers(2, 20))
def test_wilson_narrows_with_images(count, times):
    right, images = count
    few, many = wilson(right, images), wilson(right * times, images * times)
    assert many[1] - many[0] < few[1] - few[0]


@given(counts)
def test_wilson_widens_with_its_level(count):
    narrow, wide = wilson(*count, level=0.8), wilson(*count, level=0.99)
    assert wide[0] <= narrow[0] and narrow[1] <= wide[1]


def test_interval_of_a_mean_is_as_wide_as_one_test_set():
    assert wilson_of_mean([0.2, 0.4], 135) == pytest.approx(wilson(0.3 * 135, 135))
    assert wilson_of_mean([0.3] * 9, 135) == pytest.approx(wilson_of_mean([0.3], 135))


def test_nothing_to_judge_by_is_reported():
    for call in (
        lambda: wilson(0, 0),
        lambda: better_than(0, 0, 0.1),
        lambda: mcnemar([], []),
        lambda: majority_accuracy(["a"], []),
        lambda: majority_accuracy([], ["a"]),
    ):
        with pytest.raises(UserError, match="no test images"):
            call()
    with pytest.raises(UserError, match="no seeds"):
        wilson_of_mean([], 135)
    with pytest.raises(UserError, match="7 correct predictions of 5"):
        wilson(7, 5)
    with pytest.raises(UserError, match="between 0 and 1"):
        better_than(1, 5, 19.0)


def test_binomial_tests_by_hand():
    assert better_than(4, 4, 0.5) == pytest.approx(1 / 16)
    assert better_than(0, 4, 0.5) == 1
    assert better_than(2, 3, 0.25) == pytest.approx(3 * 0.25**2 * 0.75 + 0.25**3)


@given(counts, st.floats(0.01, 0.99))
def test_more_right_answers_are_better(count, share):
    right, images = count
    assume(right < images)
    assert better_than(right + 1, images, share) <= better_than(right, images, share)


# Binomial tails by hand: 2 (1 + 10) / 2^10, 2 (1 + 6 + 15) / 2^6, 2 / 2^12
@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [(1, 9, 22 / 1024), (2, 4, 44 / 64), (12, 0, 2 / 4096), (5, 5, 1.0), (0, 0, 1.0)],
)
def test_mcnemar_exact(first, second, wanted):
    found = mcnemar(*paired_predictions(3, first, second, 4))
    assert (found.first_only, found.second_only, found.images) == (
        first,
        second,
        first + second + 7,
    )
    assert found.p == pytest.approx(wanted)
    assert found.difference == pytest.approx((first - second) / found.images)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_mcnemar_is_symmetric(pairs):
    first, second = np.array(pairs).T
    one, other = mcnemar(first, second), mcnemar(second, first)
    assert one.p == other.p and one.difference == -other.difference
    assert one.p == discordant_p(one.second_only, one.first_only) <= 1


def test_answers_to_other_images_do_not_pair():
    with pytest.raises(UserError, match="same test images"):
        mcnemar([True, False], [True])
    with pytest.raises(UserError, match="same seeds"):
        paired_over_seeds([[True]], [], 0.25)


def test_holm_of_a_textbook():
    """Holm (1979): sorted p times 4, 3, 2, 1, never falling."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_agrees_with_statsmodels():
    values = np.random.default_rng(0).uniform(0, 0.2, 9)
    assert holm(values) == pytest.approx(multipletests(values, method="holm")[1])


def test_a_family_does_not_shrink_where_a_test_has_no_p():
    found = holm([0.01, np.nan, 0.04])
    assert found[[0, 2]] == pytest.approx([0.03, 0.08]) and np.isnan(found[1])
    assert holm([0.01], tests=5) == pytest.approx([0.05])
    assert np.isnan(holm([np.nan])).all() and holm([]).size == 0


@given(p_lists)
def test_holm_never_helps_and_keeps_the_order(values):
    raw, adjusted = np.array(values), holm(values)
    assert (adjusted >= raw).all() and (adjusted <= 1).all()
    assert (np.diff(adjusted[raw.argsort(kind="stable")]) >= 0).all()
    assert adjusted.min() == pytest.approx(min(1, raw.size * raw.min()))


def test_corrected_t_by_hand():
    """Differences 1, 2, 3: mean 2, variance 1, so t = 2 / sqrt(1/3 + 1/4) with 2 degrees."""
    found = corrected_t([0.01, 0.02, 0.03], 0.25)
    t = 2 / np.sqrt(1 / 3 + 1 / 4)
    assert found.difference == pytest.approx(0.02)
    assert found.p == pytest.approx(1 - t / np.sqrt(2 + t**2))  # Student's tail at 2 degrees
    half = 4.302653 * 0.01 * np.sqrt(1 / 3 + 1 / 4)
    assert (found.low, found.high) == pytest.approx((0.02 - half, 0.02 + half), abs=1e-7)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=8), st.floats(0.01, 2))
def test_overlap_makes_the_corrected_test_more_careful(values, ratio):
    assume(np.ptp(values) > 1e-6)
    assert corrected_t(values, ratio).p >= corrected_t(values, 0).p
    assert corrected_t(values, ratio).p == pytest.approx(corrected_t([-v for v in values], ratio).p)


def test_seeds_without_spread_give_no_test():
    assert np.isnan(corrected_t([0.1], 0.25).p) and corrected_t([0.1], 0.25).difference == 0.1
    assert np.isnan(corrected_t([0.1, 0.1, 0.1], 0.25).p)
    assert corrected_t([0.0, 0.0], 0.25).p == 1


WORSE = paired_predictions(20, 0, 14, 101)
EQUAL = paired_predictions(30, 3, 3, 99)


def over(*seeds):
    return paired_over_seeds([s[0] for s in seeds], [s[1] for s in seeds], 0.25)


def test_each_seed_is_corrected_for_the_others():
    paired = over(WORSE, EQUAL, EQUAL)
    assert paired.adjusted == pytest.approx((3 * 2 / 2**14, 1, 1))
    assert (paired.better, paired.worse) == (0, 1)
    assert paired.p == pytest.approx(3 * 2 / 2**14)
    assert paired.difference == pytest.approx(-14 / 135 / 3)
    assert over(EQUAL, EQUAL).p == 1


def test_a_table_is_corrected_as_a_whole():
    single = over(WORSE)
    together = holm_together([single, over(EQUAL), over(EQUAL)])
    assert single.adjusted == pytest.approx((2 / 2**14,))
    assert together[0].adjusted == pytest.approx((3 * 2 / 2**14,))
    assert [len(p.adjusted) for p in holm_together([over(WORSE, EQUAL), single])] == [2, 1]


def test_a_network_compared_with_itself_is_no_test():
    nothing = of_tests([of_counts(0, 0, 135, same=True)] * 2, 0.25)
    alone, _ = holm_together([over(WORSE), nothing])
    assert alone.adjusted == pytest.approx((2 / 2**14,)) and nothing.adjusted == (1, 1)


@pytest.mark.parametrize(
    ("p", "wanted"),
    [
        (0.0, "p < 0.001"),
        (0.00099, "p < 0.001"),
        (0.0021, "p = 0.002"),
        (0.031, "p = 0.03"),
        (0.0496, "p = 0.0496"),
        (0.0512, "p = 0.051"),
        (0.05, "p = 0.05"),
        (0.26, "p = 0.26"),
        (1.0, "p = 1.00"),
        (float("nan"), "no test"),
    ],
)
def test_p_values_as_a_reader_sees_them(p, wanted):
    assert p_words(p) == wanted


def test_majority_of_training_not_of_test():
    assert majority_accuracy(["a", "a", "b"], ["b", "b", "b", "a"]) == 0.25
    assert majority_accuracy(["b", "a"], ["a", "b", "b"]) == pytest.approx(1 / 3)
    assert majority_accuracy([2, 2, 0], [2, 2, 0]) == pytest.approx(2 / 3)
