"""What a digest of code notices, and what it does not."""

import os
import subprocess
import sys
import time

import pytest

from planning import code_digest
from planning.code_digest import SCRIPTS, imported_files

MODULE = '''
"""What it is."""


def double(value):
    """Twice."""
    return 2 * value  # simply
'''
SAME = '''
"""Something else."""

# A comment.
def double(value):


    """Two times."""
    return (2 *
            value)
'''


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """A script that imports a package's module, which imports another one."""
    package = tmp_path / "neuron_pruning" / "core"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "numbers.py").write_text(MODULE)
    (package / "sums.py").write_text("from neuron_pruning.core.numbers import double\n")
    (package / "alone.py").write_text("")
    (tmp_path / "work.py").write_text("import os\n\nfrom neuron_pruning.core import sums\n")
    monkeypatch.setattr(code_digest, "SCRIPTS", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def digest(*modules):
    for name in ("_digest_of", "_imports", "_data_below", "_parsed"):
        getattr(code_digest, name).cache_clear()
    return code_digest.code_digest("work", *modules)


def test_comments_docstrings_layout_and_times_change_nothing(scripts):
    before = digest()
    module = scripts / "neuron_pruning" / "core" / "numbers.py"
    module.write_text(SAME)
    os.utime(module, (time.time() + 100,) * 2)
    assert digest() == before


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("neuron_pruning/core/numbers.py", MODULE.replace("2 *", "3 *")),
        ("neuron_pruning/core/sums.py", "from neuron_pruning.core.numbers import double as d\n"),
        ("work.py", "from neuron_pruning.core import sums\n\nsums.double(1)\n"),
    ],
)
def test_a_change_in_anything_imported_is_a_change(scripts, file, text):
    before = digest()
    (scripts / file).write_text(text)
    assert digest() != before


def test_modules_that_are_not_imported_do_not_count_unless_they_are_named(scripts):
    before, named = digest(), digest("neuron_pruning.core.alone")
    (scripts / "neuron_pruning" / "core" / "alone.py").write_text("ONE = 1\n")
    assert digest() == before and digest("neuron_pruning.core.alone") != named


@pytest.mark.parametrize("name", ["page.j2", "sizes.csv"])
def test_data_beside_a_module_count(scripts, name):
    (scripts / "neuron_pruning" / "core" / name).write_text("one")
    before = digest()
    (scripts / "neuron_pruning" / "core" / name).write_text("two")
    assert digest() != before


def test_a_file_of_resources_belongs_to_the_code_of_those_that_read_it(scripts, monkeypatch):
    figures = scripts / "resources" / "paper.yaml"
    figures.parent.mkdir()
    figures.write_text("one: 1\n")
    (scripts / "inside").mkdir()
    for name in ("neuron_pruning", "work.py"):
        (scripts / name).rename(scripts / "inside" / name)
    monkeypatch.setattr(code_digest, "SCRIPTS", scripts / "inside")
    before, without = digest("resources/paper.yaml"), digest()
    assert code_digest.files_read(before) == {"paper": figures}
    assert code_digest.files_read(without) == {}
    began = time.time() - 60
    figures.write_text("one: 2\n")
    assert digest("resources/paper.yaml") != before and digest() == without
    assert code_digest.digest_now(before) == digest("resources/paper.yaml")
    assert code_digest.changed_since(began)


def test_a_checkout_elsewhere_has_the_same_digest(scripts, tmp_path_factory, monkeypatch):
    before = digest()
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "scripts"
    scripts.rename(elsewhere)
    monkeypatch.setattr(code_digest, "SCRIPTS", elsewhere)
    assert digest() == before


def test_what_was_parsed_before_is_not_parsed_again_and_may_be_damaged(scripts, monkeypatch):
    before = digest()
    with monkeypatch.context() as patch:
        patch.setattr(code_digest, "_structure", None)
        assert digest() == before
    for place in (scripts / ".snakemake" / "parsed").iterdir():
        place.write_text("{")
    assert digest() == before


def test_digests_do_not_vary_between_processes(tmp_path_factory):
    code = "from planning.code_digest import code_digest; print(code_digest('train'))"
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path_factory.mktemp("nothing_parsed"),
            env={"PYTHONPATH": str(SCRIPTS), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def loaded_by(script):
    """Files of the package that Python itself has loaded after importing a script."""
    code = (
        f"import sys, {script}; print('\\n'.join(m.__file__ for n, m in sys.modules.items() "
        "if n.startswith('neuron_pruning.') and m.__file__))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(SCRIPTS)},
        capture_output=True,
        text=True,
        check=True,
    )
    return {name for name in ran.stdout.splitlines() if not name.endswith("__init__.py")}


@pytest.mark.parametrize("script", ["split_dataset", "prune", "crop_faces"])
def test_nothing_that_a_script_loads_is_missed(script):
    techniques = (SCRIPTS / "neuron_pruning" / "pruning" / "techniques").glob("*.py")
    found = {str(path) for path in imported_files(SCRIPTS / f"{script}.py", *techniques)}
    of_adapter = ("tracking/outbox.py", "core/resume.py", "core/checksums.py")
    known = {str(SCRIPTS / "neuron_pruning" / name) for name in of_adapter}
    assert loaded_by(script) - found <= known


def test_no_script_imports_another():
    names = {path.stem for path in SCRIPTS.glob("*.py")}
    for path in SCRIPTS.glob("*.py"):
        imports = {
            line.split()[1] for line in path.read_text().splitlines() if line.startswith("from ")
        }
        assert not imports & names, path
