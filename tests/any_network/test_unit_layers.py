import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune

from neuron_pruning import UserError
from neuron_pruning.any_network.surgery import cut, kept_entries, mask
from neuron_pruning.any_network.tracing import first_tensor
from neuron_pruning.any_network.unit_layers import find_unit_layers
from tests.any_network.networks import Functional, found_in, images, pooled


def layers_of(model, size=8):
    """Units and consumers by layer; every layer is cut as it is masked."""
    found = found_in(model, size)
    for layer in found.layers.values():
        assert_cut_as_masked(model, layer, size)
    return {name: (layer.units, layer.consumers) for name, layer in found.layers.items()}


def assert_cut_as_masked(model, layer, size):
    kept = kept_entries([(layer, [0, layer.units - 1] if layer.units > 2 else [0])])
    masked = copy.deepcopy(model).double().eval()
    mask(masked, kept)
    smaller = copy.deepcopy(masked)
    cut(smaller, kept)
    values = images(3, size)
    with torch.no_grad():
        one, other = first_tensor(smaller(values)), first_tensor(masked(values))
    np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-10)
    assert sum(p.numel() for p in smaller.parameters()) < sum(
        p.numel() for p in masked.parameters()
    )


def test_a_chain_of_linears():
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 6), nn.ReLU(), nn.Linear(6, 5), nn.Tanh())
    model.append(nn.Linear(5, 3))
    assert layers_of(model) == {"1": (6, ("3",)), "3": (5, ("5",))}
    found = found_in(model)
    assert found["1"].activation == "relu"
    assert found["1"].kind == "linear"
    assert "outputs are those of the network" in found.refused["5"].reason
    assert found["1"].parameters == pytest.approx((193 * 6 + 6 * 5) / found.total_parameters)
    assert found["1"].multiply_adds == pytest.approx((192 * 6 + 6 * 5) / (192 * 6 + 30 + 15))


def test_convolutions_flattening_and_normalisation():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True),
        nn.Conv2d(4, 5, 3, stride=2), nn.MaxPool2d(2, 1), nn.Flatten(), nn.Linear(5, 3),
    )  # fmt: skip
    assert layers_of(model) == {"0": (4, ("3",)), "3": (5, ("6",))}
    assert found_in(model)["0"].normalisation == "1"
    assert found_in(model)["0"].kind == "convolution"


@pytest.mark.parametrize("size", [32, 64])
def test_a_large_map_is_flattened(size):
    model = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
    model.append(nn.Linear(2 * (size // 2) ** 2, 3))
    assert layers_of(model, size) == {"0": (2, ("4",))}


def test_overlapping_pooling_before_flattening():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AvgPool2d(3, 1), nn.Flatten(), nn.Linear(64, 3))
    assert layers_of(model) == {"0": (4, ("3",))}


def test_normalisation_of_flattened_maps():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.BatchNorm1d(144), nn.Linear(144, 3))
    assert layers_of(model) == {"0": (4, ("3",))}


def test_space_to_depth():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.PixelUnshuffle(2))
    model.extend([nn.Conv2d(16, 5, 1), *pooled(), nn.Linear(5, 3)])
    assert layers_of(model, 32) == {"0": (4, ("3",)), "3": (5, ("6",))}


def inverted_residual(**changes):
    def forward(net, x):
        x = net.stem(x)
        y = F.relu6(net.norm(net.expand(x)))
        y = F.relu6(net.depth(y))
        return net.head((x + net.project(y)).mean((2, 3)))

    parts = {
        "stem": nn.Conv2d(3, 4, 1), "expand": nn.Conv2d(4, 8, 1, bias=False),
        "norm": nn.BatchNorm2d(8), "depth": nn.Conv2d(8, 8, 3, padding=1, groups=8),
        "project": nn.Conv2d(8, 4, 1), "head": nn.Linear(4, 3),
    }  # fmt: skip
    return Functional(forward, **{**parts, **changes})


def test_an_inverted_residual_with_its_depthwise_convolution():
    model = inverted_residual()
    assert layers_of(model) == {"stem": (4, ("expand", "head")), "expand": (8, ("project",))}
    found = found_in(model)
    assert found["stem"].coupled
    assert found.inner == ("expand",)
    assert found["stem"].producers == ("stem", "project")
    assert "depthwise" in found.refused["depth"].reason
    with pytest.raises(UserError, match="project writes the units of stem: name that layer"):
        found["project"]
    with pytest.raises(UserError, match="depth cannot be pruned: a depthwise"):
        found["depth"]
    with pytest.raises(UserError, match="no layer 'nothing'; it has stem, expand"):
        found["nothing"]
    assert "depth: a depthwise" in found.why_not()


def test_squeeze_and_excitation_gates_the_units_and_goes_with_them():
    def forward(net, x):
        x = F.relu(net.conv(x))
        gate = torch.sigmoid(net.up(F.relu(net.down(x.mean((2, 3), keepdim=True)))))
        return net.head((x * gate).mean((2, 3)))

    model = Functional(
        forward, conv=nn.Conv2d(3, 6, 3), down=nn.Conv2d(6, 2, 1), up=nn.Conv2d(2, 6, 1),
        head=nn.Linear(6, 3),
    )  # fmt: skip
    found = found_in(model)
    assert layers_of(model) == {"conv": (6, ("down", "head")), "down": (2, ("up",))}
    assert found["conv"].producers == ("conv", "up")
    assert not found["conv"].coupled


def test_concatenated_maps_are_units_of_their_own():
    def forward(net, x):
        a = F.relu(net.a(x))
        b = F.relu(net.b(a))
        return net.head(F.relu(net.c(torch.cat([a, b], 1))).mean((2, 3)))

    model = Functional(
        forward, a=nn.Conv2d(3, 4, 1), b=nn.Conv2d(4, 5, 1), c=nn.Conv2d(9, 3, 1),
        head=nn.Linear(3, 2),
    )  # fmt: skip
    assert layers_of(model) == {"a": (4, ("b", "c")), "b": (5, ("c",)), "c": (3, ("head",))}
    part = found_in(model)["b"].of_role("consumer")[0]
    assert part.unit_of.tolist() == [-1] * 4 + [0, 1, 2, 3, 4]


def test_a_flattened_map_beside_features_of_another_size_is_refused_and_the_rest_goes_on():
    def forward(net, x):
        flat = F.relu(net.conv(x)).flatten(1)
        return net.head(torch.cat([flat, F.relu(net.linear(x.flatten(1)))], 1))

    model = Functional(
        forward, conv=nn.Conv2d(3, 4, 3), linear=nn.Linear(192, 6), head=nn.Linear(150, 3)
    )
    assert layers_of(model) == {"linear": (6, ("head",))}
    reason = found_in(model).refused["conv"].reason
    assert reason == "head reads units with unlike numbers of columns"


def test_half_of_the_units_for_each_of_two_consumers():
    def forward(net, x):
        a, b = F.relu(net.conv(x)).chunk(2, 1)
        return net.head((net.a(a) + net.b(b)).mean((2, 3)))

    model = Functional(
        forward, conv=nn.Conv2d(3, 8, 3), a=nn.Conv2d(4, 4, 1), b=nn.Conv2d(4, 4, 1),
        head=nn.Linear(4, 3),
    )  # fmt: skip
    assert found_in(model).refused["conv"].reason == "a reads only some of its units"


def test_shuffled_channels_are_followed():
    def forward(net, x):
        x = F.relu(net.conv(x))
        x = x.unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2)
        return net.head(F.relu(net.c(x)).mean((2, 3)))

    model = Functional(forward, conv=nn.Conv2d(3, 8, 1), c=nn.Conv2d(8, 4, 1), head=nn.Linear(4, 3))
    layer = find_unit_layers(model, images(1), verify=False)["conv"]
    assert layer.of_role("consumer")[0].unit_of.tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    # Without units of its choice the network would shuffle others.
    assert "computes something else" in found_in(model).refused["conv"].reason


def linear_net(between, last=6, **modules):
    return Functional(
        between, a=nn.Linear(192, 6), b=nn.Linear(last, 4), c=nn.Linear(4, 3), **modules
    )


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (
            linear_net(
                lambda n, x: n.c(F.relu(n.b(n.norm(n.a(x.flatten(1)))))), norm=nn.LayerNorm(6)
            ),
            "LayerNorm norm mixes its outputs",
        ),
        (
            linear_net(lambda n, x: n.c(F.relu(n.b(F.layer_norm(n.a(x.flatten(1)), (6,)))))),
            "its outputs are mixed with one another before b reads them",
        ),
        (
            linear_net(lambda n, x: n.c(F.relu(n.b(F.glu(n.a(x.flatten(1)))))), last=3),
            None,
        ),
        (
            linear_net(
                lambda n, x: n.c(F.relu(n.b(n.a(x.flatten(1)) * n.scale))),
                scale=nn.Parameter(torch.ones(6)),
            ),
            "the parameter scale works on its outputs",
        ),
        (
            linear_net(lambda n, x: n.c(F.relu(n.b(n.b2(n.a(x.flatten(1)))))), b2=nn.Linear(6, 6)),
            None,
        ),
    ],
    ids=["LayerNorm", "functional LayerNorm", "GLU", "LayerScale", "no activation"],
)
def test_what_stands_between_a_layer_and_its_consumer(model, reason):
    found = found_in(model)
    assert (found.refused["a"].reason if reason else None) == reason
    assert "b" in layers_of(model)


def test_attention_is_refused_and_what_lies_behind_it_goes_on():
    def forward(net, x):
        tokens = net.embed(x.flatten(2).transpose(1, 2))
        q, k, v = net.qkv(tokens).chunk(3, -1)
        tokens = net.proj(F.scaled_dot_product_attention(q, k, v))
        return net.head(net.two(F.gelu(net.one(tokens))).mean(1))

    model = Functional(
        forward, embed=nn.Linear(3, 4), qkv=nn.Linear(4, 12), proj=nn.Linear(4, 4),
        one=nn.Linear(4, 8), two=nn.Linear(8, 4), head=nn.Linear(4, 3),
    )  # fmt: skip
    assert "mixed with one another" in found_in(model).refused["qkv"].reason
    assert layers_of(model)["one"] == (8, ("two",))


def test_a_grouped_convolution_is_cut_by_group():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 6, 1, groups=2), *pooled())
    model.append(nn.Linear(6, 3))
    assert layers_of(model) == {"0": (2, ("5",))}
    assert found_in(model)["0"].producers == ("0", "2")


def test_a_module_that_is_used_twice_or_never():
    model = linear_net(
        lambda n, x: n.c(F.relu(n.b(n.twice(n.twice(n.a(x.flatten(1))))))),
        twice=nn.Linear(6, 6), never=nn.Linear(2, 2),
    )  # fmt: skip
    refused = found_in(model).refused
    assert "calls it 2 times" in refused["twice"].reason
    assert "twice reads its outputs, and is called 2 times" in refused["a"].reason
    assert "never" in refused


def test_modules_that_share_their_weights():
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU())
    model.extend([nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 3)])
    model[5].weight = model[3].weight
    refused = found_in(model).refused
    assert refused["1"].reason == "3 reads its outputs, and shares its weights with 5"
    assert refused["3"].reason == "it shares its weights with 5"
    assert refused["5"].reason == "it shares its weights with 3"


def test_a_parametrised_layer_is_refused():
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 6), nn.ReLU(), nn.Linear(6, 3))
    nn.utils.parametrizations.weight_norm(model[1])
    assert "computed from others" in found_in(model).refused["1"].reason


def test_dead_channels_and_a_normalisation_that_begins_at_zero_hide_nothing():
    model = inverted_residual()
    with torch.no_grad():
        model.norm.weight.zero_()
        model.project.weight.zero_()
        model.stem.bias.fill_(-100.0)
    assert layers_of(model) == {"stem": (4, ("expand", "head")), "expand": (8, ("project",))}


def test_the_network_is_left_as_it_is():
    model = inverted_residual().train()
    before = copy.deepcopy(model.state_dict())
    found_in(model)
    assert model.training
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert not any("forward" in vars(module) for module in model.modules())


@pytest.mark.parametrize(
    "wrapped",
    [lambda y: {"logits": y}, lambda y: (y, None), lambda y: [{"a": y}]],
    ids=["mapping", "tuple", "list"],
)
def test_logits_inside_of_something(wrapped):
    model = linear_net(lambda n, x: wrapped(n.c(F.relu(n.b(n.a(x.flatten(1)))))))
    assert layers_of(model) == {"a": (6, ("b",)), "b": (4, ("c",))}


def test_a_network_without_logits():
    with pytest.raises(UserError, match="returns str, and no tensor of logits"):
        found_in(linear_net(lambda n, x: "nothing"))


def test_a_network_that_does_not_run_says_where():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.Conv2d(4, 5, 3), nn.Flatten(9)))
    with pytest.raises(
        UserError, match=r"shape \(2, 3, 8, 8\) in float64: IndexError in '1\.1'.*right size"
    ):
        found_in(model)


def test_networks_that_cannot_be_copied_or_have_no_shape_yet():
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 6), nn.ReLU(), nn.Linear(6, 3))
    prune.l1_unstructured(model[1], "weight", 0.5)
    with pytest.raises(UserError, match=r"cannot be copied.*torch\.nn\.utils\.prune\.remove"):
        found_in(model)
    with pytest.raises(UserError, match="without a shape yet: run it on a batch first"):
        found_in(nn.Sequential(nn.Flatten(), nn.LazyLinear(3)))


def test_a_hidden_path_is_found_by_verification():
    model = Functional(
        lambda n, x: n.head((n.b(F.relu(n.a(x))) + n.c(F.relu(n.a(x)).detach())).mean((2, 3))),
        a=nn.Conv2d(3, 4, 1), b=nn.Conv2d(4, 5, 1), c=nn.Conv2d(4, 5, 1), head=nn.Linear(5, 3),
    )  # fmt: skip
    hidden = Functional(
        lambda n, x: n.head(n.both(F.relu(n.a(x)))),
        a=nn.Conv2d(3, 4, 1),
        both=Functional(
            lambda n, h: (n.b(h) + n.c(h.detach())).mean((2, 3)),
            b=nn.Conv2d(4, 5, 1), c=nn.Conv2d(4, 5, 1),
        ),
        head=nn.Linear(5, 3),
    )  # fmt: skip
    assert "calls it 2 times" in found_in(model).refused["a"].reason
    assert "does not run without some of its units" in found_in(hidden).refused["a"].reason
    assert "a" in find_unit_layers(hidden, images(1), verify=False).layers


def test_only_a_normalisation_that_alone_reads_a_layer_takes_its_constants():
    def forward(net, x):
        y = net.b(torch.sigmoid(net.a(x)))
        z = F.relu(net.norm(y))
        return net.head((z + y if net.bypass else z).mean((2, 3)))

    for bypass, measures, expected in [
        (False, True, {"b": "norm"}),
        (True, True, {}),
        (False, False, {}),
    ]:
        model = Functional(
            forward, a=nn.Conv2d(3, 4, 1), b=nn.Conv2d(4, 5, 1, bias=False),
            norm=nn.BatchNorm2d(5, track_running_stats=measures), head=nn.Linear(5, 3),
        )  # fmt: skip
        model.bypass = bypass
        assert found_in(model).norms == expected


def test_sizes_that_modules_state_follow_their_tensors():
    model = inverted_residual(depth=nn.Conv2d(8, 8, 3, padding=1, groups=8))
    layer = found_in(model)["expand"]
    cut(model, kept_entries([(layer, [0, 1, 5])]))
    assert (model.expand.out_channels, model.norm.num_features) == (5, 5)
    assert (model.depth.groups, model.depth.in_channels, model.depth.out_channels) == (5, 5, 5)
    assert model.project.in_channels == 5
    assert np.prod(model.norm.running_mean.shape) == 5
