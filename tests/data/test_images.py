import threading

import numpy as np
import pytest
import torch

from neuron_pruning import UserError
from neuron_pruning.data.images import ImageReader, batches, normalise, open_array

CPU = torch.device("cpu")


@pytest.mark.parametrize("resident", [False, True])
def test_pieces_come_normalised_in_their_order(images, resident):
    positions = np.array([7, 1, 5, 2])
    reader = ImageReader(images, CPU, positions, room=np.inf if resident else -1)
    assert reader.resident == resident
    pieces = list(reader.read([np.array([3, 0]), np.array([2])]))
    expected = images[[2, 7, 5]].astype(np.float64) / 127.5 - 1
    found = torch.cat(pieces).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert [len(piece) for piece in pieces] == [2, 1]
    assert pieces[0].is_contiguous(memory_format=torch.channels_last)


def test_images_stay_on_a_device_only_where_they_fit(images):
    size = images[:5].nbytes
    rows = np.arange(5)
    assert ImageReader(images, CPU, rows, room=size).resident
    assert not ImageReader(images, CPU, rows, room=size - 1).resident
    assert not ImageReader(images, CPU, rows).resident


def test_the_next_piece_is_read_while_this_one_is_used(images):
    asked = []
    reader = ImageReader(images, CPU)

    def pieces():
        for row in range(4):
            asked.append(row)
            yield np.array([row])

    stream = reader.read(pieces())
    next(stream)
    assert asked == [0, 1]


def test_leaving_early_stops_the_thread(images):
    stream = ImageReader(images, CPU).read(np.array([row]) for row in range(12))
    next(stream)
    stream.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("images")]


def test_a_row_that_is_not_there_is_an_error(images):
    with pytest.raises(IndexError):
        list(ImageReader(images, CPU).read([np.array([99])]))


def test_the_map_is_read_without_touching_the_file(tmp_path, images):
    path = tmp_path / "images.npy"
    np.save(path, images)
    array = open_array(path)
    assert isinstance(array, np.memmap) and not array.flags.writeable
    assert next(ImageReader(array, CPU).read([np.array([0])])).shape == (1, 3, 128, 130)
    path.write_bytes(b"no array")
    with pytest.raises(UserError, match="delete it, run again"):
        open_array(path)


def test_a_map_larger_than_memory_can_be_read(tmp_path):
    path = tmp_path / "sparse.npy"
    count = 2**40 // (128 * 130 * 3)  # a terabyte of holes
    try:
        np.lib.format.open_memmap(path, "w+", np.uint8, (count, 128, 130, 3))
    except OSError:
        pytest.skip("the disk takes no sparse file of a terabyte")
    (last,) = ImageReader(open_array(path), CPU).read([np.array([count - 1])])
    assert last.shape == (1, 3, 128, 130) and last.eq(-1).all()


def test_bytes_become_minus_one_to_one():
    assert normalise(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1, 1]
    assert [list(b) for b in batches(np.arange(5), 2)] == [[0, 1], [2, 3], [4]]
