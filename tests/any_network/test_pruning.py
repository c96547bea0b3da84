import copy
import math
import re
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from neuron_pruning import (
    UserError,
    build_network,
    describe_layer,
    find_technique,
    prune_layer,
    techniques,
)
from neuron_pruning.any_network.allocation import path, rounded, sensitivities
from neuron_pruning.any_network.batch_norm import reestimate
from neuron_pruning.any_network.batches import Batches
from neuron_pruning.any_network.costs import CostModel
from neuron_pruning.any_network.gates import LayerGates, cross_entropy
from neuron_pruning.any_network.options import Method
from neuron_pruning.any_network.pruner import Sensitivity
from neuron_pruning.any_network.pruning import prune
from neuron_pruning.core.errors import NotFinite
from neuron_pruning.pruning.units import LayerActivations
from tests.any_network.networks import Functional, cut, found_in, images, loader, pooled, pruner_of


def mlp(activation=nn.Sigmoid):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(192, 8), activation(), nn.Linear(8, 6), activation(),
        nn.Linear(6, 3),
    ).double()  # fmt: skip


def convolutional():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 3, bias=False),
        nn.BatchNorm2d(6), nn.ReLU(), *pooled(), nn.Linear(6, 3),
    ).double()  # fmt: skip


def pruned(model=None, calibration=None, **goal):
    goal = goal or {"amount": 0.5}
    return prune(
        model or convolutional(), calibration or loader(48, classes=3),
        **{"random_draws": 2, **goal},
    )  # fmt: skip


def reason_against(model, name, layer):
    technique = find_technique(name)
    amount = 30 if technique.amount == "angle" else 2
    try:
        found = pruner_of(model, loader(classes=3)).cut(
            {layer: amount}, Method(name, compensation="none", batch_norm="keep")
        )
    except UserError as error:
        return str(error)
    assert all(torch.isfinite(p).all() for p in found.model.parameters())
    if technique.amount == "units":
        assert len(found.selections[layer].removals) == 2
    return None


# They need the loss by output, or what only this package's training adds up.
EVERYWHERE = {"auxiliary", "badness", "karnin", "obd_weight", "sietsma_dow_2"}
REFUSED = {mlp: EVERYWHERE, convolutional: EVERYWHERE | {"sietsma_dow"}}


@pytest.mark.parametrize(("build", "layer"), [(mlp, "1"), (convolutional, "0")])
def test_every_technique_works_or_says_what_it_needs(build, layer):
    reasons = {name: reason_against(build().eval(), name, layer) for name in techniques()}
    refused = {name: reason for name, reason in reasons.items() if reason is not None}
    assert len(reasons) == len(techniques())
    for name, reason in refused.items():
        assert re.search(r"needs the loss|for sigmoids|a sigmoid's|comes without", reason), name
    assert set(refused) == REFUSED[build]


def test_gates_are_the_derivatives_of_the_loss_where_two_consumers_read_one_tensor():
    def forward(net, x):
        x = F.softplus(net.conv(x))
        return net.head((net.a(x) + net.b(x)).mean((2, 3)))

    torch.manual_seed(0)
    model = Functional(
        forward, conv=nn.Conv2d(3, 4, 3), a=nn.Conv2d(4, 5, 1), b=nn.Conv2d(4, 5, 1),
        head=nn.Linear(5, 3),
    ).double()  # fmt: skip
    layer, batches = found_in(model)["conv"], loader(6, batch=4, classes=3)
    gates = LayerGates(model, layer, lambda: batches)
    values, labels = images(6), torch.cat([labels for _, labels in batches])

    def losses(unit, gate):
        gated = copy.deepcopy(model)
        with torch.no_grad():
            gated.a.weight[:, unit] *= gate
            gated.b.weight[:, unit] *= gate
            return cross_entropy(gated(values), labels).numpy()

    step = 1e-5
    for unit in range(4):
        slope = (losses(unit, 1 + step) - losses(unit, 1 - step)) / (2 * step)
        np.testing.assert_allclose(gates.gradient[:, unit], slope, atol=1e-8)
        shut = losses(unit, 0.0).mean() - losses(unit, 1.0).mean()
        assert gates.ablation[unit] == pytest.approx(shut)


@pytest.mark.parametrize("compensation", ["add", "lstsq", "scaled", "affine", "none"])
@pytest.mark.parametrize(("technique", "amount"), [("distinctiveness", 60), ("noiseout", 5)])
def test_a_layer_of_the_paper_through_the_new_path_is_as_by_the_old_one(
    technique, amount, compensation
):
    torch.manual_seed(0)
    network = build_network("vgg8", (64, 64), (24, 16, 3), (16,) * 8).double().eval()
    values = images(30, 64)
    with torch.no_grad():  # an untrained layer hardly varies: its angles would be rounding
        spread = network.activations(values)["features"].std(dim=0).mean()
        network.linear("fc1").weight.mul_(20.0 / spread)
        network.linear("fc1").bias.zero_()
    activations = network.activations(values)["fc1"].detach().numpy()
    layer = describe_layer(
        network.to_checkpoint(), "fc1",
        LayerActivations(activations, activations, np.zeros(30, np.int64)),
    )  # fmt: skip
    selection = find_technique(technique).select(layer, amount)
    assert selection.removals
    expected = prune_layer(network, "fc1", selection, compensation, activations)
    name = "classifier.fc1"
    found = pruner_of(network, [values], 64).cut(
        {name: amount}, Method(technique, compensation=compensation, batch_norm="keep")
    )
    assert found.selections[name].removed == selection.removed
    for own, other in zip(found.model.parameters(), expected.parameters(), strict=True):
        np.testing.assert_allclose(own.detach(), other.detach(), atol=1e-7)


def test_result_says_what_it_is_and_the_original_is_untouched():
    model = convolutional().train()
    before = copy.deepcopy(model.state_dict())
    result = pruned(model)
    assert model.training
    assert not result.model.training
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())
    assert [row["removed"] for row in result.rows()] == [4, 3]
    assert result.sizes[1].parameters == sum(p.numel() for p in result.model.parameters())
    assert len(result.answer.random) == 2
    assert result.answer.accuracy is not None
    text = str(result)
    for word in ("parameters", "multiply-adds", "held-out images", "random removal", "0 "):
        assert word in text
    assert repr(result) == text


def row_of(activation, *biases):
    """The result's row of a layer two of whose units hardly vary about these biases."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(192, 4), activation, nn.Linear(4, 3)
    ).double()  # fmt: skip
    with torch.no_grad():
        model[1].bias[:2] = torch.tensor(biases)
        model[1].weight[:2] *= 1e-3
    return pruned(model).rows()[0]


@pytest.mark.parametrize(
    ("activation", "biases", "dead", "saturated"),
    [
        (nn.Sigmoid(), (9.0, -9.0), 0, 2), (nn.Tanh(), (3.0, -3.0), 0, 2),
        (nn.ReLU(), (-9.0, 9.0), 1, 0), (nn.ReLU6(), (-9.0, 9.0), 2, 0),
        (nn.ReLU6(), (5.99, 3.0), 0, 1), (nn.Hardtanh(), (-9.0, 0.0), 1, 0),
        (nn.Hardswish(), (-9.0, -2.99), 1, 1), (nn.SiLU(), (-9.0, 9.0), 0, 1),
        (nn.GELU(), (-3.0, 1.0), 0, 1), (nn.LeakyReLU(), (-9.0, 9.0), 0, 0),
    ],
)  # fmt: skip
def test_dead_and_saturated_units_are_counted(activation, biases, dead, saturated):
    row = row_of(activation, *biases)
    assert (row["dead"], row["saturated"]) == (dead, saturated)


def test_a_figure_has_each_layer_and_each_normalisation_in_its_place():
    result = pruned()
    figure = result.figure()
    errors, units, shifts = figure.axes
    assert [label.get_text() for label in errors.get_yticklabels()] == ["0", "3"]
    assert [label.get_text() for label in shifts.get_yticklabels()] == ["1", "4"]
    without, fitted = (line.get_xdata() for line in errors.lines[:2])
    assert list(without) == [row["error without compensation"] for row in result.rows()]
    assert list(fitted) == [row["error"] for row in result.rows()]
    assert [bar.get_width() for bar in units.containers[0]] == [50.0, 50.0]
    assert list(shifts.lines[0].get_xdata()) == list(result.cut.shifts.values())
    assert len(pruned(amount=0.5, batch_norm="keep").figure().axes) == 2


def test_figures_need_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "neuron_pruning.any_network.figure", raising=False)
    with pytest.raises(UserError, match=r"pip install 'neuron-pruning\[networks\]'"):
        pruned().figure()


def test_the_same_seed_gives_the_same_network():
    one, other = (
        pruned(amount=0.5, technique="random", seed=4),
        pruned(amount=0.5, technique="random", seed=4),
    )
    assert one.cut.removed == other.cut.removed
    assert one.answer == other.answer
    for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_random_removal_has_the_same_counts(monkeypatch):
    from neuron_pruning.any_network.pruner import Pruner

    asked, own = [], Pruner.cut
    monkeypatch.setattr(Pruner, "cut", lambda s, a, m: asked.append((dict(a), m)) or own(s, a, m))
    pruned(layers={"0": 3, "3": 0.5}, random_draws=3)
    assert [amounts for amounts, _ in asked] == [{"0": 3, "3": 3}] * 4
    assert [method.technique for _, method in asked] == ["l1"] + ["random"] * 3
    assert len({method.seed for _, method in asked}) == 4
    assert {method.compensation for _, method in asked} == {"auto"}


@pytest.mark.parametrize("compensation", ["add", "affine", "fold"])
def test_random_units_have_no_merge_target_and_give_their_mean_to_the_bias(compensation):
    technique = "folding" if compensation == "fold" else "noiseout"
    merged = pruned(technique=technique, compensation=compensation, amount=0.25)
    assert len(merged.answer.random) == 2
    assert "same counts, compensation bias: " in str(merged)
    assert "same counts, same compensation: " in str(pruned(amount=0.25))


def test_removed_units_are_counted_by_rule_where_there_are_rules():
    model = mlp()
    with torch.no_grad():  # a clone, a complement and a unit that says nothing
        model[1].weight[1], model[1].bias[1] = model[1].weight[0], model[1].bias[0]
        model[1].weight[3], model[1].bias[3] = -model[1].weight[2], -model[1].bias[2]
        model[1].weight[4], model[1].bias[4] = 0.0, -9.0
    settings = {"complementary": "lossless"}
    result = pruned(
        model, angle=0.01, technique="distinctiveness", settings=settings, compensation="add"
    )
    first, second = result.rows()
    assert first["rules"] == {"short": 1, "similar": 1, "complementary": 1}
    assert second["rules"] == {}
    assert "1 short, 1 similar, 1 complementary" in str(result)
    assert pruned().rows()[0]["rules"] == {"ranked": 4}
    assert "ranked" not in str(pruned())


def test_an_angle_alone_decides_how_many_units_go():
    def removed(angle):
        result = pruned(mlp(), angle=angle, technique="distinctiveness", compensation="add")
        counts = {name: len(units) for name, units in result.cut.removed.items()}
        assert counts.keys() == {"1", "3"}
        by_layer = pruned(
            mlp(), layers={"3": angle}, technique="distinctiveness", compensation="add"
        )
        assert by_layer.cut.selections.keys() == {"3"}
        return sum(counts.values())

    assert removed(5) <= removed(15) < removed(85)


def shuffling(count=64, drop_last=False, noise=0.0):
    data = TensorDataset(images(count), torch.arange(count) % 3)

    def noisy(rows):
        values = torch.stack([image for image, _ in rows])
        return values + noise * torch.randn_like(values), torch.tensor([int(y) for _, y in rows])

    return DataLoader(data, 10, shuffle=True, drop_last=drop_last, collate_fn=noisy)


def test_calibration_and_held_out_images_stay_apart_whatever_the_order():
    batches = Batches(shuffling(), 0.25, torch.device("cpu"))
    sides = [
        {image.numpy().tobytes() for part in side() for image in part}
        for side in [batches.calibration, lambda: (x for x, _ in batches.evaluation())] * 2
    ]
    assert sides[0] == sides[2]
    assert sides[1] == sides[3]
    assert not sides[0] & sides[1]
    assert len(sides[0] | sides[1]) == 64
    assert 4 <= len(sides[1]) <= 28


def test_a_loader_that_shuffles_compares_each_image_with_itself():
    result = pruned(convolutional(), shuffling(), layers={}, batch_norm="keep")
    assert result.answer.agreement.value == 1.0
    assert result.answer.accuracy == result.answer.accuracy_before


@pytest.mark.parametrize("odd", [{"noise": 0.1}, {"drop_last": True}])
def test_a_loader_whose_images_change_is_refused(odd):
    torch.manual_seed(0)
    with pytest.raises(UserError, match=r"other images each time.*augmentation"):
        pruned(convolutional(), shuffling(**odd))


def test_statistics_are_measured_from_single_images_too():
    model = convolutional().eval()
    other = copy.deepcopy(model)
    values = images(32)
    reestimate(model, values.split(1))
    reestimate(other, values.split(16))
    for name, tensor in model.state_dict().items():
        np.testing.assert_allclose(tensor.numpy(), other.state_dict()[name].numpy())
    assert not torch.equal(model[1].running_mean, torch.zeros(8))


def test_statistics_stay_where_there_is_nothing_to_measure():
    model = convolutional().eval()
    model[1].running_mean.fill_(3.0)
    reestimate(model, [])
    reestimate(model, [images(1)])
    assert model[1].running_mean.tolist() == [3.0] * 8
    assert not model[1].training


def test_sequential_measures_behind_the_cut_and_is_closer():
    model = mlp().eval()
    amounts = {"1": 4, "3": 3}
    outputs = {
        order: cut(model, amounts, order=order).model(images()).detach()
        for order in ("parallel", "sequential")
    }
    errors = {o: float((y - model(images()).detach()).pow(2).mean()) for o, y in outputs.items()}
    assert errors["sequential"] < errors["parallel"]


@pytest.mark.parametrize("cost", ["macs", "parameters"])
def test_budgets_are_met_by_the_steps_that_cost_least(cost):
    result = pruned(budget={cost: 0.6})
    sizes = [s.multiply_adds if cost == "macs" else s.parameters for s in result.sizes]
    assert sizes[1] <= 0.6 * sizes[0]
    assert sizes[1] > 0.3 * sizes[0]


def test_no_step_of_a_path_takes_more_than_it_must():
    """A cheap large step must not overshoot a budget that lies within it."""
    flat = Sensitivity(tuple(range(6)), (0.0,) * 6, (1.0,) * 6)  # every step costs nothing
    pruner = pruner_of(convolutional())
    curves = dict.fromkeys(pruner.found.inner, flat)
    steps = path(CostModel(pruner.model, pruner.found), curves, "macs")
    totals = [sum(counts.values()) for counts in steps.counts]
    assert totals == list(range(totals[-1] + 1))


def test_a_fit_of_more_channels_than_images_promises_nothing():
    """Its error on the images that it was fitted on is zero, whatever is removed."""
    torch.manual_seed(0)
    wide = nn.Sequential(
        nn.Conv2d(3, 40, 3), nn.ReLU(), *pooled(), nn.Linear(40, 3),
    ).double()  # fmt: skip
    method = Method("l1", compensation="lstsq")
    few, many = (
        sensitivities(pruner_of(wide, [images(count)]), ["0"], method)["0"] for count in (24, 960)
    )
    middle = few.removed.index(10)  # 30 channels stay, more than 24 images
    assert few.errors[middle] == pytest.approx(few.without[middle])
    assert many.errors[middle] < 0.5 * many.without[middle]


def test_budgets_of_time_and_loss():
    assert not any(pruned(budget={"latency_ms": 1e6}).cut.removed.values())
    assert not any(pruned(max_loss=0.0).cut.removed.values())
    assert any(pruned(max_loss=100.0).cut.removed.values())
    limited = pruned(budget={"macs": 0.3}, max_loss=0.0)
    assert limited.notes == ("the budget is not met: the network would lose more than max_loss",)


def test_round_to_keeps_multiples():
    assert [rounded(16, n, 4) for n in (0, 1, 4, 7, 15)] == [0, 0, 4, 4, 12]
    assert rounded(6, 3, 8) == 0
    assert {len(s.kept) for s in pruned(amount=0.4, round_to=2).cut.selections.values()} <= {4, 6}


def test_ranking_units_of_all_layers_together():
    result = pruned(amount=0.5, across="network")
    removed = sum(len(units) for units in result.cut.removed.values())
    assert 5 <= removed <= 8


@pytest.mark.parametrize(
    ("goal", "message"),
    [
        ({"layers": {"0": 8}}, "0: cannot remove 8 of 8 units.*at least one unit must remain"),
        ({"amount": 6}, "3: cannot remove 6 of 6"),
        ({"amount": 1.5}, "cannot remove 1.5"),
        ({"amount": math.nan}, "cannot remove nan"),
        ({"layers": {"nowhere": 1}}, "no layer 'nowhere'; it has 0, 3"),
        ({"layers": {"7": 1}}, "7 cannot be pruned|no layer"),
        ({"budget": {"macs": 0.001}}, r"cannot be met: the smallest network has 0\.\d+"),
        ({"budget": {"latency_ms": 1e-6}}, "cannot be met: the smallest network takes"),
        ({"budget": {"macs": 2}}, "a share above 0, at most 1"),
        ({"budget": {"energy": 0.5}}, "'energy' is unknown; known: macs"),
        ({"budget": {"macs": 0.5, "parameters": 0.5}}, "a budget names one of"),
        ({"amount": 0.5, "budget": {"macs": 0.5}}, "say how much to remove by one of"),
        ({"amount": 0.5, "max_loss": 1}, "max_loss goes with a budget or alone"),
        ({"amount": 0.5, "round_to": 0}, "round_to must be 1 or more"),
        ({"layers": {"0": 2}, "across": "network"}, "give amount as a share"),
        ({"amount": 4, "across": "network"}, "give amount as a share"),
        ({"amount": 0.5, "across": "world"}, "across must be one of layers, network; not"),
        ({"amount": 0.5, "held_out": 1.5}, "held_out is a share"),
        ({"amount": 0.5, "technique": "l3"}, "no technique 'l3'"),
        ({"amount": 0.5, "compensation": "money"}, "compensation must be one of auto, none, bias"),
        ({"amount": 0.5, "compensation": "add"}, "l1 removes units without merge targets"),
        ({"amount": 0.5, "order": "backwards"}, "order must be one of"),
        ({"budget": {"macs": 0.5}, "technique": "distinctiveness"}, "takes an angle"),
        ({"amount": 0.5, "technique": "distinctiveness"}, r"decides by it.*give angle=15"),
        ({"angle": 15}, "l1 takes no angle: .* a technique that takes one: distinctiveness, "),
        ({"angle": 15, "amount": 0.5, "technique": "distinctiveness"}, "given: amount, angle"),
        ({"angle": 0, "technique": "distinctiveness"}, r"angle must be in \(0, 90\]"),
        ({"max_loss": math.nan}, "max_loss is a number of points, 0 or more"),
    ],
    ids=str,
)
def test_goals_that_cannot_be(goal, message):
    with pytest.raises(UserError, match=message):
        pruned(**goal)


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        ((x for x in loader()), "come from a generator, which can be gone through once only"),
        ([], "the loader yields no images"),
        (["image.png"], "must yield images as a tensor.*it yields str"),
        ([torch.full((4, 3, 8, 8), math.nan)], "images with NaN"),
        ([(images(4), torch.rand(4, 3))], "one class number per image"),
        ([(images(4), torch.zeros(4, 1).long())], r"shape \(4, 1\) for 4 images"),
        (
            [images(1)],
            "of 1 images, 25% of which are held out, there are none to (evaluate|fit) on",
        ),
    ],
    ids=["generator", "empty", "names", "NaN", "soft labels", "columns", "one image"],
)
def test_images_that_cannot_be(calibration, message):
    with pytest.raises(UserError, match=message):
        prune(convolutional(), calibration, amount=0.5)


def test_images_of_both_sides_are_refused():
    with pytest.raises(UserError, match="8 images are both in calibration and in evaluation"):
        prune(convolutional(), loader(24), amount=0.5, evaluation=loader(8))


def test_evaluation_images_of_their_own_and_no_labels():
    result = pruned(amount=0.5, evaluation=[images(20, seed=5)])
    assert result.answer.agreement.images == 20
    assert result.answer.accuracy is None
    assert result.answer.measure == "agreement"


def test_weights_and_activations_that_are_no_numbers():
    model = convolutional()
    with torch.no_grad():
        model[3].weight[0, 0, 0, 0] = math.nan
    with pytest.raises(NotFinite, match=r"3\.weight holds NaN"):
        pruned(model)
    model = convolutional()
    model[1].running_var.fill_(-1.0)
    with pytest.raises(UserError, match=r"computes something else \(nan apart\)"):
        pruned(model)


def test_a_network_without_units_says_why():
    with pytest.raises(UserError, match="can be pruned:\n  1: its outputs are those"):
        pruned(nn.Sequential(nn.Flatten(), nn.Linear(192, 3)).double())


@pytest.mark.parametrize(
    ("technique", "compensation"), [("l1", "none"), ("srinivas_babu", "add"), ("folding", "fold")]
)
def test_budgets_know_what_is_lost_where_nothing_else_is_measured(technique, compensation):
    pruner = pruner_of(convolutional())
    method = Method(technique, compensation=compensation, batch_norm="keep")
    for curve in sensitivities(pruner, pruner.found.inner, method).values():
        assert curve.errors[0] == 0.0 < curve.errors[-1]


def test_a_ranking_over_layers_asks_what_a_technique_needs():
    with pytest.raises(UserError, match="badness"):
        pruned(amount=0.5, across="network", technique="badness")


def test_a_network_that_keeps_tensors_of_a_pass_is_ranked_by_gradients():
    class Keeping(nn.Sequential):
        def forward(self, images):
            self.kept = super().forward(images)
            return self.kept

    model = Keeping(*convolutional())
    result = pruned(model, amount=0.5, across="network", technique="taylor")
    assert any(result.cut.removed.values())
