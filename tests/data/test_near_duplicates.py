import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from scipy.fft import dctn

from neuron_pruning.data import near_duplicates
from neuron_pruning.data.near_duplicates import (
    near_duplicate_pairs,
    near_duplicate_sets,
    perceptual_hash,
    unite,
)


def to_hash(word):
    return f"{word:016x}"


@st.composite
def hashes_near_each_other(draw):
    """A few words and copies of them with some bits turned over."""
    words = draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4))
    copies = st.tuples(st.sampled_from(words), st.sets(st.integers(0, 63), max_size=12))
    near = [word ^ sum(1 << bit for bit in bits) for word, bits in draw(st.lists(copies))]
    return [to_hash(word) for word in draw(st.permutations([*words, *near]))]


def double_loop(hashes, distance):
    words = [int(text, 16) for text in hashes]
    return [
        (i, j)
        for i in range(len(words))
        for j in range(i + 1, len(words))
        if (words[i] ^ words[j]).bit_count() <= distance
    ]


@given(hashes_near_each_other(), st.integers(0, 64))
def test_pairs_are_those_of_the_double_loop(hashes, distance):
    assert near_duplicate_pairs(hashes, distance) == double_loop(hashes, distance)


def test_blocks_of_a_full_bucket_miss_no_pair(monkeypatch):
    monkeypatch.setattr(near_duplicates, "BLOCK_PAIRS", 12)
    hashes = [to_hash(word) for word in (0, 1, 3, 7, 0, 2**63, 5, 0)]
    assert near_duplicate_pairs(hashes, 1) == double_loop(hashes, 1)


def test_no_hashes_no_pairs():
    assert near_duplicate_pairs([], 8) == []
    assert near_duplicate_sets([]).tolist() == []


def test_united_items_have_the_first_member_of_their_set():
    assert unite(6, [(1, 4), (4, 5)]).tolist() == [0, 1, 2, 3, 1, 1]
    assert unite(5, [(2, 0)], ["a", "b", "c", "b", "d"]).tolist() == [0, 1, 0, 1, 4]
    assert unite(4, [], ["a", "a", "b", "c"], ["x", "y", "y", "z"]).tolist() == [0, 0, 0, 3]


@given(st.data(), st.integers(1, 12))
def test_sets_are_those_one_reaches_by_pairs(data, count):
    items = st.integers(0, count - 1)
    pairs = data.draw(st.lists(st.tuples(items, items), max_size=15))
    reach = np.eye(count, dtype=bool)
    for i, j in pairs:
        reach[i, j] = reach[j, i] = True
    for _ in range(count):
        reach = reach @ reach
    assert unite(count, pairs).tolist() == reach.argmax(axis=1).tolist()


def test_near_duplicate_sets_hold_together_over_steps_and_equals():
    chain = [to_hash(word) for word in (0b111111, 0, 0b111, 2**64 - 1, 0)]
    assert near_duplicate_sets(chain, 3).tolist() == [0, 0, 0, 3, 0]
    assert near_duplicate_sets(chain, 0).tolist() == [0, 1, 2, 3, 1]


def scene(shift=0, seed=0):
    """Some ellipses on a dark ground."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (240, 192), (20, 20, 30))
    for x, y, w, h, grey in rng.integers((0, 0, 30, 30, 60), (200, 150, 90, 90, 255), (8, 5)):
        box = tuple(int(v) for v in (x + shift, y, x + w + shift, y + h))
        ImageDraw.Draw(image).ellipse(box, fill=(int(grey),) * 3)
    return image


def apart(one, other):
    return (int(perceptual_hash(one), 16) ^ int(perceptual_hash(other), 16)).bit_count()


@pytest.mark.parametrize(
    "same",
    [scene(shift=1), scene().resize((480, 384)), scene().point(lambda v: int(0.8 * v)),
     scene().convert("L")],
)  # fmt: skip
def test_the_same_picture_moved_scaled_or_darker_is_near(same):
    assert apart(scene(), same) <= near_duplicates.DISTANCE


def test_other_pictures_are_far():
    others = [scene(seed=seed) for seed in range(1, 9)]
    assert min(apart(scene(), other) for other in others) > near_duplicates.DISTANCE


def test_the_hash_is_of_cosines_about_their_median():
    """Zauner, 2010: 8 x 8 lowest of the 32 x 32 cosine transform, row by row, first bit highest."""
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    low = dctn(pixels.astype(float))[:8, :8]
    bits = "".join("01"[int(value)] for value in (low > np.median(low)).ravel())
    assert perceptual_hash(Image.fromarray(pixels)) == f"{int(bits, 2):016x}"
