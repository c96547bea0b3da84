import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from neuron_pruning import UserError
from neuron_pruning.any_network import images as images_module
from neuron_pruning.any_network.images import image_batches, prepared_pixels
from neuron_pruning.any_network.preprocessing import Preprocessing, torchvision_preprocessing

PLAIN = Preprocessing(8, 8, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def draw(path, value=0, size=(8, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, 0, 255 - value)).save(path)


def class_folder(folder, counts):
    """Class folders with images whose red says which one it is."""
    value = 0
    for name, count in counts.items():
        for number in range(count):
            draw(folder / name / f"{number:03}.png", value)
            value += 1
    return folder


def reds(batches):
    """Which images came, by their red."""
    return [round(float(image[0, 0, 0]) * 255) for images, _ in batches for image in images]


def test_class_folders_give_images_and_labels_as_often_as_asked(tmp_path):
    batches = image_batches(class_folder(tmp_path, {"dog": 3, "cat": 4}), PLAIN, batch_size=3)
    assert batches.classes == ("cat", "dog")
    assert len(batches) == 3
    for _ in range(2):
        pairs = list(batches)
        assert [len(images) for images, _ in pairs] == [3, 3, 1]
        assert all(images.dtype == torch.float32 for images, _ in pairs)
        assert all(labels.dtype == torch.int64 for _, labels in pairs)
        labels = torch.cat([labels for _, labels in pairs])
        # cat was drawn second: its reds begin at 3
        assert [int(red < 3) for red in reds(pairs)] == labels.tolist()
        assert sorted(reds(pairs)) == list(range(7))


def test_a_flat_folder_gives_images_alone(tmp_path):
    for value in (10, 200):
        draw(tmp_path / f"{value}.png", value)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "empty").mkdir()
    (only,) = image_batches(tmp_path, PLAIN)
    assert only.shape == (2, 3, 8, 8)
    assert sorted(round(float(image[0, 0, 0]) * 255) for image in only) == [10, 200]


def test_labels_may_be_left_out(tmp_path):
    (images,) = image_batches(class_folder(tmp_path, {"a": 2, "b": 2}), PLAIN, labelled=False)
    assert images.shape == (4, 3, 8, 8)


@given(
    counts=st.lists(st.integers(1, 6), min_size=1, max_size=5),
    limit=st.integers(1, 40),
    seed=st.integers(0, 3),
)
def test_a_sample_is_balanced_seeded_and_the_beginning_of_a_larger_one(
    tmp_path_factory, counts, limit, seed
):
    folder = tmp_path_factory.mktemp("classes")
    for place, count in enumerate(counts):
        (folder / f"c{place}").mkdir()
        for number in range(count):
            (folder / f"c{place}" / f"{number}.png").touch()  # not decoded here
    sample = image_batches(folder, PLAIN, limit=limit, seed=seed)
    whole = image_batches(folder, PLAIN, seed=seed)
    assert len(set(whole.files)) == sum(counts)
    assert sample.files == whole.files[:limit]
    assert [whole.classes[n] for n in whole.labels] == [file.parent.name for file in whole.files]
    found = [sample.labels.count(n) for n in range(len(counts))]
    least = (
        min(f for f, count in zip(found, counts, strict=True) if f < count)
        if (any(f < count for f, count in zip(found, counts, strict=True)))
        else max(found)
    )
    assert max(found) <= least + 1
    first, rest = whole.split(limit)
    assert first.files == sample.files
    assert first.files + rest.files == whole.files
    assert first.labels + rest.labels == whole.labels


def test_another_seed_gives_another_sample(tmp_path):
    folder = class_folder(tmp_path, {"a": 30, "b": 30})
    samples = [image_batches(folder, PLAIN, limit=10, seed=seed).files for seed in (0, 0, 1)]
    assert samples[0] == samples[1] != samples[2]


def test_given_classes_say_which_output_is_which(tmp_path):
    folder = class_folder(tmp_path, {"cat": 2, "dog": 1})
    batches = image_batches(folder, PLAIN, classes=["dog", "bird", "cat"])
    assert sorted(batches.labels) == [0, 2, 2]
    assert batches.classes == ("dog", "bird", "cat")
    for classes in (["dog", "bird"], ["dog", "cat", "cat"]):
        with pytest.raises(UserError, match=r"cat is not the name of one class.*Rename"):
            image_batches(folder, PLAIN, classes=classes)


def test_pixels_are_normalised_by_channel(tmp_path):
    draw(tmp_path / "x.png", 51)
    preprocessing = Preprocessing(8, 8, (0.1, 0.2, 0.3), (0.5, 0.25, 2.0))
    (images,) = image_batches(tmp_path, preprocessing)
    expected = torch.tensor([(0.2 - 0.1) / 0.5, (0 - 0.2) / 0.25, (0.8 - 0.3) / 2])
    torch.testing.assert_close(images[0, :, 3, 5], expected)
    assert images.is_contiguous()


def test_grey_networks_read_grey_images(tmp_path):
    Image.new("L", (8, 8), 51).save(tmp_path / "x.png")
    (images,) = image_batches(tmp_path, Preprocessing(8, 8, (0.0,), (1.0,)))
    torch.testing.assert_close(images, torch.full((1, 1, 8, 8), 0.2))


def test_images_are_turned_upright_and_of_eight_bits(tmp_path):
    upright = Image.fromarray(np.arange(96, dtype=np.uint8).reshape(4, 8, 3))
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.rotate(90, expand=True).save(tmp_path / "a.png", exif=exif)
    Image.fromarray(np.full((4, 8), 40_000, np.uint16)).save(tmp_path / "b.png")
    preprocessing = Preprocessing(4, 8, (0.0,) * 3, (1.0,) * 3)
    batches = image_batches(tmp_path, preprocessing)
    images = dict(zip((file.name for file in batches.files), next(iter(batches)), strict=True))
    turned = images["a.png"].permute(1, 2, 0).mul(255).round().byte().numpy()
    np.testing.assert_array_equal(turned, np.asarray(upright))
    torch.testing.assert_close(images["b.png"], torch.full((3, 4, 8), (40_000 >> 8) / 255))


@given(
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    before=st.integers(8, 40),
    crop=st.integers(1, 8),
    interpolation=st.sampled_from(["bilinear", "bicubic", "nearest"]),
)
def test_resizing_is_that_of_torchvision(size, before, crop, interpolation):
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8))
    transforms = torchvision.transforms._presets.ImageClassification(
        crop_size=crop,
        resize_size=before,
        interpolation=torchvision.transforms.InterpolationMode(interpolation),
    )
    pixels = torch.from_numpy(prepared_pixels(image, torchvision_preprocessing(transforms)).copy())
    mean, std = (torch.tensor(values) for values in (transforms.mean, transforms.std))
    found = ((pixels.float() / 255 - mean) / std).permute(2, 0, 1)
    torch.testing.assert_close(found, transforms(image))


@given(
    size=st.tuples(st.integers(1, 500), st.integers(1, 500)),
    wanted=st.tuples(st.integers(1, 300), st.integers(1, 300)),
)
def test_a_resized_image_covers_what_is_asked_for_and_no_more(size, wanted):
    preprocessing = Preprocessing(*wanted, (0.0,) * 3, (1.0,) * 3)
    resized = preprocessing.resized(*size)
    assert all(side >= least for side, least in zip(resized, wanted, strict=True))
    assert any(side == least for side, least in zip(resized, wanted, strict=True))


def test_a_crop_beyond_the_image_is_black_and_stretching_keeps_no_ratio():
    white = Image.new("RGB", (4, 4), (255, 255, 255))
    beyond = Preprocessing(8, 8, (0.0,) * 3, (1.0,) * 3, resize=(4, 4))
    pixels = prepared_pixels(white, beyond)
    assert pixels[2:6, 2:6].min() == 255
    assert pixels.sum() == 16 * 3 * 255
    stretched = Preprocessing(2, 6, (0.0,) * 3, (1.0,) * 3, stretch=True)
    assert prepared_pixels(white, stretched).shape == (2, 6, 3)
    assert stretched.resized(100, 100) == (2, 6)


def test_one_batch_is_decoded_at_a_time(tmp_path, monkeypatch):
    folder = class_folder(tmp_path, {"a": 5, "b": 5})
    read = []
    original = images_module.read_file
    monkeypatch.setattr(images_module, "read_file", lambda p: read.append(p) or original(p))
    batches = iter(image_batches(folder, PLAIN, batch_size=4))
    assert not read
    next(batches)
    assert len(read) == 4


@pytest.mark.parametrize(("limit", "decoded"), [(2000, 10), (4 * 8 * 8 * 3, 16), (0, 20)])
def test_pixels_that_fit_into_memory_are_decoded_once(tmp_path, monkeypatch, limit, decoded):
    batches = image_batches(class_folder(tmp_path, {"a": 5, "b": 5}), PLAIN, batch_size=4)
    read, original = [], images_module.read_file
    monkeypatch.setattr(images_module, "read_file", lambda p: read.append(p) or original(p))
    monkeypatch.setattr(images_module, "PIXELS", limit)
    first = reds(batches)
    assert reds(batches) == first
    assert len(read) == decoded
    assert reds(batches.split(3)[1]) == first[3:]


def test_a_bad_file_is_named(tmp_path):
    draw(tmp_path / "good.png")
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8 nothing")
    with pytest.raises(UserError, match=r"bad\.jpg is no readable image .*; mend or remove it"):
        list(image_batches(tmp_path, PLAIN))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "no PNG or JPEG images by their names; add some"),
        (["a.webp"], "no PNG or JPEG images by their names; add some"),
        (["a/1.png", "b/1.txt"], "class folders without PNG or JPEG.*: b; add some"),
        (
            ["train/a/1.png", "test/a/1.png"],
            r"without PNG.*: test, train;.*2 images are not used: test/a \(1: in a folder of",
        ),
        (["a/1.png", "x.png"], r"such as x\.png, beside folders of images, such as a; put"),
    ],
)
def test_a_folder_of_another_kind_is_refused(tmp_path, files, message):
    for name in files:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with pytest.raises(UserError, match=message) as error:
        image_batches(tmp_path, PLAIN)
    assert str(tmp_path) in str(error.value)


def test_labels_that_are_needed_are_asked_for(tmp_path):
    draw(tmp_path / "x.png")
    with pytest.raises(UserError, match=r"images without labels.*put those of each class into"):
        image_batches(tmp_path, PLAIN, labelled=True)
    with pytest.raises(UserError, match="is no folder"):
        image_batches(tmp_path / "absent", PLAIN)
    for argument in ("limit", "batch_size"):
        with pytest.raises(UserError, match=f"{argument} is 0; one image at least"):
            image_batches(tmp_path, PLAIN, **{argument: 0})
