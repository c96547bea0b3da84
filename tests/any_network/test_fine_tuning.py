import pytest
import torch
from torch import nn
from torch.nn import functional

from neuron_pruning import UserError, fine_tune, prune
from neuron_pruning.core.errors import NotFinite


def build():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 8), nn.Sigmoid(),
        nn.Dropout(0.1), nn.Linear(8, 3),
    )  # fmt: skip


@pytest.fixture
def loader():
    generator = torch.Generator().manual_seed(1)
    images = [torch.randn(16, 3, 6, 6, generator=generator) for _ in range(3)]
    return [(batch, (batch.mean((1, 2, 3)) > 0).long()) for batch in images]


def cut(loader):
    return prune(build(), loader, amount=0.5, compensation="none", random_draws=0)


def losses(result, loader, epochs=30, **options):
    lines = []
    fine_tune(result, loader, epochs, learning_rate=0.01, progress=lines.append, **options)
    assert lines[0].startswith(f"epoch 1 of {epochs}: loss ")
    return [float(line.rpartition(" ")[2]) for line in lines]


def apart(model, teacher, images):
    with torch.no_grad():
        return functional.mse_loss(model(images).log_softmax(-1), teacher(images).log_softmax(-1))


def test_a_pruned_network_imitates_the_unpruned_one_without_labels(loader, capsys):
    result = cut(loader)
    teacher = {name: tensor.clone() for name, tensor in result.unpruned.state_dict().items()}
    before = {name: tensor.clone() for name, tensor in result.model.state_dict().items()}
    far = apart(result.model, result.unpruned, loader[0][0])
    found = losses(result, [images for images, _ in loader])
    assert found[-1] < 0.8 * found[0]
    assert apart(result.model, result.unpruned, loader[0][0]) < far
    assert not any(module.training for module in result.model.modules())
    # every parameter got a gradient, and batch normalisation measured
    for name, tensor in result.model.state_dict().items():
        assert not torch.equal(tensor, before[name]), name
    for name, tensor in result.unpruned.state_dict().items():
        torch.testing.assert_close(tensor, teacher[name], rtol=0, atol=0)
    assert capsys.readouterr().out == ""


def test_labels_train_without_a_teacher(loader):
    result = cut(loader)
    found = losses(result.model, loader, distil=False)
    assert found[-1] < 0.9 * found[0]


def test_the_seed_decides_and_the_generator_of_torch_stays(loader):
    first, again, other = (losses(cut(loader), loader, 2, seed=seed) for seed in (0, 0, 1))
    assert first == again != other
    result = cut(loader)
    state = torch.get_rng_state()
    expected = torch.rand(1)
    torch.set_rng_state(state)
    fine_tune(result, loader, 1)
    assert torch.equal(torch.rand(1), expected)


def test_what_fine_tuning_needs_is_asked_for(loader):
    result = cut(loader)
    images = [batch for batch, _ in loader]
    with pytest.raises(UserError, match="distil=True needs a teacher"):
        fine_tune(result.model, loader, 1)
    with pytest.raises(UserError, match="distil=False needs labels"):
        fine_tune(result, images, 1, distil=False)
    with pytest.raises(UserError, match="no batch to train on"):
        fine_tune(result, [images[0][:1]], 1)
    with pytest.raises(UserError, match="generator"):
        fine_tune(result, iter(images), 1)
    with pytest.raises(NotFinite, match="lower learning_rate"):
        fine_tune(result, images, 3, learning_rate=float("inf"))
    assert not result.model.training
