"""What one key of the config demands of another."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from pydantic_core import PydanticCustomError

from neuron_pruning.configuration.derived import (
    convolutions_of,
    cut_layers,
    hidden_layers,
    input_size_of,
    pruned_layers,
    technique_choices,
)
from neuron_pruning.core.errors import UserError
from neuron_pruning.data.named_datasets import check_named, is_named
from neuron_pruning.models.architectures import check_name, describe
from neuron_pruning.pruning.compensations import refusal_of_channels
from neuron_pruning.pruning.techniques import find_technique
from neuron_pruning.pruning.units import CONVOLUTIONS_OFFER

FAULTS = "faults"  # kind of the error that carries several, each with its key
Checked = Mapping[str, Any]


def refuse(faults: Iterable[str]) -> None:
    """Make faults the error of a validator, if there are any.

    Raises:
        PydanticCustomError: of the kind ``FAULTS``, with the faults in its context.
    """
    found = list(faults)
    if found:
        raise PydanticCustomError(FAULTS, "{faults}", {"faults": found})


def check_sections(config: Checked) -> None:
    """Refuse faults between sections; ``check_pruning`` has those within the section pruning."""
    refuse(_unknown_names(config))
    checks = (
        _check_datasets, _check_split, _check_selection, _check_cuts, _check_models,
        _check_networks, _check_network_pruning,
    )  # fmt: skip
    refuse(chain.from_iterable(check(config) for check in checks))


def comparison_faults(config: Checked) -> Iterator[str]:
    """Faults in what Table 7 alone needs, of a checked config: they stop nothing else."""
    comparison = config["comparison"]
    if not comparison["splits"]:
        return
    for name in comparison["splits"]:
        yield from _lacks_file(config, name)
    yield from _check_baselines(config)
    for number, network in enumerate(comparison["networks"]):
        for fault in _check_size(config, network["model"]):
            yield (
                f"comparison.networks.{number}: {fault}; name another model there, or leave Table "
                "7 out by comparison.splits: []"
            )


def _unknown_names(config: Checked) -> Iterator[str]:
    """Names of sections that are not there."""
    comparison = config["comparison"]
    places = [
        ("recipe", "recipes", [config["recipe"]]),
        ("split", "splits", [config["split"]]),
        ("run_models", "models", config["run_models"]),
        ("selection.fixed", "models", config["selection"]["fixed"]),
        ("comparison.splits", "splits", comparison["splits"]),
    ]
    for number, network in enumerate(comparison["networks"]):
        place = f"comparison.networks.{number}"
        places.append((f"{place}.model", "models", [network["model"]]))
        places.append((f"{place}.recipes", "recipes", network["recipes"]))
        known = comparison["splits"]
        yield from _missing(f"{place}.splits", "comparison.splits", network["splits"] or [], known)
    for place, section, names in places:
        yield from _missing(place, section, names, config[section])


def _missing(place: str, section: str, names: Iterable[str], known: Iterable[str]) -> Iterator[str]:
    for name in names:
        if name not in known:
            yield f"{place}: {name!r} is none of {section}: {', '.join(known)}"


def _check_datasets(config: Checked) -> Iterator[str]:
    """Names of data sets that do not exist, wherever a folder of images is asked for."""
    places = {"dataset.path": config["dataset"]["path"]}
    for name, network in config["networks"].items():
        for kind in ("calibration", "evaluation"):
            places[f"networks.{name}.{kind}"] = network[kind]
    for place, path in places.items():
        if is_named(path):
            try:
                check_named(path)
            except UserError as error:
                yield f"{place}: {error}"


def _check_split(config: Checked) -> Iterator[str]:
    yield from _lacks_file(config, config["split"])


def _lacks_file(config: Checked, name: str) -> Iterator[str]:
    split = config["splits"][name]
    for key in {"group": ("file", "column"), "list": ("file",)}.get(split["protocol"], ()):
        if split[key] is None:
            yield f"splits.{name}.{key}: the protocol {split['protocol']} needs one"


def _check_selection(config: Checked) -> Iterator[str]:
    selection, split = config["selection"], config["splits"][config["split"]]
    has_validation = split["protocol"] == "list" or split["validation_fraction"] > 0
    if selection["subset"] == "validation" and not has_validation:
        yield (
            "selection.subset: validation needs images that neither train nor test; "
            f"set splits.{config['split']}.validation_fraction, 0.2 for instance"
        )
    for name, cell in selection["fixed"].items():
        model = config["models"][name]
        if cell["learning_rate"] not in model["learning_rates"] or (
            cell["batch_size"] not in model["batch_sizes"]
        ):
            yield f"selection.fixed.{name}: {cell} is not in the grid of models.{name}"


def _check_baselines(config: Checked) -> Iterator[str]:
    asked = "feature_table" in config["comparison"]["baselines"]
    if asked and config["baseline"]["feature_table"] is None:
        yield (
            "comparison.baselines: feature_table needs baseline.feature_table, the spreadsheet of "
            "features"
        )


def _check_cuts(config: Checked) -> Iterator[str]:
    for name in config["run_models"]:
        model = config["models"][name]
        for cut, given in config["pruning"]["cuts"].items():
            try:
                layers = cut_layers(model, given, convolutions_of(model, name))
                _check_convolutions(config["pruning"], given["technique"], layers)
            except UserError as error:
                yield f"pruning.cuts.{cut} on {name}: {error}"


def _check_convolutions(pruning: Checked, label: str, layers: Sequence[str]) -> None:
    """Refuse what convolutions cannot have."""
    choice = technique_choices(pruning).get(label)
    convolutions = [layer for layer in layers if layer.startswith("conv")]
    if choice is None or not convolutions:
        return
    technique, settings = find_technique(choice["name"]), choice["settings"]
    reason = technique.refusal_of_layer(convolutions[0], CONVOLUTIONS_OFFER, settings)
    if reason is not None:
        raise UserError(reason)
    if settings.get("centring") == "half":
        raise UserError(
            f"{label} centres by half, the middle of a sigmoid, and a ReLU has no middle; give it "
            "a label with centring mean"
        )
    reason = refusal_of_channels(choice["compensation"])
    if reason is not None:
        raise UserError(f"no channels with {reason}; give {label} the compensation none or add")


def _check_models(config: Checked) -> Iterator[str]:
    for name, model in config["models"].items():
        yield from _check_architecture(config, name)
        hidden = hidden_layers(model)
        for layer in pruned_layers(model):
            if layer not in hidden:
                there = ", ".join(hidden)
                yield f"models.{name}.pruned_layer: no hidden layer {layer!r}; there are {there}"


def _check_architecture(config: Checked, name: str) -> Iterator[str]:
    model, place = config["models"][name], f"models.{name}"
    architecture, channels = model["architecture"] or name, model["channels"]
    layers = convolutions_of(model, name)
    try:
        check_name(architecture)
    except UserError as error:
        yield f"{place}.architecture: {error}"
        return
    if channels and not layers:
        yield f"{place}.channels: {architecture} has its own convolutions; write channels: []"
    elif channels and len(channels) != layers:
        given = f"{layers} numbers of kernels, not {len(channels)}"
        yield f"{place}.channels: {architecture} takes {given}"
    elif name in config["run_models"]:
        for fault in _check_size(config, name):
            yield f"run_models: {fault}"


def _check_size(config: Checked, name: str) -> Iterator[str]:
    """Whether a model can be built for the images that it sees."""
    model, size = config["models"][name], input_size_of(config, name)
    try:
        describe(model["architecture"] or name, size, [*model["widths"], 2], model["channels"])
    except UserError as error:
        key = f"models.{name}" if model["input_size"] else "dataset"
        yield f"models.{name}: {error} ({key}.input_size)"


def check_pruning(pruning: Checked) -> Iterator[str]:
    """Faults within the section pruning: techniques and labels that do not exist."""
    try:
        known = technique_choices(pruning)
    except UserError as error:
        yield str(error)
        return
    compared = pruning["techniques_compared"]
    named = {
        "saved_techniques": pruning["saved_techniques"],
        "cuts": [cut["technique"] for cut in pruning["cuts"].values()],
        "techniques_compared": [] if compared == "all" else compared,
    }
    for key, labels in named.items():
        for label in labels:
            if label not in known:
                yield f"pruning.{key}: no technique {label!r}; known: {', '.join(known)}"


def _check_networks(config: Checked) -> Iterator[str]:
    for name, network in config["networks"].items():
        if network["weights"] is not None and network["source"].endswith(".safetensors"):
            yield f"networks.{name}.weights: {network['source']} holds its own; leave them out"
        if network["calibration"] == network["evaluation"]:
            yield (
                f"networks.{name}.evaluation: is the folder of calibration, so that pruning would "
                "be judged by what it was fitted on; give other images"
            )
        given = network["input"]
        if given is not None and not len(given["mean"]) == len(given["std"]) != 2:
            yield (
                f"networks.{name}.input: mean and std need one number for grey images or three for "
                "RGB"
            )


def _check_network_pruning(config: Checked) -> Iterator[str]:
    """Labels of techniques that do not exist, or that take no number of units."""
    known = technique_choices(config["pruning"])
    for label in config["network_pruning"]["techniques"]:
        if label not in known:
            yield f"network_pruning.techniques: no technique {label!r}; known: {', '.join(known)}"
        elif known[label]["amount"] == "angle":
            yield (
                f"network_pruning.techniques: {label} takes an angle, so it cannot meet a share of "
                "multiply-adds; Table 9 counts the pairs within network_pruning.angles"
            )
        else:
            yield from _needs_more(label, known[label])


def _needs_more(label: str, choice: Checked) -> Iterator[str]:
    """What a technique needs and no network offers that was trained elsewhere."""
    technique = find_technique(choice["name"])
    reason = technique.refusal_of_layer("a network trained elsewhere", "gates", choice["settings"])
    if technique.name == "karnin":
        reason = f"{label} needs what training by the workflow records"
    if reason is not None:
        yield f"network_pruning.techniques: {reason}"
