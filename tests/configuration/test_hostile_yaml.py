"""Anchors that unfold endlessly, keys that are no text, and folders that are not there."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from neuron_pruning import UserError
from neuron_pruning.configuration.validation import check_config, check_folder, read_config

ROOT = Path(__file__).parents[2]
ENDLESS = "holds itself or over 100,000 values; write out what its anchors repeat"
ODD_KEYS = st.one_of(
    st.booleans(), st.integers(-(10**9), 10**9), st.floats(allow_nan=False), st.none(), st.dates()
)
SECTIONS = st.sampled_from(
    ["", "training", "models", "recipes.faces", "splits", "pruning.techniques", "selection.fixed"]
)


def laughs(levels, width, form):
    """YAML in which each level repeats the one before ``width`` times."""
    lines = ["a0: &a0 {x: 1}" if form != "list" else "a0: &a0 [1]"]
    for level in range(1, levels + 1):
        again = [f"*a{level - 1}"] * width
        inside = {
            "list": f"[{', '.join(again)}]",
            "mapping": "{" + ", ".join(f"k{n}: {one}" for n, one in enumerate(again)) + "}",
            "merge": f"{{<<: [{', '.join(again)}], y{level}: 1}}",
        }[form]
        lines.append(f"a{level}: &a{level} {inside}")
    return "\n".join([*lines, f"seeds: *a{levels}\n"])


@given(
    form=st.sampled_from(["list", "mapping", "merge"]),
    levels=st.integers(30, 60),
    width=st.integers(2, 9),
)
def test_anchors_that_explode_are_refused_before_anything_walks_through_them(
    tmp_path_factory, form, levels, width
):
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    path.write_text(laughs(levels, width, form))
    start = time.monotonic()
    with pytest.raises(UserError, match=f"{path.name}: {ENDLESS}"):
        read_config(path)
    if form != "merge":  # PyYAML itself unfolds merges
        with pytest.raises(UserError, match=f"seeds: {ENDLESS}"):
            check_config(yaml.safe_load(path.read_text()))
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    "text",
    ["seeds: &a [*a]", "training: &a {epochs: *a}", "seeds: " + "[" * 2000 + "]" * 2000],
)
def test_what_holds_itself_or_is_too_deep_is_refused(tmp_path, text):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(UserError, match=r"c\.yaml"):
        read_config(tmp_path / "c.yaml")


def test_anchors_that_people_write_are_accepted(tmp_path):
    text = """
    recipes:
      mine: &mine {epochs: 3, label_smoothing: 0.1}
      other: {<<: *mine, epochs: 4}
    """
    (tmp_path / "c.yaml").write_text(text)
    config = read_config(tmp_path / "c.yaml")
    check_config(config)
    assert config["recipes"]["other"]["label_smoothing"] == 0.1
    assert config["recipes"]["other"]["epochs"] == 4


@given(key=ODD_KEYS, place=SECTIONS)
def test_keys_that_are_no_text_are_refused_with_key_and_remedy(key, place):
    config = inner = {}
    for step in filter(None, place.split(".")):
        inner = inner.setdefault(step, {})
    inner[key] = {}
    with pytest.raises(UserError) as error:
        check_config(config)
    shown = f"{place}.{key!r}".lstrip(".")
    assert f"{shown}: every key must be text; " in str(error.value)
    assert "quote" in str(error.value)


@pytest.mark.parametrize(("text", "remedy"), [("no: 1", "reads on, off"), ("2: 1", "quote it")])
def test_the_remedy_says_what_yaml_reads(text, remedy):
    with pytest.raises(UserError, match=f"training.*every key must be text; .*{remedy}"):
        check_config({"training": yaml.safe_load(text)})


def test_a_folder_that_does_not_exist_is_refused(tmp_path):
    config = {"dataset": {"path": str(tmp_path)}}
    check_config(config)
    check_folder(config)
    (tmp_path / "file").touch()
    for name in ("nowhere", "file", "x" * 300, "file/below"):
        config["dataset"]["path"] = str(tmp_path / name)
        with pytest.raises(UserError, match=r"dataset\.path: .* is no folder; name one that"):
            check_folder(config)
    config["dataset"]["path"] = None
    check_folder(config)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training: {epoch: 3}\n", "training.epoch: unknown key; did you mean epochs?"),
        ("__use_yte__: true\n", "Snakemake would run the Python in it; remove __use_yte__"),
        ("- 1\n", "a config has keys and values"),
        ("a: [\n", "cannot be read as YAML"),
        (None, "cannot be read as YAML"),
        ("training: {epochs: 3}\n", None),
    ],
)
def test_files_are_checked_from_a_command_without_snakemake(tmp_path, text, message):
    if text is not None:
        (tmp_path / "c.yaml").write_text(text)
    ran = subprocess.run(
        [sys.executable, "-m", "neuron_pruning.configuration", "c.yaml"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True,
        text=True,
    )
    assert (ran.returncode == 0) == (message is None)
    assert (message or "") in ran.stderr and "Traceback" not in ran.stderr
    assert [path.name for path in tmp_path.iterdir()] == (["c.yaml"] if text else [])
