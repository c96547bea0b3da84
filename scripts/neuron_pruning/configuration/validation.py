"""The check of a config: defaults are filled in, and every fault is explained."""

import difflib
import re
import reprlib
from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from neuron_pruning.configuration.cross_checks import FAULTS
from neuron_pruning.configuration.fields import Section
from neuron_pruning.configuration.models import Config
from neuron_pruning.configuration.models_training import LIST, WORD
from neuron_pruning.core.errors import UserError

# Keys and values of earlier versions, refused with their new names.
RENAMED_KEYS = {
    "dataset.near_identical": "dataset.near_duplicate_distance",
    "selection.on": "selection.subset",
    "pruning.written": "pruning.saved_techniques",
    "pruning.compared": "pruning.techniques_compared",
    "pruning.sweep.most_counts": "pruning.sweep.max_points",
    "pruning.fine_tuning.trains": "pruning.fine_tuning.trainable",
    "baseline.sheet": "baseline.feature_table",
    "baseline.machine": "baseline.svm",
}
RENAMED_VALUES = {
    ("pruning.fine_tuning.trainable", "behind"): "downstream",
    ("pruning.fine_tuning.trainable", "network"): "all",
    ("comparison.baselines", "sheet"): "feature_table",
}
UNKNOWN_KEY = ("extra_forbidden", "invalid_key")
NO_STEPS = (WORD, LIST, "[key]")  # what pydantic adds to the place of an error


def check_config(config: dict[str, Any]) -> None:
    """Fill the defaults into ``config`` and check it.

    Args:
        config: Nested dictionaries as YAML has them, perhaps merged of several files; afterwards
            it holds every key.

    Raises:
        UserError: every fault with its key and remedy.
    """
    _spell_out_on(config)
    try:
        checked = Config.model_validate(config)
    except ValidationError as error:
        # Misspelt keys first: they often cause the others.
        found = sorted(error.errors(), key=lambda fault: fault["type"] not in UNKNOWN_KEY)
        faults = [line for fault in found for line in _explain(fault)]
        listed = "\n".join(f"  {fault}" for fault in faults)
        raise UserError(f"the config has {len(faults)} fault(s):\n{listed}") from None
    config.clear()
    config.update(checked.model_dump())


def _spell_out_on(config: dict[str, Any]) -> None:
    """``selection: {on: ...}``, a key of earlier versions: YAML reads a bare ``on`` as true."""
    selection = config.get("selection")
    if isinstance(selection, dict) and True in selection:
        selection["on"] = selection.pop(True)


def _explain(error: ErrorDetails) -> Iterator[str]:
    """The faults that an error of pydantic stands for, usually one."""
    steps = [step for step in error["loc"] if step not in NO_STEPS]
    place = ".".join(map(str, steps)) or "config"
    if error["type"] == FAULTS:
        yield from error["ctx"]["faults"]
    elif error["type"] in UNKNOWN_KEY:
        yield f"{place}: {_unknown_key(place, steps)}"
    elif error["type"] == "missing":
        yield f"{place}: is required and has no default"
    else:
        yield f"{place}: {_wrong_value(steps, error)}"


def _unknown_key(place: str, steps: Sequence[int | str]) -> str:
    if place in RENAMED_KEYS:
        return f"this key is now {RENAMED_KEYS[place]}"
    known = list(_section(steps[:-1]).model_fields)
    near = difflib.get_close_matches(str(steps[-1]), known, n=1)
    meant = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
    return f"unknown key; {meant}"


def _section(steps: Sequence[int | str]) -> type[Section]:
    """Model of the section at a place of the config, through mappings and lists of sections."""
    found: Any = Config
    for step in steps:
        inner = get_args(found)
        found = inner[-1] if inner else found.model_fields[step].annotation
    return found


def _wrong_value(steps: Sequence[int | str], error: ErrorDetails) -> str:
    value, kind = error["input"], error["type"]
    key = ".".join(step for step in steps if isinstance(step, str))
    if isinstance(value, str) and (key, value) in RENAMED_VALUES:
        return f"{value} is now {RENAMED_VALUES[key, value]}"
    shown = _shown(value)
    if kind in ("float_type", "finite_number"):
        return f"{shown} is no number; write 0.0005 rather than 5e-4, and no quotes"
    if kind in ("model_type", "dict_type"):
        return f"must be a section with keys of its own; not {shown}"
    demand = re.sub(r"^\w+ should ", "must ", error["msg"]).replace(" after validation", "")
    if isinstance(value, bool):
        shown += "; YAML reads on, off, yes and no as true and false: quote them"
    return f"{demand}; not {shown}"


def _shown(value: object) -> str:
    """A value as Python writes it, shortened."""
    brief = reprlib.Repr()
    brief.maxstring = brief.maxother = 80
    try:
        return brief.repr(value)
    except ValueError:  # an integer of thousands of digits
        return "this number"
