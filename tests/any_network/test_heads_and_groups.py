"""Units of several channels: attention heads, and groups of grouped convolutions."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from neuron_pruning import UserError, find_technique, techniques
from neuron_pruning.any_network.costs import CostModel
from neuron_pruning.any_network.inspection import layer_rows, measured_rows
from neuron_pruning.any_network.options import Method
from neuron_pruning.any_network.pruner import Session
from neuron_pruning.any_network.pruning import prune
from neuron_pruning.any_network.saving import load_pruned
from neuron_pruning.any_network.surgery import cut as cut_in_place
from neuron_pruning.any_network.surgery import kept_entries, mask
from neuron_pruning.pruning.selection import Removal, Selection
from tests.any_network.networks import Functional, found_in, images, loader, pooled, pruner_of
from tests.any_network.test_exactness import apart
from tests.any_network.test_reach_and_costs import counted

HEADS, WIDTH = 4, 3  # channels of a head


class Fused(nn.Module):
    """Attention with one Linear for query, key and value, and numbers and tensors of its own."""

    def __init__(self, tokens=16):
        super().__init__()
        self.num_heads, self.head_dim, self.attn_dim = HEADS, WIDTH, HEADS * WIDTH
        self.qkv = nn.Linear(8, 3 * self.attn_dim)
        self.out = nn.Linear(self.attn_dim, 8)
        self.of_pairs = nn.Parameter(torch.randn(tokens, tokens, HEADS))
        self.register_buffer("slopes", torch.rand(HEADS), persistent=False)

    def forward(self, x):
        b, n, _ = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4)
        scores = qkv[0] @ qkv[1].mT + self.of_pairs.movedim(-1, 0) * self.slopes[:, None, None]
        x = scores.softmax(-1) @ qkv[2]
        return self.out(x.transpose(1, 2).reshape(b, n, self.attn_dim))


class Separate(nn.Module):
    """Attention with a Linear each, whose heads are as many as there are channels for."""

    def __init__(self):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(8, HEADS * WIDTH) for _ in range(3))
        self.out = nn.Linear(HEADS * WIDTH, 8)

    def forward(self, x):
        q, k, v = (
            layer(x).unflatten(-1, (-1, WIDTH)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        x = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.out(x)


def transformer(attention):
    torch.manual_seed(0)

    def forward(net, x):
        x = net.embed(x).flatten(2).mT
        x = x + net.attention(x)
        x = x + net.down(F.gelu(net.up(net.norm(x))))
        return net.head(x.mean(1))

    return Functional(
        forward, embed=nn.Conv2d(3, 8, 2, 2), attention=attention(), norm=nn.LayerNorm(8),
        up=nn.Linear(8, 10), down=nn.Linear(10, 8), head=nn.Linear(8, 3),
    ).double().eval()  # fmt: skip


def first_of(model):
    return next(layer for layer in found_in(model).layers.values() if layer.width > 1)


def rows_of(model, part):
    """Rows of query, key or value by head, as views."""
    attention = model.attention
    if isinstance(attention, Fused):
        place = ("query", "key", "value").index(part)
        both = (attention.qkv.weight, attention.qkv.bias)
        return [t.unflatten(0, (3, HEADS, WIDTH))[place] for t in both]
    layer = getattr(attention, part)
    return [t.unflatten(0, (HEADS, WIDTH)) for t in (layer.weight, layer.bias)]


@torch.no_grad()
def plant(model, redundancy):
    """Let the last head look where the first ones do, and say what follows from what they say."""
    mixing = torch.randn(WIDTH, WIDTH).double()
    for part in ("query", "key"):
        for values in rows_of(model, part):
            values[1] = values[0]
            values[3] = values[0]
    if isinstance(model.attention, Fused):
        for head in (1, 3):
            model.attention.of_pairs[..., head] = model.attention.of_pairs[..., 0]
            model.attention.slopes[head] = model.attention.slopes[0].item()
    for values in rows_of(model, "value"):
        if redundancy == "clone":
            values[3] = values[0]
        elif redundancy == "combination":
            values[3] = mixing @ values[0] - values[1]
    if redundancy == "constant":
        rows_of(model, "value")[0][3] = 0.0
    return model


def without(model, removals, compensation, layer=None):
    """The network without some units of a layer."""
    pruner, working = pruner_of(model), copy.deepcopy(model)
    layer = layer or next(each for each in pruner.found.layers.values() if each.width > 1)
    session = Session(pruner, working, Method("distinctiveness", compensation=compensation))
    session.measure([layer.name])
    selection = Selection(layer.units, tuple(removals))
    session.consumers.apply(layer, selection, compensation)
    cut_in_place(working, kept_entries([(layer, selection.removed)]))
    return working


@pytest.mark.parametrize("attention", [Fused, Separate])
def test_heads_are_units_of_several_channels(attention):
    model = transformer(attention)
    found, layer = found_in(model), first_of(model)
    assert (layer.kind, layer.units, layer.width) == ("heads", HEADS, WIDTH)
    assert layer.consumers == ("attention.out",)
    assert found.inner == ("up",) and layer.coupled  # they go where they are asked for
    row = next(row for row in layer_rows(found) if row["kind"] == "heads")
    assert (row["units"], row["channels each"]) == (HEADS, WIDTH)


def test_queries_keys_and_values_go_together():
    model = transformer(Separate)
    assert first_of(model).producers == ("attention.query", "attention.key", "attention.value")
    with pytest.raises(UserError, match=r"value writes the units of attention\.query: name"):
        found_in(model)["attention.value"]


@pytest.mark.parametrize("attention", [Fused, Separate])
def test_a_cut_head_is_a_silenced_one_and_the_module_states_fewer(attention):
    model = transformer(attention)
    kept = kept_entries([(first_of(model), [0, 2])])
    masked, smaller = copy.deepcopy(model), copy.deepcopy(model)
    mask(masked, kept)
    cut_in_place(smaller, kept)
    assert apart(masked, smaller) < 1e-12 < apart(model, smaller)
    if attention is Fused:
        own = smaller.attention
        assert (own.num_heads, own.head_dim, own.attn_dim) == (2, WIDTH, 6)
        assert own.of_pairs.shape == (16, 16, 2) and own.slopes.shape == (2,)
        assert torch.equal(own.slopes, model.attention.slopes[[1, 3]])


def test_as_many_heads_as_channels_of_each_are_told_apart_by_name():
    class Square(Fused):
        def __init__(self):
            super().__init__()
            self.head_dim, self.attn_dim = HEADS, HEADS * HEADS
            self.qkv, self.out = nn.Linear(8, 3 * HEADS * HEADS), nn.Linear(HEADS * HEADS, 8)

    model = transformer(Square)
    cut_in_place(model, kept_entries([(first_of(model), [1])]))
    own = model.attention
    assert (own.num_heads, own.head_dim, own.attn_dim) == (HEADS - 1, HEADS, 3 * HEADS)


@pytest.mark.parametrize("redundancy", ["clone", "combination", "constant"])
@pytest.mark.parametrize("attention", [Fused, Separate])
def test_least_squares_leave_no_trace_of_a_redundant_head(attention, redundancy):
    model = plant(transformer(attention), redundancy)
    assert apart(model, without(model, [Removal(3, "ranked")], "lstsq")) < 1e-10
    assert apart(model, without(model, [Removal(3, "ranked")], "none")) > 1e-6


@pytest.mark.parametrize("compensation", ["add", "affine", "fold"])
def test_a_cloned_head_is_merged_channel_by_channel(compensation):
    model = plant(transformer(Separate), "clone")
    for values in rows_of(model, "value"):  # one factor holds for all channels, without a constant
        values.data[3] = values[0]
    removal = [Removal(3, "similar", 0)]
    assert apart(model, without(model, removal, compensation)) < 1e-10


def test_techniques_see_a_cloned_head_and_a_silent_one():
    model = plant(transformer(Separate), "clone")
    name, batches = first_of(model).name, loader(classes=3)
    degrees = Method("distinctiveness", compensation="add")
    (removal,) = pruner_of(model).cut({name: 5}, degrees).selections[name].removals
    assert (removal.unit, removal.partner) == (3, 0)
    with torch.no_grad():
        model.attention.out.weight[:, WIDTH : 2 * WIDTH] = 0.0
    for technique in ("contribution", "taylor"):
        chosen = pruner_of(model, batches).cut({name: 1}, Method(technique, compensation="none"))
        assert chosen.removed[name] == (1,)


def grouped(groups=4, reads=2, writes=3, last=None, **changes):
    """A convolution in front of a grouped one, and what reads that."""
    torch.manual_seed(0)
    width = groups * writes
    last = last or nn.Sequential(nn.Conv2d(width, 5, 1), nn.ReLU(), *pooled(), nn.Linear(5, 3))
    return nn.Sequential(
        nn.Conv2d(3, groups * reads, 1), nn.BatchNorm2d(groups * reads), nn.ReLU(),
        nn.Conv2d(groups * reads, width, 3, groups=groups, **changes), nn.BatchNorm2d(width),
        *last,
    ).double().eval()  # fmt: skip


def test_a_group_goes_with_what_it_reads_and_what_it_writes():
    model = grouped()
    found = found_in(model)
    layer = found["0"]
    assert (layer.kind, layer.units, layer.width) == ("groups", 4, 3)
    assert layer.producers == ("0", "3") and layer.consumers == ("5",)
    assert not layer.coupled and "0" in found.inner
    with pytest.raises(UserError, match="3 writes the units of 0: name that layer"):
        found["3"]
    cut_in_place(model, kept_entries([(layer, [1])]))
    assert (model[3].groups, model[3].in_channels, model[3].out_channels) == (3, 6, 9)
    assert (model[0].out_channels, model[1].num_features, model[5].in_channels) == (6, 6, 9)


@pytest.mark.parametrize(
    "last",
    [
        lambda: nn.Sequential(nn.Conv2d(12, 5, 1), nn.ReLU(), *pooled(), nn.Linear(5, 3)),
        lambda: nn.Sequential(nn.Conv2d(12, 5, 2), nn.ReLU(), *pooled(), nn.Linear(5, 3)),
        lambda: nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(12 * 9, 3)),
    ],
    ids=["one by one", "kernel", "flattened"],
)
@pytest.mark.parametrize("redundancy", ["clone", "combination", "constant"])
def test_least_squares_leave_no_trace_of_a_redundant_group(last, redundancy):
    model = grouped(last=last())
    front, own, mixing = model[0], model[3], torch.randn(3, 3).double()
    with torch.no_grad():
        for values in (front.weight, front.bias):
            values[6:] = values[:2]
        if redundancy == "clone":
            own.weight[9:], own.bias[9:] = own.weight[:3], own.bias[:3]
        elif redundancy == "combination":
            own.weight[9:] = (mixing @ own.weight[:3].flatten(1)).view_as(own.weight[9:])
        else:
            own.weight[9:] = 0.0
    assert apart(model, without(model, [Removal(3, "ranked")], "lstsq")) < 1e-10
    assert apart(model, without(model, [Removal(3, "ranked")], "none")) > 1e-6


@given(
    st.integers(2, 5), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(0, 1),
    st.booleans(), st.integers(0, 10**6),
)  # fmt: skip
@settings(max_examples=15)
def test_any_groups_are_cut_as_they_are_silenced(
    groups, reads, writes, stride, padding, flattened, seed
):
    body = nn.Sequential(nn.Hardswish(), *([nn.Flatten()] if flattened else pooled()))
    model = grouped(groups, reads, writes, body, stride=stride, padding=padding)
    torch.manual_seed(seed)
    model.append(nn.Linear(model(images(1)).shape[1], 3).double())
    layer = found_in(model)["0"]
    assert layer.units == groups
    assert layer.kind == ("convolution" if reads == writes == 1 else "groups")
    drawn = np.random.default_rng(seed)
    gone = drawn.permutation(groups)[: drawn.integers(1, groups)].tolist()
    kept = kept_entries([(layer, gone)])
    masked, smaller = copy.deepcopy(model), copy.deepcopy(model)
    mask(masked, kept)
    cut_in_place(smaller, kept)
    assert apart(masked, smaller) < 1e-12
    size = CostModel(model, found_in(model)).size({"0": len(gone)})
    assert size.parameters == sum(p.numel() for p in smaller.parameters())
    assert size.multiply_adds == counted(smaller, images(1))


def test_a_grouped_convolution_of_what_no_layer_writes_is_refused():
    model = nn.Sequential(nn.Conv2d(3, 6, 1, groups=3), nn.ReLU(), *pooled(), nn.Linear(6, 3))
    assert "reads more than the units of other layers" in found_in(model).refused["0"].reason


def test_gates_of_a_fused_linear_unit_have_two_rows():
    model = Functional(
        lambda n, x: n.b(F.glu(n.a(x.flatten(1)))), a=nn.Linear(192, 8), b=nn.Linear(4, 3)
    )
    layer = found_in(model)["a"]
    assert (layer.units, layer.width, layer.kind) == (4, 1, "linear")
    assert layer.of_role("producer")[0].unit_of.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]


@pytest.mark.parametrize("attention", [Fused, Separate])
@pytest.mark.parametrize("gone", [1, 3])
def test_costs_are_those_of_the_network_without_heads(attention, gone):
    model = transformer(attention)
    name = first_of(model).name
    counts = {name: gone, "up": 4}
    smaller = pruner_of(model).cut(counts, Method(compensation="none")).model
    size = CostModel(model, found_in(model)).size(counts)
    assert size.parameters == sum(p.numel() for p in smaller.parameters())
    assert size.multiply_adds == counted(smaller, images(1))
    if attention is Fused:  # PyTorch does not count scaled_dot_product_attention on a CPU
        assert first_of(model).products == 2 * 16 * 16 * HEADS * WIDTH


@pytest.mark.parametrize(
    "build", [lambda: transformer(Fused), lambda: transformer(Separate), grouped]
)
@pytest.mark.parametrize("order", ["parallel", "sequential"])
def test_pruned_saved_and_loaded(build, order, tmp_path):
    model = build()
    name = first_of(model).name
    amounts = {name: 0.5, **({"up": 0.5} if hasattr(model, "up") else {"5": 0.5})}
    result = prune(model, loader(40), layers=amounts, order=order, random_draws=1)
    assert len(result.cut.removed[name]) == 2
    result.save(tmp_path)
    loaded = load_pruned(tmp_path, build)
    assert torch.equal(loaded.double()(images(5)), result.model(images(5)))
    assert found_in(loaded)[name].units == 2  # and it can be pruned again


def test_heads_go_where_coupled_units_are_asked_for():
    model = transformer(Separate)
    plain = prune(model, loader(40), amount=0.5, random_draws=1)
    assert list(plain.cut.removed) == ["up"]
    every = prune(model, loader(40), amount=0.5, coupled=True, random_draws=1)
    assert set(every.cut.removed) == {"attention.query", "up"}


# They need the loss by output, or what only this package's training adds up.
UNMET = {"auxiliary", "badness", "karnin", "obd_weight", "sietsma_dow", "sietsma_dow_2"}
LIBRARY = {name for name in techniques() if name.startswith("torch_pruning_")}
MISSING = "needs the loss|for sigmoids|a sigmoid's|comes without|torch-pruning cannot follow"


@pytest.mark.parametrize(
    ("build", "unmet"),
    [(lambda: transformer(Separate), UNMET), (grouped, UNMET | LIBRARY)],
    ids=["heads", "groups"],
)
def test_every_technique_chooses_units_of_several_channels(build, unmet):
    for name in techniques():
        technique = find_technique(name)
        amount = 30 if technique.amount == "angle" else 2
        model = build()
        layer = first_of(model).name
        method = Method(name, compensation="none", batch_norm="keep")
        pruner = pruner_of(model, loader(classes=3))
        if name in unmet:
            with pytest.raises(UserError, match=MISSING):
                pruner.cut({layer: amount}, method)
            continue
        selection = pruner.cut({layer: amount}, method).selections[layer]
        assert selection.units == 4
        assert technique.amount == "angle" or len(selection.removals) == 2


def test_idle_heads_are_counted_whole():
    model = transformer(Separate)
    with torch.no_grad():
        rows_of(model, "value")[0][2] = 0.0
        rows_of(model, "value")[0][1, 0] = 0.0  # one channel alone
    rows = measured_rows(pruner_of(model), Method())
    dead = {row["layer"]: row["dead"] for row in rows}
    assert dead["attention.query"] == 1


def test_multihead_attention_is_refused_by_name():
    class Torch(nn.Module):
        def __init__(self):
            super().__init__()
            self.inside = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x):
            return self.inside(x, x, x)[0]

    found = found_in(transformer(Torch))
    assert found.inner == ("up",)
    reason = found.refused["attention.inside.out_proj"].reason
    assert reason.startswith(
        "attention.inside is an nn.MultiheadAttention, which cannot lose heads"
    )


def test_a_network_that_states_its_width_elsewhere_keeps_its_heads():
    class Stubborn(Separate):
        def forward(self, x):
            b, n, _ = x.shape
            q, k, v = (
                layer(x).reshape(b, n, HEADS, WIDTH).transpose(1, 2)
                for layer in (self.query, self.key, self.value)
            )
            return self.out((q @ k.mT @ v).transpose(1, 2).flatten(2))

    refused = found_in(transformer(Stubborn)).refused
    for name in ("query", "key", "value"):
        reason = refused[f"attention.{name}"].reason
        assert "does not run without some of its units" in reason


def hugging_face(name, **more):
    transformers = pytest.importorskip("transformers")
    from neuron_pruning.any_network.sources import Logits

    config = getattr(transformers, f"{name}Config")(num_labels=3, image_size=16, **more)
    return Logits(getattr(transformers, f"{name}ForImageClassification")(config))


def timm_model(name, **more):
    return pytest.importorskip("timm").create_model(name, num_classes=3, **more)


SMALL = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24,
    "patch_size": 4,
}  # fmt: skip
TINY = {"img_size": 16, "patch_size": 4, "embed_dim": 32, "depth": 2, "num_heads": 4}
WINDOWS = {"patch_size": 2, "embed_dim": 24, "window_size": 4, "num_heads": (4, 4)}
TRANSFORMERS = {
    "ViT": lambda: hugging_face("ViT", **SMALL),
    "DeiT": lambda: hugging_face("DeiT", **SMALL),
    "BEiT": lambda: hugging_face("Beit", **SMALL, use_relative_position_bias=True),
    "Swin": lambda: hugging_face("Swin", **WINDOWS, depths=(1, 1)),
    "timm ViT": lambda: timm_model("vit_tiny_patch16_224", **TINY),
    "timm DeiT": lambda: timm_model("deit_tiny_patch16_224", **TINY),
    "timm Swin": lambda: timm_model(
        "swin_tiny_patch4_window7_224", img_size=16, **WINDOWS, depths=(1, 1)
    ),
}


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_heads_of_other_packages_are_found_cut_and_loaded(name, tmp_path):
    model = TRANSFORMERS[name]()
    batches = [images(8, 16, seed=seed).float() for seed in range(2)]
    found = found_in(model.double().eval(), 16)
    heads = [layer for layer in found.layers.values() if layer.kind == "heads"]
    assert [layer.units for layer in heads] == [4, 4]
    result = prune(
        model.float(), batches, layers={layer.name: 0.5 for layer in heads}, random_draws=1
    )
    assert [len(removed) for removed in result.cut.removed.values()] == [2, 2]
    result.save(tmp_path)
    loaded = load_pruned(tmp_path, TRANSFORMERS[name])
    with torch.inference_mode():
        assert torch.equal(loaded(batches[0]), result.model(batches[0]))
