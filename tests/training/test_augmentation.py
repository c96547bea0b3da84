import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from neuron_pruning import UserError
from neuron_pruning.training.augmentation import LARGEST_ERASED, AugmentationSettings, augment

EVERYTHING = AugmentationSettings(True, 0.3, 20.0, 0.4, 0.2, 0.5)
EACH = [
    {"flip": True},
    {"crop": 0.3},
    {"rotation": 20.0},
    {"colour": 0.4},
    {"grey": 0.5},
    {"erase": 0.9},
]


def images_of(count=6, height=24, width=30):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 3, height, width, generator=generator) * 2 - 1


def changed(images, seed=0, **chosen):
    generator = torch.Generator().manual_seed(seed)
    return augment(images, AugmentationSettings(**chosen), generator)


def test_nothing_to_change_changes_nothing_and_draws_nothing():
    images, generator = images_of(), torch.Generator().manual_seed(0)
    state = generator.get_state()
    assert augment(images, AugmentationSettings(), generator) is images
    assert torch.equal(generator.get_state(), state)


@pytest.mark.parametrize("chosen", EACH, ids=str)
def test_every_setting_changes_copies_the_same_way_for_the_same_seed(chosen):
    images = images_of()
    before = images.clone()
    first = changed(images, **chosen)
    assert not torch.equal(first, before) and torch.equal(images, before)
    assert torch.equal(first, changed(images, **chosen))
    assert not torch.equal(first, changed(images, seed=1, **chosen))
    assert first.shape == images.shape
    assert first.is_contiguous(memory_format=torch.channels_last)


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 5))
def test_what_happens_to_an_image_does_not_depend_on_its_batch(seed, cut):
    images = images_of()
    generator = torch.Generator().manual_seed(seed)
    pieces = [augment(piece, EVERYTHING, generator) for piece in images.split([cut, 6 - cut])]
    whole = augment(images, EVERYTHING, torch.Generator().manual_seed(seed))
    torch.testing.assert_close(torch.cat(pieces), whole, atol=1e-5, rtol=0)


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_values_stay_in_range(seed):
    found = augment(images_of(), EVERYTHING, torch.Generator().manual_seed(seed))
    assert found.isfinite().all() and found.abs().max() <= 1.0 + 1e-5


def test_a_flip_mirrors_about_half_of_the_images_and_leaves_the_rest():
    images = images_of(200, 8, 6)
    found = changed(images, flip=True)
    mirrored = [torch.allclose(a, b.flip(2), atol=1e-5) for a, b in zip(found, images, strict=True)]
    same = [torch.allclose(a, b, atol=1e-5) for a, b in zip(found, images, strict=True)]
    assert sum(mirrored) + sum(same) == 200
    assert 60 < sum(mirrored) < 140


def coordinates(height=32, width=48):
    """An image a channel of which is the place along x, another along y, from -1 to 1."""
    y, x = torch.meshgrid(
        (torch.arange(height) + 0.5) / height * 2 - 1,
        (torch.arange(width) + 0.5) / width * 2 - 1,
        indexing="ij",
    )
    return torch.stack([x, y, torch.zeros_like(x)])[None]


def test_a_crop_shows_a_part_of_the_image_no_smaller_than_asked():
    found = changed(coordinates().expand(100, -1, -1, -1), crop=0.4)
    along = found[:, 0, 16, 2:-2]
    step = along.diff(dim=1) * 48 / 2  # the share of the width that is left
    torch.testing.assert_close(step, step[:, :1].expand_as(step), atol=1e-3, rtol=0)
    assert 0.6 <= step.min() < 0.65 and 0.95 < step.max() <= 1.0
    down = found[:, 1, 2:-2, 24].diff(dim=1) * 32 / 2
    torch.testing.assert_close(down[:, 0], step[:, 0], atol=1e-3, rtol=0)
    assert found[:, 0].mean(dim=(1, 2)).abs().max() > 0.2  # and not always from the middle


def test_turning_keeps_shapes_in_images_that_are_not_square():
    found = changed(coordinates().expand(50, -1, -1, -1), rotation=30.0)
    x, y = found[:, 0] * 48 / 2, found[:, 1] * 32 / 2  # in pixels from the middle
    right = x[:, 16, 24] - x[:, 16, 23], y[:, 16, 24] - y[:, 16, 23]
    torch.testing.assert_close(torch.hypot(*right), torch.ones(50), atol=1e-3, rtol=0)
    angles = torch.rad2deg(torch.atan2(right[1], right[0]))
    assert angles.min() < -15 and angles.max() > 15 and angles.abs().max() <= 30
    assert x[:, 15:17, 23:25].mean(dim=(1, 2)).abs().max() < 1e-3  # about the middle


def test_without_colours_channels_are_equal_in_the_share_asked_for():
    found = changed(images_of(200, 4, 4), grey=0.3)
    grey = (found - found.mean(dim=1, keepdim=True)).abs().amax(dim=(1, 2, 3)) < 1e-5
    assert 30 < grey.sum() < 90


def test_colours_leave_mid_grey_near_the_middle_and_move_its_brightness():
    found = changed(torch.zeros(200, 3, 4, 4), colour=0.25)
    level = found.mean(dim=(1, 2, 3))
    torch.testing.assert_close(found, level[:, None, None, None].expand_as(found))
    assert level.abs().max() <= 0.25 and level.min() < -0.2 and level.max() > 0.2


def test_erased_is_one_rectangle_of_mid_grey():
    found = changed(torch.ones(200, 3, 20, 30), erase=0.5)
    assert set(found.unique().tolist()) == {0.0, 1.0}
    erased = found[:, 0] == 0
    hit = erased.any(dim=(1, 2))
    assert 60 < hit.sum() < 130
    rows, columns = erased.any(dim=2).sum(dim=1), erased.any(dim=1).sum(dim=1)
    assert torch.equal(erased.sum(dim=(1, 2)), rows * columns)
    assert rows.max() <= 20 * LARGEST_ERASED + 1 and columns.max() <= 30 * LARGEST_ERASED + 1
    assert torch.equal(found[:, 0], found[:, 2])


@pytest.mark.parametrize(
    "wrong",
    [{"crop": 1.0}, {"crop": -0.1}, {"colour": 1.5}, {"erase": 2}, {"grey": -1}, {"rotation": 200}],
    ids=str,
)
def test_settings_that_make_no_sense(wrong):
    with pytest.raises(UserError, match=rf"augmentation.{next(iter(wrong))} must be"):
        AugmentationSettings(**wrong)


def test_settings_are_off_unless_asked_for():
    assert not AugmentationSettings().draws
    for chosen in EACH:
        assert dataclasses.replace(AugmentationSettings(), **chosen).draws


def test_the_host_never_waits_for_a_gpu_to_get_the_draws(monkeypatch):
    pinned, copied = [], []

    class Copies(TorchDispatchMode):
        """Copies from the host, and whether it waits for them."""

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            kwargs = kwargs or {}
            if function is torch.ops.aten._to_copy.default and kwargs.get("device"):
                copied.append(kwargs["non_blocking"])
            assert function is not torch.ops.aten.lift_fresh.default or "device" not in kwargs
            return function(*args, **kwargs)

    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: pinned.append(self) or self)
    with FakeTensorMode(), Copies():
        images = torch.empty(4, 3, 24, 30, device="cuda")
        augment(images, EVERYTHING, torch.Generator())
    assert copied == [True, True] and len(pinned) == 2  # draws and luma
