import numpy as np
import pytest
import torch

from neuron_pruning.training.sensitivity import MIN_RELATIVE_CHANGE, Sensitivity

RATE = 0.5
NO_CONTEXT = None  # steps by hand have none, and sensitivity needs none


def classifier(network):
    return {f"classifier.{n}": p for n, p in network.classifier.named_parameters()}


def arrays(network):
    return {name: p.detach().numpy().copy() for name, p in classifier(network).items()}


def trained(network, steps=2, hold=(), back=False):
    """Plain SGD steps by hand, watched; the watcher, where it began, and -sum g dw by a loop.

    ``hold`` are parameters that get no step. ``back`` takes every step back in the end.
    """
    network.double()
    generator = torch.Generator().manual_seed(3)
    flat = network.linear("fc1").in_features
    features = torch.randn(6, flat, generator=generator, dtype=torch.float64)
    watcher, initial = Sensitivity(network), arrays(network)
    sums = {name: np.zeros_like(value) for name, value in initial.items()}
    for step in range(steps + back):
        network.zero_grad()
        loss(network, features).backward()
        before = arrays(network)
        watcher.before_step(NO_CONTEXT)
        with torch.no_grad():
            for name, parameter in classifier(network).items():
                if step == steps:
                    parameter.copy_(torch.from_numpy(initial[name]))
                elif name not in hold:
                    parameter -= RATE * parameter.grad
        watcher.after_step(NO_CONTEXT)
        after = arrays(network)
        for name, parameter in classifier(network).items():
            sums[name] -= parameter.grad.numpy() * (after[name] - before[name])
    return watcher, initial, sums


def loss(network, values):
    *hidden, last = network.layer_names
    for name in hidden:
        values = torch.sigmoid(network.linear(name)(values))
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    return torch.nn.functional.cross_entropy(network.linear(last)(values), labels)


def by_weight(network, initial, sums):
    """|-sum g dw w_f / (w_f - w_0)| of every weight, one at a time; factors of 10 at most."""
    found = {}
    for name, final in arrays(network).items():
        cost = np.zeros(final.size)
        flat = zip(sums[name].flat, final.flat, initial[name].flat, strict=True)
        for place, (total, last, first) in enumerate(flat):
            path = max(abs(last - first), MIN_RELATIVE_CHANGE * abs(last))
            if last != first:
                cost[place] = abs(total * last) / path
        found[name] = cost.reshape(final.shape)
    return found


def by_unit(network, initial, sums, layer, following):
    costs = by_weight(network, initial, sums)
    incoming = costs[f"classifier.{layer}.weight"].sum(axis=1)
    outgoing = costs[f"classifier.{following}.weight"].sum(axis=0)
    return incoming + costs[f"classifier.{layer}.bias"] + outgoing


def test_scores_are_those_of_a_loop_by_hand(small_network):
    watcher, initial, sums = trained(small_network)
    scores = watcher.scores(initial)
    assert list(scores) == ["fc1", "fc2"]
    for layer, following in (("fc1", "fc2"), ("fc2", "fc3")):
        wanted = by_unit(small_network, initial, sums, layer, following)
        np.testing.assert_allclose(scores[layer], wanted, rtol=1e-9)
        assert scores[layer].shape == small_network.linear(layer).bias.shape
        assert scores[layer].dtype == np.float64
        assert (scores[layer] > 0).all()


def test_weights_that_did_not_move_count_nothing(small_vgg):
    held = ("classifier.fc2.weight", "classifier.fc2.bias")
    watcher, initial, sums = trained(small_vgg, hold=held)
    scores = watcher.scores(initial)
    assert np.isfinite(scores["fc1"]).all()
    costs = by_weight(small_vgg, initial, sums)
    outgoing = costs["classifier.fc3.weight"].sum(axis=0)
    np.testing.assert_allclose(scores["fc2"], outgoing, rtol=1e-9)
    incoming = costs["classifier.fc1.weight"].sum(axis=1) + costs["classifier.fc1.bias"]
    np.testing.assert_allclose(scores["fc1"], incoming, rtol=1e-9)


def test_weights_that_went_and_came_back_count_nothing(small_vgg):
    watcher, initial, sums = trained(small_vgg, back=True)
    assert all(np.abs(total).max() > 0 for total in sums.values())
    for scores in watcher.scores(initial).values():
        np.testing.assert_array_equal(scores, 0)


def test_a_weight_of_zero_that_never_moved_is_no_nan(small_vgg):
    with torch.no_grad():
        small_vgg.linear("fc2").weight.zero_()
    held = tuple(classifier(small_vgg))
    watcher, initial, _ = trained(small_vgg, hold=held)
    for scores in watcher.scores(initial).values():
        np.testing.assert_array_equal(scores, 0)


def test_parameters_without_a_gradient_count_nothing(small_vgg):
    small_vgg.linear("fc1").requires_grad_(False)
    initial = arrays(small_vgg)
    watcher = Sensitivity(small_vgg)
    values = torch.randn(4, 12, generator=torch.Generator().manual_seed(0))
    small_vgg.linear("fc2")(values).square().sum().backward()
    watcher.before_step(NO_CONTEXT)
    with torch.no_grad():
        for parameter in small_vgg.classifier.parameters():
            parameter += 0.1
    watcher.after_step(NO_CONTEXT)
    scores = watcher.scores(initial)
    assert (scores["fc2"] > 0).all()
    outgoing = small_vgg.linear("fc2")
    final = outgoing.weight.detach().numpy().astype(float)
    gradient = outgoing.weight.grad.numpy().astype(float)
    wanted = np.abs(gradient * 0.1 * final / 0.1).sum(axis=0)
    np.testing.assert_allclose(scores["fc1"], wanted, rtol=1e-4)


@pytest.mark.parametrize("steps", [1, 3])
def test_every_step_adds_its_share(small_vgg, steps):
    watcher, initial, sums = trained(small_vgg, steps=steps)
    wanted = by_unit(small_vgg, initial, sums, "fc2", "fc3")
    np.testing.assert_allclose(watcher.scores(initial)["fc2"], wanted, rtol=1e-9)


def test_a_single_step_leaves_gradient_times_weight(small_vgg):
    watcher, initial, _ = trained(small_vgg, steps=1)
    cost = {}
    for name, parameter in classifier(small_vgg).items():
        final = parameter.detach().numpy()
        moved = np.abs(final - initial[name]) / np.abs(final)  # a tenth at least, or it counts less
        cost[name] = np.abs(parameter.grad.numpy() * final) * np.minimum(1, moved * 10)
    wanted = cost["classifier.fc2.weight"].sum(axis=1) + cost["classifier.fc2.bias"]
    wanted += cost["classifier.fc3.weight"].sum(axis=0)
    np.testing.assert_allclose(watcher.scores(initial)["fc2"], wanted, rtol=1e-6)


def test_weights_that_hardly_moved_do_not_make_the_score(small_vgg):
    """A weight that moved by a hundred thousandth of itself has no say of 100,000."""
    watcher, initial, _ = trained(small_vgg, steps=1)
    moved = watcher.scores(initial)["fc2"]
    with torch.no_grad():  # the same step of one weight that is far larger
        name, large = "classifier.fc2.weight", 1e5
        step = classifier(small_vgg)[name][0, 0] - initial[name][0, 0]
        initial[name][0, 0] = large * step
        classifier(small_vgg)[name][0, 0] = large * step + step
    step_cost = abs(float(step) ** 2 / RATE)  # -g dw
    grown = watcher.scores(initial)["fc2"][0] - moved[0]
    assert grown <= 10 * step_cost * (1 + 1e-6)
