import copy
import datetime
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from neuron_pruning import UserError
from neuron_pruning.configuration.fields import merged
from neuron_pruning.configuration.models import Config
from neuron_pruning.configuration.validation import (
    RENAMED_KEYS,
    RENAMED_VALUES,
    check_comparison,
    check_config,
)

ROOT = Path(__file__).parents[2]
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
RUN = {"learning_rate": 0.0005, "batch_size": 64}


def changed(path, value):
    config = copy.deepcopy(CONFIG)
    *parents, last = path.split("/")
    place = config
    for name in parents:
        place = place.setdefault(name, {})
    place[last] = value
    return config


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("training/epoch", 3, "training.epoch: unknown key; did you mean epochs?"),
        ("datsaet", {}, "datsaet: unknown key; did you mean dataset?"),
        ("models/vgg/learning_rates", ["5e-4"], "'5e-4' is no number; write 0.0005"),
        (
            "models/vgg/learning_rates",
            [0],
            "models.vgg.learning_rates.0: must be greater than 0; not 0",
        ),
        (
            "models/vgg/learning_rates",
            [-0.1],
            "models.vgg.learning_rates.0: must be greater than 0; not -0.1",
        ),
        ("pruning/angles", [0], "pruning.angles.0: must be greater than 0; not 0"),
        ("pruning/angles", [90.5], "pruning.angles.0: must be less than or equal to 90; not 90.5"),
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
        (
            "pruning/saved_techniques",
            ["magic"],
            "pruning.saved_techniques: no technique 'magic'; known: dist",
        ),
        (
            "pruning/techniques_compared",
            ["magic"],
            "pruning.techniques_compared: no technique 'magic'; known: dist",
        ),
        (
            "pruning/cuts",
            {"mine": {"technique": "l2", "amount": 5, "layers": ["conv7"]}},
            "pruning.cuts.mine on alexnet: layers: no hidden layer conv7; there are conv1,",
        ),
        (
            "pruning/cuts",
            {"mine": {"technique": "variance", "amount": 0.5, "layers": "convolutions"}},
            "pruning.cuts.mine on alexnet: no channels with bias: it gives the next layer a bias, "
            "which does not pass",
        ),
        (
            "pruning/cuts",
            {"mine": {"technique": "taylor", "amount": 5, "layers": "convolutions"}},
            "pruning.cuts.mine on alexnet: taylor needs the gates, which conv1 does not offer here",
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
        (
            "comparison/baselines",
            ["feature_table"],
            "comparison.baselines: feature_table needs baseline.feature_table",
        ),
        ("splits/random", {"protocol": "list"}, "splits.random.file: the protocol list needs one"),
        ("splits/random", {"protocol": "group", "file": "g.csv"}, "splits.random.column: the prot"),
        (
            "selection/subset",
            "validation",
            "test; set splits.random.validation_fraction, 0.2 for instance",
        ),
        (
            "models/vgg/architecture",
            "resnet18",
            "models.vgg.architecture: unknown model 'resnet18'; did you mean torchvision/resnet18",
        ),
        ("recipe", "magic", "recipe: 'magic' is none of recipes: as_written"),
        ("selection/fixed", {"vgg": {**RUN, "batch_size": 5}}, "not in the grid of models.vgg"),
        ("seeds", [0.0], "seeds.0: must be a valid integer; not 0.0"),
        ("seeds", [True], "seeds.0: must be a valid integer; not True"),
        ("models/vgg/learning_rates", [True], "models.vgg.learning_rates.0: True is no number"),
        ("models/vgg/learning_rates", [float("inf")], "inf is no number"),
        ("evaluation/batch_size", 64.0, "evaluation.batch_size: must be a valid integer; not 64.0"),
        ("dataset/crop", False, "YAML reads on, off, yes and no as true and false: quote them"),
        ("training", [1], "training: must be a section with keys of its own; not [1]"),
        (
            "models/alexnet/pruned_layer",
            3,
            "models.alexnet.pruned_layer: must be a valid string; not 3",
        ),
        ("pruning/techniques_compared", "al", "techniques_compared: must be 'all'; not 'al'"),
        ("pruning/cuts/paper/layers", "conv1", "cuts.paper.layers: must be 'pruned', 'hidden', "),
        ("models/my net", {}, "models.my net: must match pattern"),
        ("recipes/faces/optimizer", {}, "recipes.faces.optimizer: unknown key; did you mean opt"),
        (
            "selection/fixed/vgg",
            {"epochs": 1},
            "selection.fixed.vgg.epochs: unknown key; known: le",
        ),
        ("pruning/techniques/apoz", {"settings": {"epsilon": [0.1]}}, "must be a word or a number"),
        ("models/vgg/learning_rates", [float("nan")], "nan is no number"),
        (
            "models/vgg/channels",
            [8, 16],
            "models.vgg.channels: vgg takes 7 numbers of kernels, not 2",
        ),
        ("models/mine", {"channels": [8]}, "models.mine.widths: is required and has no default"),
        ("training", {7: 1}, "training.7: every key must be text; quote it"),
        ("seeds", [1, 1], "seeds: must hold every item once; not [1, 1]"),
        ("experiment", "a/b", "experiment: must match pattern"),
        ("dataset/on_bad_image", "ignore", "on_bad_image: must be 'fail' or 'skip'; not 'ignore'"),
    ],
)
def test_faults_name_the_key_and_the_remedy(path, value, message):
    with pytest.raises(UserError, match=re.escape(message)):
        config = changed(path, value)
        check_config(config)
        check_comparison(config)


@pytest.mark.parametrize(("old", "new"), RENAMED_KEYS.items())
def test_keys_of_earlier_versions_are_refused_with_their_new_name(old, new):
    with pytest.raises(UserError, match=re.escape(f"{old}: this key is now {new}")):
        check_config(changed(old.replace(".", "/"), None))
    config = {}
    check_config(config)
    for step in new.split("."):
        config = config[step]


def test_a_bare_on_is_the_old_key_too():
    config = {"selection": yaml.safe_load("on: validation")}
    with pytest.raises(UserError, match=r"selection\.on: this key is now selection\.subset"):
        check_config(config)


@pytest.mark.parametrize(("place", "old"), RENAMED_VALUES)
def test_values_of_earlier_versions_are_refused_with_their_new_name(place, old):
    value, new = [old] if place == "comparison.baselines" else old, RENAMED_VALUES[place, old]
    with pytest.raises(UserError, match=re.escape(f"{place}") + rf"(\.0)?: {old} is now {new}"):
        check_config(changed(place.replace(".", "/"), value))
    new_value = [new] if place == "comparison.baselines" else new
    config = changed(place.replace(".", "/"), new_value)
    config["baseline"]["feature_table"] = "SFEW.xlsx"
    check_config(config)


COMMAND_LINE = "write such lists and sections in a file, and name that with --configfile"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("seeds", ["0", "1"]),  # --config seeds=[0,1]
        ("seeds", "[0, 1]"),
        ("training", {"epochs": "11"}),
        ("training", "{epochs: 11}"),
        ("models/vgg/learning_rates", ["0.1"]),
        ("controls/untrained", "true"),
        ("dataset/near_duplicate_distance", "null"),
    ],
)
def test_texts_that_stand_for_something_else_lead_to_a_file(path, value):
    with pytest.raises(UserError, match=re.escape(path.split("/")[0])) as error:
        check_config(changed(path, value))
    assert COMMAND_LINE in str(error.value)


@pytest.mark.parametrize("value", ["many", "", "5e-4", "&a [*a]", "a: b: c"])
def test_other_texts_lead_to_none(value):
    with pytest.raises(UserError, match="seeds") as error:
        check_config({"seeds": [value]})
    assert COMMAND_LINE not in str(error.value) or value.startswith("&")


@pytest.mark.parametrize("value", [2024, 1.5, float("nan"), datetime.date(2024, 1, 1)])
@pytest.mark.parametrize("path", ["experiment", "dataset/path"])
def test_numbers_where_a_text_belongs_lead_to_quotes(path, value):
    with pytest.raises(UserError, match=r"must be a valid string; not .*; quote it"):
        check_config(changed(path, value))


SMALL = {"dataset": {"input_size": [64, 64]}, "run_models": ["vgg8"]}


def test_only_what_runs_is_checked():
    """Of networks for Table 7 the check of Table 7 alone knows."""
    config = copy.deepcopy(SMALL)
    check_config(config)
    with pytest.raises(UserError) as error:
        check_comparison(config)
    told = str(error.value)
    assert "comparison.networks.0: models.alexnet: images of 64 x 64" in told
    assert "291 x 291" in told and "comparison.splits: []" in told
    for without in ({"splits": []}, {"networks": []}):
        config = {**copy.deepcopy(SMALL), "comparison": without}
        check_config(config)
        check_comparison(config)


@pytest.mark.parametrize("own", [True, False])
def test_an_image_too_small_for_what_runs_names_the_keys(own):
    config = {"run_models": ["vgg"], "dataset": {"input_size": [400, 400] if own else [64, 64]}}
    if own:
        config["models"] = {"vgg": {"input_size": [64, 64]}}
    key = "models.vgg.input_size" if own else "dataset.input_size"
    with pytest.raises(UserError, match=rf"run_models: models\.vgg: .*128 x 128.*{key}"):
        check_config(config)


def test_what_the_comparison_lacks_stops_nothing_else():
    config = {
        "splits": {"persons": {"protocol": "group"}},
        "comparison": {"splits": ["persons"], "baselines": ["feature_table"]},
    }
    check_config(config)
    with pytest.raises(UserError, match=r"(?s)3 fault.*persons\.file.*persons\.column.*feature_t"):
        check_comparison(config)
    config["split"] = "persons"
    with pytest.raises(UserError, match=r"splits\.persons\.file: the protocol group needs one"):
        check_config(config)


def test_every_fault_is_named_at_once():
    config = changed("seeds", [])
    config["epochs"] = 3
    with pytest.raises(UserError, match=r"(?s)2 fault\(s\).*epochs.*seeds"):
        check_config(config)


@pytest.mark.parametrize("path", [ROOT / "config.yaml", *(ROOT / "configs").glob("*.yaml")])
def test_example_configs_are_valid(path):
    from snakemake.utils import update_config

    config = copy.deepcopy(CONFIG)
    update_config(config, yaml.safe_load(path.read_text()))
    check_config(config)
    rates = [r for m in config["models"].values() for r in m["learning_rates"]]
    assert all(isinstance(rate, float) for rate in rates)


def test_defaults_fill_what_is_missing_and_equal_the_example_config():
    config = {"experiment": "paper"}
    check_config(config)
    example = copy.deepcopy(CONFIG)
    check_config(example)
    assert list(config) == list(example) == list(Config.model_fields)
    assert config == example


def test_config_yaml_shows_little():
    assert len((ROOT / "config.yaml").read_text().splitlines()) <= 100


def test_a_checked_config_stays_as_it_is():
    config = copy.deepcopy(CONFIG)
    check_config(config)
    again = copy.deepcopy(config)
    check_config(again)
    assert again == config


def test_whole_numbers_stay_whole():
    """They stand in paths: amount~15 must not become amount~15.0."""
    config = {"pruning": {"angles": [15, 7.5]}, "models": {"vgg": {"learning_rates": [1]}}}
    check_config(config)
    numbers = [*config["pruning"]["angles"], *config["models"]["vgg"]["learning_rates"]]
    assert list(map(repr, numbers)) == ["15", "7.5", "1"]


def test_single_keys_of_built_in_entries_can_be_set():
    config = {
        "recipes": {"faces": {"epochs": 1, "optimiser": {"weight_decay": 0.1}}},
        "splits": {"mine": {"protocol": "clip", "folds": 3}},
        "models": {"vgg8": {"batch_sizes": [16]}},
        "pruning": {"techniques": {"distinctiveness": {"settings": {"centring": "mean"}}}},
    }
    built_in = {}
    check_config(built_in)
    check_config(config)
    wanted = copy.deepcopy(built_in)
    wanted["recipes"]["faces"]["epochs"] = 1
    wanted["recipes"]["faces"]["optimiser"]["weight_decay"] = 0.1
    wanted["models"]["vgg8"]["batch_sizes"] = [16]
    wanted["pruning"]["techniques"]["distinctiveness"]["settings"]["centring"] = "mean"
    assert config["splits"].pop("mine")["folds"] == 3
    assert config == wanted
    unchanged = {}
    check_config(unchanged)
    assert unchanged == built_in


def test_merging_replaces_what_is_no_dictionary_on_both_sides():
    below = {"a": {"b": 1, "c": [1, 2]}, "d": 4}
    assert merged(below, {"a": {"c": [3]}, "d": {"e": 5}}) == {
        "a": {"b": 1, "c": [3]},
        "d": {"e": 5},
    }
    assert merged(below, None) is None
    assert below == {"a": {"b": 1, "c": [1, 2]}, "d": 4}


def test_values_that_hold_themselves_or_are_endless_are_one_error():
    loop = []
    loop.append(loop)
    for value in (loop, -(10**5000), {"a": [[[[[[loop]]]]]]}, "x" * 10**6):
        with pytest.raises(UserError, match="seeds") as error:
            check_config({"seeds": [value]})
        assert len(str(error.value)) < 2000


def test_a_config_is_checked_without_pytorch():
    code = (
        "import sys; from neuron_pruning.configuration.validation import check_config; "
        "check_config({}); print([m for m in ('torch', 'sklearn', 'skimage') if m in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "[]\n"
