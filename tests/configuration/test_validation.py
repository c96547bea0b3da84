import copy
import re
from pathlib import Path

import pytest
import yaml

from neuron_pruning import UserError, techniques
from neuron_pruning.configuration.validation import (
    check_config,
    compared_labels,
    cut_layers,
    technique_choices,
)

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "schemas" / "config.schema.yaml"
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
RUN = {"learning_rate": 0.0005, "batch_size": 64}


def changed(path, value):
    config = copy.deepcopy(CONFIG)
    *parents, last = path.split("/")
    place = config
    for name in parents:
        place = place[name]
    place[last] = value
    return config


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("training/epoch", 3, "training.epoch: unknown key; did you mean epochs?"),
        ("datsaet", {}, "datsaet: unknown key; did you mean dataset?"),
        ("models/vgg/learning_rates", ["5e-4"], "'5e-4' is no number; write 0.0005"),
        ("models/vgg/learning_rates", [0], "models.vgg.learning_rates.0: 0 is less than or equal"),
        ("models/vgg/learning_rates", [-0.1], "models.vgg.learning_rates.0: -0.1 is less than"),
        ("pruning/angles", [0], "pruning.angles.0: 0 is less than or equal to the minimum"),
        ("pruning/angles", [90.5], "pruning.angles.0: 90.5 is greater than the maximum of 90"),
        ("models/vgg/pruned_layer", "fc9", "no hidden layer 'fc9'; there are fc1, fc2, fc3, fc4"),
        (
            "pruning/techniques",
            {"magic": {}},
            "pruning.techniques.magic: no technique 'magic'; known: ablation, ",
        ),
        (
            "pruning/techniques",
            {"mine": {"technique": "l2", "compensation": "add"}},
            "pruning.techniques.mine: l2 removes units without merge targets, so add has nothing",
        ),
        (
            "pruning/techniques",
            {"mine": {"technique": "l2", "compensation": "fitted"}},
            "l2 fits no weights of its own, which fitted would take",
        ),
        (
            "pruning/techniques",
            {"apoz": {"settings": {"epsilom": 0.1}}},
            "apoz has no setting epsilom; known: epsilon",
        ),
        (
            "pruning/techniques",
            {"apoz": {"settings": {"epsilon": "small"}}},
            "epsilon must be a number of 0 or more; not 'small'",
        ),
        (
            "pruning/techniques",
            {"distinctiveness": {"settings": {"centring": "middle"}}},
            "centring must be one of half, mean, none; not 'middle'",
        ),
        ("pruning/written", ["magic"], "pruning.written: no technique 'magic'; known: dist"),
        ("pruning/compared", ["magic"], "pruning.compared: no technique 'magic'; known: dist"),
        (
            "pruning/cuts",
            {"mine": {"technique": "l2", "amount": 5, "layers": ["conv7"]}},
            "pruning.cuts.mine on alexnet: layers: no hidden layer conv7; there are conv1,",
        ),
        (
            "pruning/cuts",
            {"mine": {"technique": "variance", "amount": 0.5, "layers": "convolutions"}},
            "pruning.cuts.mine on alexnet: bias changes a bias or fits to one, which does not pass",
        ),
        (
            "pruning/cuts",
            {"mine": {"technique": "taylor", "amount": 5, "layers": "convolutions"}},
            "pruning.cuts.mine on alexnet: taylor needs the loss, which conv1 does not offer here",
        ),
        (
            "pruning/cuts",
            {"mine": {"technique": "distinctiveness", "amount": 30, "layers": ["conv6"]}},
            "pruning.cuts.mine on alexnet: distinctiveness centres by half, the middle of a sig",
        ),
        (
            "pruning/cuts",
            {"mine": {"technique": "magic", "amount": 5, "layers": "all"}},
            "pruning.cuts: no technique 'magic'; known: dist",
        ),
        (
            "models/vgg/pruned_layer",
            ["fc1", "fc5"],
            "no hidden layer 'fc5'; there are fc1, fc2, fc3, fc4",
        ),
        ("split", "magic", "split: 'magic' is none of splits: random, stratified, clip"),
        ("run_models", ["resnet"], "run_models: 'resnet' is none of models: alexnet, vgg"),
        ("comparison/splits", ["magic"], "comparison.splits: 'magic' is none of splits: random"),
        (
            "comparison/networks",
            [{"model": "x", "recipes": ["y"], "crops": ["none"], **RUN}],
            "comparison.networks.0.recipes: 'y' is none of recipes: as_written",
        ),
        (
            "comparison",
            {
                "splits": ["random"],
                "networks": [
                    {"model": "vgg", "recipes": ["as_written"], "crops": ["none"], **RUN}
                    | {"splits": ["spi"]}
                ],
            },
            "comparison.networks.0.splits: 'spi' is none of comparison.splits: random",
        ),
        (
            "models/vgg8/architecture",
            "torchvision/resnet99",
            "models.vgg8.architecture: unknown model 'torchvision/resnet99'; did you mean",
        ),
        (
            "models/alexnet/architecture",
            "torchvision/alexnet",
            "torchvision/alexnet has its own convolutions; write channels: []",
        ),
        (
            "dataset/input_size",
            [224, 300],
            "models.alexnet: images of 224 x 300 (height x width) are too small for alexnet: it",
        ),
        ("comparison/baselines", ["sheet"], "comparison.baselines: sheet needs baseline.sheet"),
        ("splits/random", {"protocol": "list"}, "splits.random.file: the protocol list needs one"),
        ("splits/random", {"protocol": "group", "file": "g.csv"}, "splits.random.column: the prot"),
        ("selection/on", "validation", "set splits.random.validation_fraction, 0.2 for instance"),
        (
            "models/vgg/architecture",
            "resnet18",
            "models.vgg.architecture: unknown model 'resnet18'; did you mean torchvision/resnet18",
        ),
        ("recipe", "magic", "recipe: 'magic' is none of recipes: as_written"),
        ("selection/fixed", {"vgg": {**RUN, "batch_size": 5}}, "not in the grid of models.vgg"),
        ("seeds", [0.0], "seeds.0: 0.0 is not of type 'integer'"),
        ("models/vgg/learning_rates", [float("nan")], "nan is no number"),
        (
            "models/vgg/channels",
            [8, 16],
            "models.vgg.channels: vgg takes 7 numbers of kernels, not 2",
        ),
        ("models/vgg", {"channels": [8]}, "'widths' is a required property"),
        ("training", {7: 1}, "training.7: unknown key"),
        ("seeds", [1, 1], "seeds: [1, 1] has non-unique elements"),
        ("experiment", "a/b", "experiment: 'a/b' does not match"),
        ("dataset/on_bad_image", "ignore", "'ignore' is not one of ['fail', 'skip']"),
    ],
)
def test_faults_name_the_key_and_the_remedy(path, value, message):
    with pytest.raises(UserError, match=re.escape(message)):
        check_config(changed(path, value), SCHEMA)


def test_a_bare_on_is_the_key_that_people_mean():
    config = changed("splits/random", {"protocol": "random", "validation_fraction": 0.2})
    config["selection"].update(yaml.safe_load("on: validation"))
    check_config(config, SCHEMA)
    assert config["selection"] == {"on": "validation", "fixed": {}}


def test_every_fault_is_named_at_once():
    config = changed("seeds", [])
    config["epochs"] = 3
    with pytest.raises(UserError, match=r"(?s)2 fault\(s\).*epochs.*seeds"):
        check_config(config, SCHEMA)


@pytest.mark.parametrize("path", [ROOT / "config.yaml", *(ROOT / "configs").glob("*.yaml")])
def test_shipped_configs_are_valid(path):
    from snakemake.utils import update_config

    config = copy.deepcopy(CONFIG)
    update_config(config, yaml.safe_load(path.read_text()))
    check_config(config, SCHEMA)
    rates = [r for m in config["models"].values() for r in m["learning_rates"]]
    assert all(isinstance(rate, float) for rate in rates)


def test_defaults_fill_what_is_missing_and_equal_the_shipped_config():
    config = {"experiment": "paper"}
    check_config(config, SCHEMA)
    shipped = copy.deepcopy(CONFIG)
    check_config(shipped, SCHEMA)
    for key in config.keys() - {"recipe", "recipes", "comparison"}:
        assert config[key] == shipped[key], key


def keys_of(schema, root, place=""):
    """Every property of the schema as (path, property)."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    for name, below in schema.get("properties", {}).items():
        yield f"{place}{name}", below, schema
        yield from keys_of(below, root, f"{place}{name}.")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from keys_of(schema["additionalProperties"], root, f"{place}*.")


def test_every_key_is_described_and_unknown_ones_are_refused():
    root = yaml.safe_load(SCHEMA.read_text())
    found = list(keys_of(root, root))
    assert len(found) > 50
    for path, below, parent in found:
        assert "description" in below or "$ref" in below or path == "experiment", path
        extra = parent["additionalProperties"]
        assert extra is False or set(extra) == {"$ref"}, path


def test_every_technique_has_its_authors_choice_and_labels_their_own():
    choices = technique_choices({"techniques": {"mine": {"technique": "apoz"}}})
    assert set(techniques()) < set(choices)
    assert choices["mine"]["settings"] == {"epsilon": 0.05}
    assert choices["noiseout"]["compensation"] == "affine"
    named = {"techniques": {"mine": {"technique": "apoz", "settings": {"epsilon": 0.2}}}}
    assert technique_choices(named)["mine"]["settings"] == {"epsilon": 0.2}


def test_random_removal_is_always_compared():
    assert compared_labels({"techniques": {}, "compared": ["l2"]}) == ["l2", "random"]
    assert set(compared_labels({"techniques": {}, "compared": "all"})) == set(techniques())


def test_layers_of_a_cut_go_from_the_input_side():
    model = {"widths": [8, 4], "pruned_layer": "fc2"}
    for given, wanted in (
        ("pruned", ["fc2"]),
        ("hidden", ["fc1", "fc2"]),
        ("convolutions", ["conv1", "conv2"]),
        ("all", ["conv1", "conv2", "fc1", "fc2"]),
        (["fc2", "conv2"], ["conv2", "fc2"]),
    ):
        assert cut_layers(model, {"layers": given}, 2) == wanted
