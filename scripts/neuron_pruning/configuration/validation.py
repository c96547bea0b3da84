"""The check of a config: defaults are filled in, and every fault is explained."""

import difflib
import math
import re
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from neuron_pruning.configuration.cross_checks import FAULTS, comparison_faults
from neuron_pruning.configuration.fields import LIST, WORD, Section
from neuron_pruning.configuration.models import Config
from neuron_pruning.core.errors import UserError
from neuron_pruning.data.named_datasets import is_named

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
TEXT_KINDS = ("literal_error", "string_pattern_mismatch", "string_too_long", "periodic")
TEXT = (
    "this is a text; write it without quotes. What --config gives within brackets is always text: "
    "write such lists and sections in a file, and name that with --configfile"
)
QUOTE = "YAML reads on, off, yes and no as true and false: quote them"
MOST_VALUES = 100_000
UNFOLDS = f"holds itself or over {MOST_VALUES:,} values; write out what its anchors repeat"


def check_config(config: dict[str, Any]) -> None:
    """Fill the defaults into ``config`` and check it.

    Args:
        config: Nested dictionaries as YAML has them, perhaps merged of several files; afterwards
            it holds every key.

    Raises:
        UserError: every fault with its key and remedy.
    """
    _refuse(f"{key}: {UNFOLDS}" for key, value in config.items() if _is_endless(value))
    if isinstance(config.get("selection"), dict) and True in config["selection"]:
        # selection.on, a key of earlier versions: YAML reads a bare on as true.
        config["selection"]["on"] = config["selection"].pop(True)
    _refuse(_odd_keys(config, ""))
    try:
        checked = Config.model_validate(config).model_dump()
    except ValidationError as error:
        # Misspelt keys first: they often cause the others.
        found = sorted(error.errors(), key=lambda fault: fault["type"] not in UNKNOWN_KEY)
        _refuse(line for fault in found for line in _explain(fault))
        raise
    config.clear()
    config.update(checked)


def check_comparison(config: Mapping[str, Any]) -> None:
    """Refuse a checked config that Table 7 cannot be made with; everything else can.

    Raises:
        UserError: every fault with its key and remedy.
    """
    _refuse(comparison_faults(config))


def check_folder(config: Mapping[str, Any]) -> None:
    """Refuse a checked config whose folder of images is not on this machine.

    Raises:
        UserError: there is no such folder.
    """
    path = config["dataset"]["path"]
    with suppress(OSError):  # a name that is too long, a folder above that is closed
        if path is None or is_named(path) or Path(path).is_dir():
            return
    raise UserError(
        f"dataset.path: {path} is no folder; name one that holds a folder of images per class, "
        "a data set such as scikit-learn/digits/train, or null for the built-in faces"
    )


def read_config(path: Path) -> dict[str, Any]:
    """A config file as nested dictionaries, without running what stands in it.

    Raises:
        UserError: it is no YAML of keys and values, its anchors unfold endlessly, or it holds
            Python, which Snakemake runs in a file with ``__use_yte__``.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if _is_endless(yaml.compose(text, Loader=yaml.SafeLoader)):
            raise UserError(f"{path}: {UNFOLDS}")
        config = yaml.safe_load(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(config, dict):
        raise UserError(f"{path}: a config has keys and values")
    if "__use_yte__" in config:
        raise UserError(f"{path}: Snakemake would run the Python in it; remove __use_yte__")
    return config


def _is_endless(value: Any) -> bool:
    try:
        return _unfolded(value, {}) > MOST_VALUES
    except RecursionError:
        return True


def _unfolded(value: Any, known: dict[int, float]) -> float:
    """Number of values in one of YAML, or its node, each counted wherever an anchor repeats it.

    ``known`` has it by identity: each value is looked at once, however often it is repeated.
    """
    match value:
        case dict():
            inside: Iterable[Any] = [*value, *value.values()]
        case list() | tuple():
            inside = value
        case yaml.CollectionNode():
            inside = value.value
        case _:
            return 1
    if id(value) not in known:
        known[id(value)] = math.inf  # of a value that holds itself
        known[id(value)] = 1 + sum(_unfolded(item, known) for item in inside)
    return known[id(value)]


def _odd_keys(value: Any, place: str) -> Iterator[str]:
    """Keys that YAML does not read as text."""
    keyed = isinstance(value, dict)
    inside = value.items() if keyed else enumerate(value) if isinstance(value, list) else ()
    for key, below in inside:
        if keyed and not isinstance(key, str):
            remedy = QUOTE if isinstance(key, bool) else "quote it"
            yield f"{place}{_shown(key)}: every key must be text; {remedy}"
        yield from _odd_keys(below, f"{place}{key}.")


def _refuse(faults: Iterable[str]) -> None:
    lines = [f"  {fault}" for fault in faults]
    if lines:
        raise UserError("\n".join([f"the config has {len(lines)} fault(s):", *lines])) from None


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
        text = f"; {TEXT}" if _is_quoted(value) else ""
        return f"{shown} is no number; write 0.0005 rather than 5e-4, and no quotes{text}"
    if kind in ("model_type", "dict_type"):
        text = f"; {TEXT}" if _is_quoted(value) else ""
        return f"must be a section with keys of its own; not {shown}{text}"
    demand = re.sub(r"^\w+ should ", "must ", error["msg"]).replace(" after validation", "")
    if isinstance(value, bool):
        shown += f"; {QUOTE}"
    elif kind == "string_type" and isinstance(value, int | float | date):
        shown += "; quote it"
    elif kind not in TEXT_KINDS and _is_quoted(value):
        shown += f"; {TEXT}"
    return f"{demand}; not {shown}"


def _is_quoted(value: object) -> bool:
    """Whether a text would be something else without its quotes."""
    with suppress(ValueError, RecursionError, yaml.YAMLError):
        node = yaml.compose(value, Loader=yaml.SafeLoader) if isinstance(value, str) else None
        return node is not None and node.tag != "tag:yaml.org,2002:str"
    return False


def _shown(value: object) -> str:
    """A value as Python writes it, shortened."""
    brief = reprlib.Repr()
    brief.maxstring = brief.maxother = 80
    try:
        return brief.repr(value)
    except ValueError:  # an integer of thousands of digits
        return "this number"
