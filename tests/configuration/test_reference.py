"""Schema, default YAML and reference page follow from the typed models."""

import copy
import re
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from neuron_pruning.configuration.__main__ import GENERATED_FILES
from neuron_pruning.configuration.validation import check_config

ROOT = Path(__file__).parents[2]
SCHEMA = yaml.safe_load((ROOT / "schemas" / "config.schema.yaml").read_text())
CONFIGS = [ROOT / "config.yaml", *sorted((ROOT / "configs").glob("*.yaml"))]


@pytest.mark.parametrize("name", GENERATED_FILES)
def test_generated_files_are_up_to_date(name):
    assert (ROOT / name).read_text(encoding="utf-8") == GENERATED_FILES[name](), (
        "run: make config-docs"
    )


def test_the_default_yaml_is_the_default_config():
    text = (ROOT / "schemas" / "config.default.yaml").read_text()
    shown, default = yaml.safe_load(text), {}
    check_config(default)
    assert shown == default
    check_config(shown)
    assert shown == default


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_an_editor_accepts_the_example_configs(path):
    Draft202012Validator.check_schema(SCHEMA)
    Draft202012Validator(SCHEMA).validate(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [("training", "epoch", 3), ("dataset", "margin", -1), ("pruning", "angles", [5, 5])],
)
def test_an_editor_marks_faults(section, key, value):
    config = copy.deepcopy(yaml.safe_load(CONFIGS[0].read_text()))
    config[section][key] = value
    assert not Draft202012Validator(SCHEMA).is_valid(config)


def keys_of(schema, place=""):
    """Every key of the schema as (place, its schema, the section that it is in)."""
    if "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    for name, below in schema.get("properties", {}).items():
        yield f"{place}{name}", below, schema
        yield from keys_of(below, f"{place}{name}.")
    for below in schema.get("patternProperties", {}).values():
        yield from keys_of(below, f"{place}*.")
    for name in ("additionalProperties", "items"):
        if isinstance(schema.get(name), dict):
            yield from keys_of(schema[name], f"{place}*.")


def test_every_key_is_described_and_unknown_ones_are_refused():
    found = list(keys_of(SCHEMA))
    assert len(found) > 120
    for place, below, section in found:
        described = SCHEMA["$defs"][below["$ref"].rsplit("/", 1)[1]] if "$ref" in below else below
        assert described["description"], place
        assert section["additionalProperties"] is False, place


def test_the_page_has_every_key():
    page = (ROOT / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    values = [place for place, below, _ in keys_of(SCHEMA) if "$ref" not in below]
    assert sorted(rows) == sorted(place.rsplit(".", 1)[-1] for place in values)


def test_assumptions_are_marked():
    page = (ROOT / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if "ASSUME: " in line]
    for key in ("margin", "widths", "recipe", "compensation", "near_duplicate_distance", "subset"):
        assert any(line.startswith(f"| `{key}` |") for line in lines), key
