"""What follows from a checked config: layers, grids, and the facts about each technique."""

from collections.abc import Mapping
from typing import Any

from neuron_pruning.core.errors import UserError
from neuron_pruning.models.architectures import PLANS
from neuron_pruning.pruning.techniques import find_technique, techniques


def input_size_of(config: Mapping[str, Any], name: str) -> list[int]:
    """Height and width in pixels that a model sees: its own, or those of the experiment."""
    size: list[int] = config["models"][name]["input_size"] or config["dataset"]["input_size"]
    return size


def convolutions_of(model: Mapping[str, Any], name: str) -> int:
    """Convolutions whose kernels the config counts and whose channels can be cut."""
    return len(PLANS.get(model["architecture"] or name, ()))


def hidden_layers(model: Mapping[str, Any]) -> list[str]:
    """Hidden fully connected layers of a model's section, input side first."""
    return [f"fc{number}" for number in range(1, len(model["widths"]) + 1)]


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
    hidden = hidden_layers(model)
    known = [*channels, *hidden]
    named = {
        "pruned": pruned_layers(model),
        "hidden": hidden,
        "convolutions": channels,
        "all": known,
    }
    wanted = named[cut["layers"]] if isinstance(cut["layers"], str) else cut["layers"]
    odd = ", ".join(sorted(set(wanted) - set(known)))
    if odd:
        raise UserError(f"layers: no hidden layer {odd}; there are {', '.join(known)}")
    return [layer for layer in known if layer in wanted]


def tried_on_test(config: Mapping[str, Any]) -> dict[str, int]:
    """Settings among which the test images chose each network's; 1 where they chose none."""
    selection, models = config["selection"], config["models"]
    chosen = set(config["run_models"]) - set(selection["fixed"])
    return {
        name: len(models[name]["learning_rates"]) * len(models[name]["batch_sizes"])
        if name in chosen and selection["subset"] == "test"
        else 1
        for name in config["run_models"]
    }


def technique_choices(pruning: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """All that a job must know of every technique, by its label.

    Raises:
        UserError: a technique, a setting or a compensation that does not exist or makes no sense.
    """
    choices = {}
    for label in dict.fromkeys([*pruning["techniques"], *techniques()]):
        given = pruning["techniques"].get(label, {})
        try:
            technique = find_technique(given.get("technique") or label)
            settings = {**technique.settings, **given.get("settings", {})}
            compensation = given.get("compensation") or technique.compensation
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
    compared = pruning["techniques_compared"]
    return list(dict.fromkeys([*(known if compared == "all" else compared), "random"]))
