"""Links and examples in the documentation, and pages that are generated from the code."""

import importlib.util
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from neuron_pruning.configuration.validation import check_config
from planning.paths import Paths

ROOT = Path(__file__).parents[2]
LISTED = subprocess.run(
    ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.split()
PAGES = [name for name in LISTED if (ROOT / name).exists()]


def load_generator(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = load_generator("generate_reference")
RESULTS = load_generator("generate_results")
WHAT_WORKS = load_generator("generate_what_works")


def prose(page: Path) -> str:
    """A page without its code."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(page: Path) -> set[str]:
    """Anchors of the headings of a page, as GitHub and the site make them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_to_files_and_headings(name):
    page = ROOT / name
    for address, anchor in re.findall(r"\]\(([^)#:\s]*)(?:#([^)\s]+))?\)", prose(page)):
        target = page.parent / address if address else page
        assert target.exists(), address
        assert not anchor or anchor in anchors(target), (address, anchor)


def test_the_page_on_what_works_is_that_of_its_run():
    page = (ROOT / "docs/explanation/what-works.md").read_text(encoding="utf-8")
    assert WHAT_WORKS.page() == page


def test_figures_on_real_data_are_those_of_their_run():
    assert RESULTS.page() == (ROOT / "docs/explanation/sfew.md").read_text(encoding="utf-8")
    techniques, grid = RESULTS.table(5), RESULTS.table(1).set_index("model")
    random = techniques[
        (techniques["state"] == "trained")
        & (techniques["technique"] == "random")
        & (techniques["removed"] == 50)
    ].set_index(["model", "compensation"])
    lost = {
        key: f"{100 * (grid['test_accuracy_mean'][key[0]] - row['test_accuracy_mean']):.1f}"
        for key, row in random.iterrows()
    }
    for page in ("README.md", "docs/explanation/results.md"):
        text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
        for compensation in ("none", "lstsq"):
            first, second = (lost[model, compensation] for model in ("alexnet", "vgg"))
            pattern = rf"{first}( points)?( \(AlexNet\))? and {second}"
            assert re.search(pattern, text), (page, first, second)


def test_pictures_have_a_text():
    assert not [name for name in PAGES if re.search(r"!\[\s*\]\(", prose(ROOT / name))]


def merge(config: dict, overlay: dict) -> dict:
    """A config under another file, as Snakemake merges them."""
    for key, value in overlay.items():
        inner = isinstance(value, dict) and isinstance(config.get(key), dict)
        config[key] = merge(config[key], value) if inner else value
    return config


def examples() -> list:
    found = []
    for name in PAGES:
        text = (ROOT / name).read_text(encoding="utf-8")
        for number, block in enumerate(re.findall(r"^```yaml\n(.*?)^```", text, re.M | re.S)):
            found.append(pytest.param(block, id=f"{name}-{number}"))
    return found


@pytest.mark.parametrize("block", examples())
def test_examples_of_configs_are_accepted(block):
    check_config(merge(yaml.safe_load((ROOT / "config.yaml").read_text()), yaml.safe_load(block)))


def test_the_readme_is_short_and_every_page_is_in_the_site():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 600
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for name in PAGES:
        if name.startswith("docs/"):
            assert f": {name.removeprefix('docs/')}\n" in navigation, name


@pytest.mark.parametrize("name", GENERATOR.PAGES)
def test_generated_pages_are_up_to_date(name):
    committed = (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")
    assert committed == GENERATOR.PAGES[name](), "run: make docs-reference"


def test_the_page_of_outputs_has_every_file():
    patterns = set()
    for value in vars(Paths("EXPERIMENT")).values():
        patterns |= set(value.values()) if isinstance(value, dict) else {value}
    described = [output.path for output in GENERATOR.outputs()]
    assert len(described) == len(set(described))
    published = "results/EXPERIMENT/baselines/baseline~feature_table/features.parquet"
    assert patterns - {"results/EXPERIMENT", published} <= set(described)


def test_parquet_files_have_columns_with_a_meaning():
    for output in GENERATOR.outputs():
        assert output.path.endswith(".parquet") == (output.schema is not None), output.path
        for field in output.schema or ():
            assert field.metadata[b"description"], (output.path, field.name)


def test_every_technique_and_compensation_is_on_the_page():
    page = GENERATOR.techniques_page()
    for name in (*GENERATOR.REGISTRY, *GENERATOR.COMPENSATIONS):
        assert f"\n| `{name}` |" in page


def test_contributing_names_every_folder_and_its_floor():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    floors = [set(layer.split(" | ")) for layer in contracts["contracts"][0]["layers"]]
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \d \| (.*) \|$", page, re.M)
    assert [set(re.findall(r"`(\w+)`", row)) for row in rows] == floors
