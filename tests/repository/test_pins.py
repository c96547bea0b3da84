"""Three lists of versions that must agree, and files that may not be shipped."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def locked():
    """Versions of the lock for Python 3.11."""
    found = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        match = re.match(r"([A-Za-z0-9_.-]+)==([^\s;\\]+)(?: ; (.*?))?\s*\\?$", line)
        if match and "python_full_version >=" not in (match[3] or ""):
            found[match[1].lower()] = match[2]
    return found


def test_the_lock_satisfies_the_ranges_and_has_hashes_without_addresses():
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    assert text.count("==") < text.count("--hash=sha256:")
    for wanted in map(Requirement, PROJECT["dependencies"]):
        assert wanted.specifier.contains(locked()[wanted.name.lower()]), wanted


def test_the_environment_has_the_pins_of_the_lock():
    environment = yaml.safe_load((ROOT / "envs" / "workflow.yaml").read_text())
    pins = [Requirement(pin) for pin in environment["dependencies"][-1]["pip"]]
    names = {Requirement(wanted).name for wanted in PROJECT["dependencies"]}
    assert {pin.name for pin in pins} == names
    for pin in pins:
        assert str(pin.specifier) == f"=={locked()[pin.name.lower()]}"


def test_supported_pythons_and_torches():
    python = Requirement(f"python{PROJECT['requires-python']}").specifier
    assert [v for v in ("3.10", "3.11", "3.12", "3.13", "3.14") if v in python] == [
        "3.11",
        "3.12",
        "3.13",
    ]
    torch = next(r for r in map(Requirement, PROJECT["dependencies"]) if r.name == "torch")
    assert all(torch.specifier.contains(Version(v)) for v in ("2.11.0", "2.12.1", "2.13.0"))


def test_nothing_licensed_or_private_is_tracked():
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("no git checkout: nothing is tracked")
    files = listed.stdout.splitlines()
    assert not [
        f
        for f in files
        if (f.startswith(("data/", "results/")) and f != "results/README.md") or f.endswith(".xlsx")
    ]
    pictures = [f for f in files if f.endswith((".png", ".jpg", ".jpeg"))]
    assert all(f.startswith("docs/pictures/") for f in pictures)
