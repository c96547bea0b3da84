"""The config against its schema: defaults filled in, errors said for a person."""

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError, validators

from neuron_pruning.core.errors import UserError
from neuron_pruning.models.architectures import PLANS, check_name, describe
from neuron_pruning.pruning.techniques import find_technique, techniques
from neuron_pruning.pruning.units import CONVOLUTIONS_OFFER


def _is_integer(_checker: object, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(checker: object, value: object) -> bool:
    return _is_integer(checker, value) or (isinstance(value, float) and math.isfinite(value))


CONVOLUTIONS = {name: len(plan) for name, plan in PLANS.items()}

# JSON Schema takes 64.0 for an integer, which would end up in paths; YAML knows .nan and .inf.
STRICT = Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer).redefine(
    "number", _is_number
)


def check_config(config: dict[str, Any], schema_path: Path) -> None:
    """Fill the schema's defaults into ``config`` and check it.

    Raises:
        UserError: every fault with its key and remedy.
    """
    schema = yaml.safe_load(schema_path.read_text(encoding="utf-8"))
    _spell_out_on(config)
    _fill_defaults(config, schema, schema)
    validator = validators.extend(Draft202012Validator, type_checker=STRICT)(schema)
    faults = [line for error in validator.iter_errors(config) for line in _explain(error)]
    faults = faults or list(_cross_checks(config))
    if faults:
        listed = "\n".join(f"  {fault}" for fault in faults)
        raise UserError(f"the config has {len(faults)} fault(s):\n{listed}")


def _spell_out_on(config: dict[str, Any]) -> None:
    """``selection: {on: ...}``: YAML reads a bare ``on`` as true, here and nowhere else a key."""
    selection = config.get("selection")
    if isinstance(selection, dict) and True in selection:
        selection["on"] = selection.pop(True)


def _resolve(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = schema.get("$ref")
    return schema if reference is None else root["$defs"][reference.rsplit("/", 1)[1]]


def _fill_defaults(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> None:
    """Set missing keys to the schema's defaults, at every depth."""
    resolved = _resolve(schema, root)
    if not isinstance(value, dict):
        return
    for key, below in resolved.get("properties", {}).items():
        if "default" in below and key not in value:
            default = below["default"]
            value[key] = dict(default) if isinstance(default, dict) else default
        if key in value:
            _fill_defaults(value[key], below, root)
    extra = resolved.get("additionalProperties")
    if isinstance(extra, dict):
        for key in value.keys() - resolved.get("properties", {}).keys():
            _fill_defaults(value[key], extra, root)


def _explain(error: ValidationError) -> Iterator[str]:
    place = ".".join(str(step) for step in error.absolute_path)
    if error.validator == "additionalProperties":
        known = list(error.schema["properties"])
        for key in error.instance.keys() - set(known):
            near = difflib.get_close_matches(str(key), known, n=1)
            meant = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
            yield f"{place + '.' if place else ''}{key}: unknown key; {meant}"
    elif error.validator == "type" and error.validator_value == "number":
        yield (
            f"{place}: {error.instance!r} is no number; "
            "write 0.0005 rather than 5e-4, and no quotes"
        )
    else:
        yield f"{place or 'config'}: {error.message}"


def _cross_checks(config: Mapping[str, Any]) -> Iterator[str]:
    """What one key demands of another."""
    unknown = list(_unknown_names(config))
    if unknown:
        yield from unknown
        return
    yield from _check_splits(config)
    yield from _check_pruning(config["pruning"])
    yield from _check_cuts(config)
    for name in config["models"]:
        yield from _check_model(config, name)
    for name, cell in config["selection"]["fixed"].items():
        model = config["models"][name]
        if cell["learning_rate"] not in model["learning_rates"] or (
            cell["batch_size"] not in model["batch_sizes"]
        ):
            yield f"selection.fixed.{name}: {cell} is not in the grid of models.{name}"


def _unknown_names(config: Mapping[str, Any]) -> Iterator[str]:
    """Names of sections that are not there."""
    compared = config["comparison"]
    places = [
        ("recipe", "recipes", [config["recipe"]]),
        ("split", "splits", [config["split"]]),
        ("run_models", "models", config["run_models"]),
        ("selection.fixed", "models", config["selection"]["fixed"]),
        ("comparison.splits", "splits", compared["splits"]),
    ]
    for number, network in enumerate(compared["networks"]):
        place = f"comparison.networks.{number}"
        places.append((f"{place}.model", "models", [network["model"]]))
        places.append((f"{place}.recipes", "recipes", network["recipes"]))
        for split in network.get("splits", []):
            if split not in compared["splits"]:
                known = ", ".join(compared["splits"])
                yield f"{place}.splits: {split!r} is none of comparison.splits: {known}"
    for place, section, names in places:
        for name in names:
            if name not in config[section]:
                yield f"{place}: {name!r} is none of {section}: {', '.join(config[section])}"


def _check_splits(config: Mapping[str, Any]) -> Iterator[str]:
    used = dict.fromkeys([config["split"], *config["comparison"]["splits"]])
    for name in used:
        split = config["splits"][name]
        needed = {"group": ("file", "column"), "list": ("file",)}.get(split["protocol"], ())
        for key in needed:
            if split[key] is None:
                yield f"splits.{name}.{key}: the protocol {split['protocol']} needs one"
    main = config["splits"][config["split"]]
    if (
        config["selection"]["on"] == "validation"
        and main["protocol"] != "list"
        and main["validation_fraction"] == 0
    ):
        yield (
            "selection.on: validation needs images that neither train nor test; "
            f"set splits.{config['split']}.validation_fraction, 0.2 for instance"
        )
    if "sheet" in config["comparison"]["baselines"] and config["baseline"]["sheet"] is None:
        yield "comparison.baselines: sheet needs baseline.sheet, the spreadsheet of features"


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


def input_size_of(config: Mapping[str, Any], name: str) -> list[int]:
    """Height and width in pixels that a model sees: its own, or those of the experiment."""
    size: list[int] = config["models"][name]["input_size"] or config["dataset"]["input_size"]
    return size


def convolutions_of(model: Mapping[str, Any], name: str) -> int:
    """Convolutions whose kernels the config counts and whose channels can be cut."""
    return CONVOLUTIONS.get(model["architecture"] or name, 0)


def hyper_parameters(model: Mapping[str, Any]) -> list[dict[str, float]]:
    """Cells of a model's grid."""
    return [
        {"learning_rate": learning_rate, "batch_size": batch_size}
        for batch_size in model["batch_sizes"]
        for learning_rate in model["learning_rates"]
    ]


def pruned_layers(model: Mapping[str, Any]) -> list[str]:
    """Pruned layers of a model's section, one or several."""
    named = model["pruned_layer"]
    return [named] if isinstance(named, str) else list(named)


def cut_layers(model: Mapping[str, Any], cut: Mapping[str, Any], convolutions: int) -> list[str]:
    """Layers that a cut takes units or channels from, input side first.

    Raises:
        UserError: a layer that the model does not have.
    """
    channels = [f"conv{number}" for number in range(1, convolutions + 1)]
    hidden = [f"fc{number}" for number in range(1, len(model["widths"]) + 1)]
    named = {
        "pruned": pruned_layers(model),
        "hidden": hidden,
        "convolutions": channels,
        "all": [*channels, *hidden],
    }
    wanted = named[cut["layers"]] if isinstance(cut["layers"], str) else cut["layers"]
    odd = sorted(set(wanted) - {*channels, *hidden})
    if odd:
        known = ", ".join([*channels, *hidden])
        raise UserError(f"layers: no hidden layer {', '.join(odd)}; there are {known}")
    return [layer for layer in [*channels, *hidden] if layer in wanted]


def technique_choices(pruning: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """All that a job must know of every technique, by its label.

    Raises:
        UserError: a technique, a setting or a compensation that does not exist or makes no sense.
    """
    choices = {}
    for label in dict.fromkeys([*pruning["techniques"], *techniques()]):
        given = pruning["techniques"].get(label, {})
        try:
            technique = find_technique(given.get("technique", label))
            settings = {**technique.settings, **given.get("settings", {})}
            compensation = given.get("compensation", technique.compensation)
            technique.check_settings(settings)
            technique.check_compensation(compensation)
        except UserError as error:
            raise UserError(f"pruning.techniques.{label}: {error}") from error
        choices[label] = {
            "name": technique.name,
            "amount": technique.amount,
            "largest": technique.largest,
            "compensation": compensation,
            "settings": settings,
        }
    return choices


def compared_labels(pruning: Mapping[str, Any]) -> list[str]:
    """Labels of the techniques of Table 5; random, which the others are compared with, is one."""
    known = technique_choices(pruning)
    wanted = list(known) if pruning["compared"] == "all" else pruning["compared"]
    return list(dict.fromkeys([*wanted, "random"]))


def _check_pruning(pruning: Mapping[str, Any]) -> Iterator[str]:
    try:
        known = technique_choices(pruning)
    except UserError as error:
        yield str(error)
        return
    named = {"written": pruning["written"]}
    named["cuts"] = [cut["technique"] for cut in pruning["cuts"].values()]
    if pruning["compared"] != "all":
        named["compared"] = pruning["compared"]
    for key, labels in named.items():
        for label in labels:
            if label not in known:
                yield f"pruning.{key}: no technique {label!r}; known: {', '.join(known)}"


def _check_cuts(config: Mapping[str, Any]) -> Iterator[str]:
    for name in config["run_models"]:
        for cut, given in config["pruning"]["cuts"].items():
            try:
                model = config["models"][name]
                layers = cut_layers(model, given, convolutions_of(model, name))
                _check_convolutions(config["pruning"], given, layers)
            except UserError as error:
                yield f"pruning.cuts.{cut} on {name}: {error}"
