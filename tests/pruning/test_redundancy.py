import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_pruning import pairwise_angles, select_units


def units_at(*degrees):
    """Activations of two patterns whose centred vectors point in these directions."""
    radians = np.radians(degrees)
    return 0.5 + 0.4 * np.array([np.cos(radians), np.sin(radians)])


def test_chain_loses_one_unit_not_two():
    selection = select_units(units_at(0, 10, 20), 15)
    assert [(r.unit, r.partner) for r in selection.removals] == [(1, 0)]


def test_closest_pair_goes_first_and_the_higher_index_goes():
    selection = select_units(units_at(0, 12, 20), 15)
    assert [(r.unit, r.partner) for r in selection.removals] == [(2, 1), (1, 0)]
    assert selection.removals[0].angle == pytest.approx(8)
    # Unit 2's weights travelled on to unit 0, 20 degrees away: wider than the threshold.
    assert selection.largest_similar_angle == pytest.approx(20)


def test_threshold_is_exclusive():
    activations = units_at(0, 15)
    exact = float(pairwise_angles(activations)[0, 1])
    assert select_units(activations, exact).removals == ()
    assert len(select_units(activations, exact + 1e-9).removals) == 1


def test_complementary_pair_goes_whole_or_in_half():
    activations = units_at(0, 90, 179)
    both = select_units(activations, 5)
    assert [(r.unit, r.rule, r.removes_both) for r in both.removals] == [
        (0, "complementary", True),
        (2, "complementary", True),
    ]
    lossless = select_units(activations, 5, complementary="lossless")
    assert [(r.unit, r.partner, r.removes_both) for r in lossless.removals] == [(2, 0, False)]


def test_short_and_constant_units():
    activations = np.array([[0.01, 0.5, 0.9, 0.7], [0.02, 0.5, 0.1, 0.71]])
    selection = select_units(activations, 1, constant_threshold=0.01)
    others = dict.fromkeys(["similar", "complementary", "group", "reverse", "ranked"], 0)
    assert selection.counts == {"short": 1, "constant": 2, **others}
    assert selection.kept == (2,)
    assert select_units(activations, 1, short_threshold=0).counts["short"] == 0


@pytest.mark.parametrize("complementary", ["both", "lossless"])
def test_identical_or_opposite_layers_keep_a_unit(complementary):
    for activations in (units_at(*[30] * 8), units_at(0, 180), np.full((4, 6), 0.5)):
        kept = select_units(activations, 15, complementary=complementary).kept
        assert len(kept) >= 1
    assert select_units(np.zeros((4, 6)), 15).kept == (5,)


@given(st.integers(2, 25), st.floats(1, 90), st.integers(0, 2**32 - 1))
def test_every_removed_unit_has_a_reason_that_holds(units, angle, seed):
    activations = np.random.default_rng(seed).random((3, units))
    angles = pairwise_angles(activations)
    selection = select_units(activations, angle)
    gone = [r.unit for r in selection.removals]
    assert len(gone) == len(set(gone))
    assert sorted([*gone, *selection.kept]) == list(range(units))
    for removal in selection.removals:
        if removal.rule == "similar":
            assert removal.partner < removal.unit
            assert angles[removal.unit, removal.partner] < angle
        elif removal.rule == "complementary":
            assert angles[removal.unit, removal.partner] > 180 - angle
    kept = list(selection.kept)
    between = angles[np.ix_(kept, kept)][np.triu_indices(len(kept), 1)]
    assert (between >= angle).all()


@given(st.integers(0, 2**32 - 1))
def test_wider_angles_never_keep_similar_pairs_that_narrow_ones_cut(seed):
    activations = np.random.default_rng(seed).random((3, 15))
    counts = [select_units(activations, t).counts["similar"] for t in (5, 20, 60)]
    assert counts == sorted(counts)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"angle": 0}, "angle"), ({"angle": 90.5}, "angle"), ({"complementary": "one"}, "lossless")],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        select_units(units_at(0, 50), **settings)
