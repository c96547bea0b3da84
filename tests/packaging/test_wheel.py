"""The wheel holds the package alone, and works with its base dependencies alone."""

import ast
import inspect
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import PathDistribution, distribution, packages_distributions
from pathlib import Path
from zipfile import ZipFile

import pytest
import yaml
from packaging.requirements import Requirement

import neuron_pruning

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "scripts" / "neuron_pruning"
BASE = ("core", "statistics", "models", "pruning", "training", "evaluation", "any_network")
OPTIONAL = {  # modules of these folders that belong to the extras "workflow" or "networks"
    "neuron_pruning.any_network.figure",  # matplotlib, where a figure is asked for
    "neuron_pruning.any_network.images",  # Pillow, where an image is read
    "neuron_pruning.models.backbones",  # torchvision
    "neuron_pruning.models.pretrained",  # torchvision
    "neuron_pruning.models.onnx_export",  # ONNX
}
IMPORT_BASE = f"""
import importlib, pkgutil
import neuron_pruning
for folder in {BASE}:
    path = [f"{{neuron_pruning.__path__[0]}}/{{folder}}"]
    for module in pkgutil.walk_packages(path, f"neuron_pruning.{{folder}}."):
        if module.name not in {OPTIONAL}:
            importlib.import_module(module.name)
"""
FACTORY = """
from torch import nn
def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 9), nn.ReLU(), nn.Linear(9, 2))
"""
LAZY = """
import pydoc, neuron_pruning
assert "Network" in dir(neuron_pruning) and not {"torch", "numpy"} & set(sys.modules)
print(pydoc.render_doc(neuron_pruning, renderer=pydoc.plaintext))
"""


def pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy: building leaves nothing behind in the checkout."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("scripts", "tests"):
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    pip("wheel", source, "--no-deps", "--no-index", "--no-build-isolation", "-w", source / "dist")
    (file,) = (source / "dist").iterdir()
    return file


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Folder with the wheel and links to its base dependencies: an empty environment's packages."""
    folder = tmp_path_factory.mktemp("installed")
    pip("install", wheel, "--no-deps", "--no-index", "--no-compile", "--target", folder)
    (info,) = folder.glob("*.dist-info")
    for name in closure(PathDistribution(info).requires or []):
        found = distribution(name)
        for top in {file.parts[0] for file in found.files or []} - {"..", "__pycache__"}:
            if not (folder / top).exists():
                (folder / top).symlink_to(found.locate_file(top))
    return folder


def closure(requirements: Iterable[str], extra: str = "") -> set[str]:
    """Names of the distributions that requirements lead to, on this machine."""
    names: set[str] = set()
    for requirement in map(Requirement, requirements):
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            names.add(requirement.name)
            for inner in ("", *requirement.extras):
                names |= closure(distribution(requirement.name).requires or [], inner)
    return names


def run(folder: Path, code: str, cwd: Path) -> str:
    """Output of code that sees the standard library and a folder, no other packages."""
    code = f"import sys\nsys.path.insert(0, {str(folder)!r})\n{code}"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], cwd=cwd, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def readme_examples() -> str:
    """The Python blocks under the heading "In Python" of the README."""
    section = re.search(
        r"^## In Python$(.*?)(?=^## |\Z)", (ROOT / "README.md").read_text(), re.M | re.S
    )
    assert section, "README.md has no heading 'In Python'"
    blocks = re.findall(r"^```python\n(.*?)^```$", section[1], re.M | re.S)
    assert len(blocks) == 2, "README.md has two Python blocks under 'In Python'"
    assert "prune(model, calibration=loader, amount=0.5)" in blocks[0]
    return "".join(blocks)


def test_the_wheel_holds_the_package_without_scripts_tests_and_faces(wheel):
    held = set(ZipFile(wheel).namelist())
    info = f"neuron_pruning-{neuron_pruning.__version__}.dist-info/"
    wanted = {
        str(file.relative_to(PACKAGE.parent))
        for file in PACKAGE.rglob("*")
        if file.suffix in {".py", ".pyi", ".typed", ".j2", ".yaml", ".csv"}
        and not file.is_relative_to(PACKAGE / "data" / "drawn_faces")
    }
    assert {"neuron_pruning/py.typed", "neuron_pruning/__init__.pyi"} <= wanted
    assert {name for name in held if not name.startswith(info)} == wanted
    assert f"{info}licenses/LICENSE" in held


def test_the_version_stands_in_the_package_and_the_citation(wheel):
    assert wheel.name.startswith(f"neuron_pruning-{neuron_pruning.__version__}-py3-none-any")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == neuron_pruning.__version__


def test_the_readme_examples_run_with_the_base_dependencies_alone(installed, tmp_path):
    code = "import importlib.util\nassert importlib.util.find_spec('snakemake') is None\n"
    run(installed, code + readme_examples() + IMPORT_BASE, tmp_path)
    assert (tmp_path / "smaller.safetensors").stat().st_size > 0
    assert (tmp_path / "small" / "model.safetensors").stat().st_size > 0


def test_the_command_is_installed_and_runs_with_the_base_dependencies_alone(installed, tmp_path):
    (info,) = installed.glob("neuron_pruning-*.dist-info")
    (command,) = PathDistribution(info).entry_points.select(group="console_scripts")
    assert command.name == "neuron-pruning"
    module, _, function = command.value.partition(":")
    (tmp_path / "mine.py").write_text(FACTORY)
    arguments = ["inspect", "mine:build", "--size", "8", "8"]
    arguments += ["--mean", *"000", "--std", *"111"]
    code = f"from {module} import {function}\nassert {function}({arguments}) == 0\n"
    assert "9 units in 1 unit layers" in run(installed, code, tmp_path)


def test_names_load_on_first_use_and_help_shows_them(installed, tmp_path):
    shown = run(installed, LAZY, tmp_path)
    assert all(re.search(rf"\b{name}\b", shown) for name in neuron_pruning.__all__)
    assert neuron_pruning.__version__ in shown


@pytest.mark.parametrize("name", neuron_pruning.__all__)
def test_help_describes_every_public_name_and_its_arguments(name):
    public = getattr(neuron_pruning, name)
    text = inspect.getdoc(public)
    assert text and public.__module__.startswith("neuron_pruning.")
    if inspect.isfunction(public):
        arguments = text.partition("\nArgs:\n")[2]
        for parameter in inspect.signature(public).parameters:
            assert re.search(rf"^    {parameter}: \S", arguments, re.M), parameter


def test_the_base_dependencies_are_those_that_the_base_folders_import():
    modules = [file for folder in BASE for file in (PACKAGE / folder).rglob("*.py")]
    imported = set().union(*map(third_party, [PACKAGE / "__init__.py", *modules]))
    distributions = packages_distributions()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {distributions[name][0].lower() for name in imported} == {
        Requirement(wanted).name for wanted in project["dependencies"]
    }


def third_party(file: Path) -> set[str]:
    """Packages of others that a module imports, also inside functions."""
    if ".".join(file.with_suffix("").relative_to(PACKAGE.parent).parts) in OPTIONAL:
        return set()
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names - sys.stdlib_module_names - {"neuron_pruning"}
