"""What one key of the config demands of another."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic_core import PydanticCustomError

from neuron_pruning.configuration.derived import (
    convolutions_of,
    cut_layers,
    input_size_of,
    pruned_layers,
    technique_choices,
)
from neuron_pruning.core.errors import UserError
from neuron_pruning.models.architectures import check_name, describe
from neuron_pruning.pruning.techniques import find_technique
from neuron_pruning.pruning.units import CONVOLUTIONS_OFFER

FAULTS = "faults"  # kind of the error that carries several, each with its key


def refuse(faults: Iterable[str]) -> None:
    """Make faults the error of a validator, if there are any.

    Raises:
        PydanticCustomError: of the kind ``FAULTS``, with the faults in its context.
    """
    found = list(faults)
    if found:
        raise PydanticCustomError(FAULTS, "{faults}", {"faults": found})


def cross_checks(config: Mapping[str, Any]) -> Iterator[str]:
    """Faults between sections; ``check_pruning`` has those within the section pruning."""
    unknown = list(_unknown_names(config))
    if unknown:
        yield from unknown
        return
    yield from _check_splits(config)
    yield from _check_selection(config)
    yield from _check_baselines(config)
    yield from _check_cuts(config)
    for name in config["models"]:
        yield from _check_model(config, name)


def _unknown_names(config: Mapping[str, Any]) -> Iterator[str]:
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
        for split in network["splits"] or []:
            if split not in comparison["splits"]:
                known = ", ".join(comparison["splits"])
                yield f"{place}.splits: {split!r} is none of comparison.splits: {known}"
    for place, section, names in places:
        for name in names:
            if name not in config[section]:
                yield f"{place}: {name!r} is none of {section}: {', '.join(config[section])}"


def _check_splits(config: Mapping[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys([config["split"], *config["comparison"]["splits"]]):
        split = config["splits"][name]
        needed = {"group": ("file", "column"), "list": ("file",)}.get(split["protocol"], ())
        for key in needed:
            if split[key] is None:
                yield f"splits.{name}.{key}: the protocol {split['protocol']} needs one"


def _check_selection(config: Mapping[str, Any]) -> Iterator[str]:
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


def _check_baselines(config: Mapping[str, Any]) -> Iterator[str]:
    asked = "feature_table" in config["comparison"]["baselines"]
    if asked and config["baseline"]["feature_table"] is None:
        yield (
            "comparison.baselines: feature_table needs baseline.feature_table, the spreadsheet of "
            "features"
        )


def _check_cuts(config: Mapping[str, Any]) -> Iterator[str]:
    for name in config["run_models"]:
        for cut, given in config["pruning"]["cuts"].items():
            try:
                model = config["models"][name]
                layers = cut_layers(model, given, convolutions_of(model, name))
                _check_convolutions(config["pruning"], given, layers)
            except UserError as error:
                yield f"pruning.cuts.{cut} on {name}: {error}"


def _check_convolutions(
    pruning: Mapping[str, Any], cut: Mapping[str, Any], layers: Sequence[str]
) -> None:
    """Refuse what convolutions cannot have."""
    choice = technique_choices(pruning).get(cut["technique"])
    convolutions = [layer for layer in layers if layer.startswith("conv")]
    if choice is None or not convolutions:
        return
    technique, settings = find_technique(choice["name"]), choice["settings"]
    reason = technique.refusal_of_layer(convolutions[0], CONVOLUTIONS_OFFER, settings)
    if reason is not None:
        raise UserError(reason)
    if choice["settings"].get("centring") == "half":
        raise UserError(
            f"{cut['technique']} centres by half, the middle of a sigmoid, and a ReLU has no "
            "middle; give it a label with centring mean"
        )
    if choice["compensation"] not in ("none", "add"):
        raise UserError(
            f"{choice['compensation']} changes a bias or fits to one, which does not pass through "
            f"the padded border of a convolution; give {cut['technique']} a label with the "
            "compensation none or add"
        )


def _check_model(config: Mapping[str, Any], name: str) -> Iterator[str]:
    model = config["models"][name]
    yield from _check_convolutional_part(config, name)
    hidden = [f"fc{number}" for number in range(1, len(model["widths"]) + 1)]
    for layer in pruned_layers(model):
        if layer not in hidden:
            yield (
                f"models.{name}.pruned_layer: no hidden layer {layer!r}; "
                f"there are {', '.join(hidden)}"
            )


def _check_convolutional_part(config: Mapping[str, Any], name: str) -> Iterator[str]:
    model = config["models"][name]
    architecture, layers = model["architecture"] or name, convolutions_of(model, name)
    used = {*config["run_models"], *(n["model"] for n in config["comparison"]["networks"])}
    try:
        check_name(architecture)
    except UserError as error:
        yield f"models.{name}.architecture: {error}"
        return
    if model["channels"] and not layers:
        yield f"models.{name}.channels: {architecture} has its own convolutions; write channels: []"
    elif model["channels"] and len(model["channels"]) != layers:
        yield (
            f"models.{name}.channels: {architecture} takes {layers} numbers of kernels, not "
            f"{len(model['channels'])}"
        )
    elif name in used:
        try:
            size = input_size_of(config, name)
            describe(architecture, size, [*model["widths"], 2], model["channels"])
        except UserError as error:
            yield f"models.{name}: {error}"


def check_pruning(pruning: Mapping[str, Any]) -> Iterator[str]:
    """Faults within the section pruning: techniques and labels that do not exist."""
    try:
        known = technique_choices(pruning)
    except UserError as error:
        yield str(error)
        return
    named = {
        "saved_techniques": pruning["saved_techniques"],
        "cuts": [cut["technique"] for cut in pruning["cuts"].values()],
    }
    if pruning["techniques_compared"] != "all":
        named["techniques_compared"] = pruning["techniques_compared"]
    for key, labels in named.items():
        for label in labels:
            if label not in known:
                yield f"pruning.{key}: no technique {label!r}; known: {', '.join(known)}"
