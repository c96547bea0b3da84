import numpy as np
import pytest

from describe_images import describe_dataset
from neuron_pruning import UserError
from neuron_pruning.baselines.descriptors import (
    DescriptorSettings,
    describe_image,
    describe_images,
    read_features,
    write_features,
)
from neuron_pruning.baselines.lpq import lpq_histogram
from neuron_pruning.baselines.phog import pyramid_of_gradients
from neuron_pruning.core.parquet import write_rows
from neuron_pruning.data.index import INDEX_SCHEMA

SMALL = DescriptorSettings(5, (2, 3), 3, 8)


@pytest.fixture
def faces():
    """Five random images of 32 x 40, uint8."""
    return np.random.default_rng(0).integers(0, 256, (5, 32, 40, 3), dtype=np.uint8)


def test_texture_stands_before_shape(faces):
    grey = faces[0] @ np.array([0.2125, 0.7154, 0.0721]) / 255
    vector = describe_image(faces[0], SMALL)
    assert vector.dtype == np.float32
    np.testing.assert_allclose(vector[:1536], lpq_histogram(grey, (2, 3), 5), atol=1e-7)
    np.testing.assert_allclose(vector[1536:], pyramid_of_gradients(grey, 3, 8), atol=1e-7)
    assert describe_image(faces[0], DescriptorSettings()).shape == (4096 + 1360,)


def test_threads_change_nothing(faces):
    one, two = (list(describe_images(faces, SMALL, threads)) for threads in (1, 2))
    np.testing.assert_array_equal(one, two)


def test_features_are_read_as_written_and_gaps_stay(tmp_path):
    features = np.array([[1.5, 2], [np.nan, np.nan], [0, -1]])
    write_features(tmp_path / "f.parquet", ["a", "b", "c"], features)
    images, found = read_features(tmp_path / "f.parquet")
    assert images == ["a", "b", "c"] and found.dtype == np.float64
    np.testing.assert_array_equal(found, features)
    with pytest.raises(UserError, match="cannot be read"):
        read_features(tmp_path / "absent.parquet")


def test_the_rule_describes_every_row_of_the_array(faces, tmp_path):
    np.save(tmp_path / "a.npy", faces)
    blank = dict.fromkeys(INDEX_SCHEMA.names)
    rows = [{**blank, "position": n, "image": f"A/{n}.png", "label": "A"} for n in range(5)]
    write_rows(tmp_path / "i.parquet", rows, INDEX_SCHEMA)
    files = (tmp_path / "a.npy", tmp_path / "i.parquet", tmp_path / "f.parquet")
    mirrored = describe_dataset(*files, window=5, blocks=[2, 3], levels=3, bins=8, threads=2)
    images, features = read_features(tmp_path / "f.parquet")
    assert images == [f"A/{n}.png" for n in range(5)] and mirrored.metrics == {"images": 5}
    np.testing.assert_array_equal(features[3], describe_image(faces[3], SMALL))
    with pytest.raises(UserError, match="levels: 7 levels have 64 cells a side"):
        describe_dataset(*files, window=5, blocks=[2, 3], levels=7, bins=8)
