import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits
from torch import nn

from neuron_pruning import UserError
from neuron_pruning.any_network import moments
from neuron_pruning.any_network.moments import (
    Accumulator,
    Request,
    _at_once,
    collect,
    patches,
    reading,
    representative_rows,
)
from neuron_pruning.core.errors import NotFinite


def moments_of(rows):
    accumulator = Accumulator("layer")
    accumulator.add(torch.from_numpy(rows))
    return accumulator.moments


def assert_stands_for(rows):
    found = representative_rows(moments_of(rows))
    scale = max(1.0, float(np.abs(rows).max()) ** 2)
    np.testing.assert_allclose(found.mean(axis=0), rows.mean(axis=0), atol=1e-11 * scale)
    np.testing.assert_allclose(
        found.T @ found / len(found), rows.T @ rows / len(rows), atol=1e-11 * scale
    )


def test_a_channel_that_never_varies_has_no_spread_however_small_it_is():
    rows = np.column_stack([np.full(9, 1e-30), np.arange(9.0), np.arange(9.0) ** 2])
    assert np.ptp(representative_rows(moments_of(rows))[:, 0]) == 0.0


@given(st.integers(1, 30), st.integers(1, 8), st.integers(1, 8), st.integers(0, 10**6))
def test_representative_rows_have_the_mean_and_gram_matrix_whatever_the_rank(
    rows, channels, rank, seed
):
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(rows, rank)) @ generator.normal(size=(rank, channels))
    assert_stands_for(values + generator.normal(size=channels))


@pytest.mark.parametrize(
    "rows",
    [
        np.zeros((5, 3)),
        np.full((4, 2), 7.0),
        np.array([[1.0, -2.0, 0.0]]),
        np.column_stack([np.full(6, 3.0), np.arange(6.0), 1e-8 * np.arange(6.0) ** 2]),
        np.ones((3, 1)),
    ],
    ids=["zeros", "constants", "one row", "unlike sizes", "one channel"],
)
def test_representative_rows_of_odd_rows(rows):
    assert_stands_for(rows)


def test_representative_rows_are_one_more_than_the_rank():
    rows = np.random.default_rng(0).normal(size=(20, 60))
    assert representative_rows(moments_of(rows)).shape == (20, 60)
    assert representative_rows(moments_of(rows[:, :5])).shape == (6, 5)
    assert representative_rows(moments_of(np.ones((20, 5)))).shape == (2, 5)
    assert_stands_for(rows)


def test_products_are_those_of_the_rows_about_their_mean_above_the_diagonal_too():
    rows = np.random.default_rng(0).normal(size=(50, 7)) + 100.0
    apart = rows - rows.mean(axis=0)
    found = moments_of(rows).products
    np.testing.assert_allclose(found, apart.T @ apart, atol=1e-11)
    np.testing.assert_array_equal(found, found.T)


@given(st.lists(st.integers(1, 12), min_size=1, max_size=8), st.integers(1, 40))
@settings(max_examples=30)
def test_moments_and_sample_do_not_depend_on_the_batches(sizes, sample):
    rows = torch.from_numpy(np.random.default_rng(0).normal(size=(sum(sizes), 4)))
    whole, parts = Accumulator("layer", sample, seed=3), Accumulator("layer", sample, seed=3)
    whole.add(rows)
    for part in rows.split(sizes):
        parts.add(part)
    for name in ("mean", "products", "low", "high"):
        one, other = getattr(whole.moments, name), getattr(parts.moments, name)
        np.testing.assert_allclose(one, other, atol=1e-12)
    assert whole.moments.rows == parts.moments.rows == len(rows)
    np.testing.assert_array_equal(whole.drawn, parts.drawn)
    assert len(whole.drawn) == min(sample, len(rows))


def test_the_sample_is_uniform_and_that_of_its_seed():
    rows = torch.arange(50.0)[:, None]
    counts = np.zeros(50)
    for seed in range(600):
        accumulator = Accumulator("layer", 10, seed)
        for part in rows.split(7):
            accumulator.add(part)
        counts[accumulator.drawn[:, 0].astype(int)] += 1
    # Each of 50 rows is expected 120 times, with a standard deviation of 9.8.
    assert (np.abs(counts - 120) < 45).all()
    assert counts.sum() == 6000


def test_moments_of_some_channels():
    rows = np.random.default_rng(0).normal(size=(9, 4))
    some, alone = moments_of(rows).of(np.array([3, 1])), moments_of(rows[:, [3, 1]])
    for name in ("mean", "products", "low", "high"):
        np.testing.assert_allclose(getattr(some, name), getattr(alone, name))


def taken_in(module, values, beside):
    how = reading("c", [np.arange(values.shape[1])])
    request = Request(how, Accumulator("rows", 30), Accumulator("patches"))
    request.take(module, values, beside)
    assert request.patches is not None
    return request.rows, request.patches


@pytest.mark.parametrize("cached", [1, 200, 10**6])
def test_what_is_taken_in_does_not_depend_on_how_much_of_it_at_once(monkeypatch, cached):
    module = nn.Conv2d(3, 4, 2, padding=1)
    values, beside = torch.randn(2, 9, 3, 4, 5)
    rows, seen = (
        torch.cat([read(module, each) for each in (values, beside)], dim=1).double().numpy()
        for read in (reading("c", [np.arange(3)]).rows, patches)
    )
    monkeypatch.setattr(moments, "CACHED", cached)
    found = taken_in(module, values, beside)
    for accumulator, expected in zip(found, (rows, seen), strict=True):
        for name in ("rows", "mean", "products", "low", "high"):
            one, other = getattr(accumulator.moments, name), getattr(moments_of(expected), name)
            np.testing.assert_allclose(one, other, atol=1e-10)
    assert found[0].drawn.shape == (30, 6)


def test_images_are_taken_in_together_as_far_as_the_cache_holds_them_or_as_rows_are_few():
    def sizes(*shape, **about):
        parts = _at_once([torch.empty(shape)], shape[1], **about)
        return [len(part) for (part,) in parts]

    assert sizes(8, 16, 64, 64) == [2, 2, 2, 2]
    assert sizes(8, 16, 64, 64, places=2) == [1] * 8
    assert sizes(8, 16, 128, 128) == [1] * 8
    assert sizes(300, 1024) == [300]


@pytest.mark.parametrize("odd", [float("nan"), float("inf")])
def test_values_that_are_no_numbers_are_refused_by_name_and_channel(odd):
    rows = torch.ones(4, 3)
    rows[2, 1] = odd
    accumulator = Accumulator("layer1.conv2")
    accumulator.add(rows)
    with pytest.raises(NotFinite, match=r"layer1\.conv2 reads NaN .*channel 1"):
        accumulator.moments  # noqa: B018


def test_no_rows_are_refused():
    with pytest.raises(UserError, match="give one at least"):
        Accumulator("layer").moments  # noqa: B018


@pytest.mark.parametrize(
    "settings_",
    [
        {},
        {"stride": 2},
        {"dilation": 2},
        {"padding": 1},
        {"padding": (0, 2), "stride": (2, 1)},
        {"padding": "same", "dilation": 2},
        {"padding": 1, "padding_mode": "reflect"},
        {"padding": 1, "padding_mode": "circular"},
    ],
    ids=str,
)
def test_patches_times_weights_are_what_the_convolution_computes(settings_):
    torch.manual_seed(0)
    module = nn.Conv2d(3, 5, (3, 2), **settings_).double()
    values = torch.randn(2, 3, 9, 8, dtype=torch.float64)
    with torch.no_grad():
        expected = module(values).movedim(1, -1).flatten(0, -2)
        found = patches(module, values) @ module.weight.flatten(1).T + module.bias
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-12)


def test_a_strided_one_by_one_convolution_is_read_where_it_looks():
    module = nn.Conv2d(3, 4, 1, stride=2)
    values = torch.randn(2, 3, 5, 5)
    rows = reading("c", [np.arange(3)]).rows(module, values)
    assert rows.shape == (2 * 9, 3)
    assert torch.equal(rows[1], values[0, :, 0, 2])


def test_flattened_maps_are_read_a_row_per_place():
    how = reading("fc", [np.repeat(np.arange(2), 3)])
    rows = how.rows(nn.Linear(6, 1), torch.arange(6.0)[None])
    assert rows.tolist() == [[0, 3], [1, 4], [2, 5]]


def test_units_with_unlike_numbers_of_columns_are_no_rows():
    with pytest.raises(UserError, match="fc reads units with unlike numbers of columns"):
        reading("fc", [np.array([0, 0, 1])])


def test_a_pass_ends_at_the_last_consumer_that_is_asked_for():
    ran = []
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5), nn.Linear(5, 2))
    model[2].register_forward_hook(lambda *_: ran.append(1))
    request = Request(reading("1", [np.arange(4)]), Accumulator("1"))
    collect(model, [torch.ones(2, 3), torch.ones(3, 3)], {"1": request})
    assert request.rows.moments.rows == 5
    assert not ran
    assert not model[1]._forward_pre_hooks


def test_numpys_threads_leave_the_cores_to_torch_during_a_pass():
    seen = []

    def threads():
        return [p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"]

    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5))
    model[0].register_forward_hook(lambda *_: seen.extend(threads()))
    before = threads()
    request = Request(reading("1", [np.arange(4)]), Accumulator("1"))
    with threadpool_limits(2, user_api="blas"):
        collect(model, [torch.ones(2, 3)], {"1": request})
    assert seen
    assert set(seen) == {1}
    assert threads() == before
