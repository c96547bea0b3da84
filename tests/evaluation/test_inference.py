import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as reference

from neuron_pruning.evaluation.inference import compute_activations
from neuron_pruning.statistics.metrics import class_metrics, confusion_rows, cross_entropy, softmax

CLASSES = ("a", "b", "c")
predictions = arrays(np.int64, st.just(20), elements=st.integers(0, 2))


@given(predictions, predictions)
def test_figures_agree_with_scikit_learn(labels, predicted):
    found = {
        (r["class"], r["metric"]): r["value"] for r in class_metrics(labels, predicted, CLASSES)
    }
    assert found["all", "accuracy"] == pytest.approx(reference.accuracy_score(labels, predicted))
    precision, recall, f1, _ = reference.precision_recall_fscore_support(
        labels, predicted, labels=range(3), zero_division=0
    )
    for number, name in enumerate(CLASSES):
        assert found[name, "precision"] == pytest.approx(precision[number])
        if (labels == number).any():
            assert found[name, "recall"] == pytest.approx(recall[number])
            assert found[name, "f1"] == pytest.approx(f1[number])
        else:
            assert np.isnan([found[name, "recall"], found[name, "f1"]]).all()
        others = labels != number
        specificity = (predicted[others] != number).mean() if others.any() else 0
        assert found[name, "specificity"] == pytest.approx(specificity)


@given(predictions, predictions)
def test_confusion_counts_every_image_once(labels, predicted):
    rows = confusion_rows(labels, predicted, CLASSES)
    wanted = reference.confusion_matrix(labels, predicted, labels=range(3))
    assert [r["count"] for r in rows] == wanted.flatten().tolist()
    assert (rows[1]["label"], rows[1]["predicted"]) == ("a", "b")


def test_softmax_and_cross_entropy_agree_with_torch():
    logits = np.array([[1000.0, 0.0, -5.0], [0.1, 0.2, 0.3]], dtype=np.float32)
    labels = np.array([0, 2])
    tensor = torch.from_numpy(logits).double()
    np.testing.assert_allclose(softmax(logits), tensor.softmax(1).numpy(), atol=1e-12)
    wanted = torch.nn.functional.cross_entropy(tensor, torch.from_numpy(labels)).item()
    assert cross_entropy(logits, labels) == pytest.approx(wanted)


def test_activations_do_not_depend_on_the_batch_size(small_vgg, images):
    cpu = torch.device("cpu")
    small_vgg.train()
    whole = compute_activations(small_vgg, images, 12, cpu)
    pieces = compute_activations(small_vgg, images, 5, cpu)
    assert list(whole) == ["features", "fc1", "fc2", "fc3"] and whole["fc2"].shape == (12, 10)
    for name in whole:
        np.testing.assert_allclose(pieces[name], whole[name], atol=1e-5)
    some = compute_activations(small_vgg, images, 5, cpu, positions=np.array([7, 3]))
    np.testing.assert_allclose(some["fc3"], whole["fc3"][[7, 3]], atol=1e-5)
    assert not small_vgg.training


def test_pixels_are_scaled_to_minus_one_and_one(small_vgg):
    from neuron_pruning.data.images import normalise

    scaled = normalise(torch.tensor([0, 255, 51], dtype=torch.uint8))
    torch.testing.assert_close(scaled, torch.tensor([-1.0, 1.0, -0.6]))


def test_a_full_gpu_gets_half_the_batch(small_vgg, images, monkeypatch):
    whole, sizes = compute_activations(small_vgg, images, 12, torch.device("cpu")), []
    forward = type(small_vgg).activations

    def limited(network, batch):
        sizes.append(len(batch))
        if len(batch) > 4:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return forward(network, batch)

    monkeypatch.setattr(type(small_vgg), "activations", limited)
    found = compute_activations(small_vgg, images, 12, torch.device("cpu"))
    assert sizes == [12, 12, 6, 3, 3, 3, 3]
    np.testing.assert_allclose(found["fc3"], whole["fc3"], atol=1e-6)
