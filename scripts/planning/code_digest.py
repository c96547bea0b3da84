"""Digests of the code that a job runs, by content: the rules pass them on as a parameter.

Snakemake itself compares the time stamp of a script alone. With these digests a changed module
reruns the jobs that import it, directly or not; a fresh checkout, a touched file, a comment or a
docstring rerun nothing.
"""

import ast
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from neuron_pruning.core.errors import UserError
from neuron_pruning.core.files import atomic_path

SCRIPTS = Path(__file__).parents[1]
RESOURCES = "resources/"  # published figures, a folder beside that of the scripts
THIS = Path(__file__).read_bytes()  # what was parsed by other code is parsed again
PACKAGE = "neuron_pruning"
DATA = (".j2", ".yaml", ".csv")  # files of the package that its modules read
PARSED = Path(".snakemake/parsed")  # what modules hold, by the digest of their bytes
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code_digest(script: str, *modules: str) -> str:
    """Digest of a script and of all modules of the package that it imports, directly or not.

    It begins with the names, so that a job can tell whether it still holds.

    Args:
        script: name of a file in ``scripts/``, without its suffix.
        modules: dotted names of modules that the job loads by name, such as its technique's; and
            ``resources/paper.yaml`` for a file of the workflow that it reads. Such a file is no
            input: its path would not be the same in another checkout.
    """
    digest = _digest_of(SCRIPTS / f"{script}.py", *map(_module_file, modules))
    return " ".join((script, *modules, digest))


def digest_now(known: str) -> str:
    """What a digest would be now, if files have changed since it was computed."""
    for function in (_digest_of, _imports, _data_below, _parsed):
        function.cache_clear()
    return code_digest(*known.split()[:-1])


def files_read(known: str) -> dict[str, Path]:
    """Files of ``resources/`` that a digest names, by their names without suffix."""
    names = filter(_is_resource, known.split())
    return {Path(name).stem: _module_file(name) for name in names}


def changed_since(moment: float) -> bool:
    """Whether code or data of the scripts has changed, or was touched, since ``moment``."""
    files = [path for suffix in (".py", *DATA) for path in SCRIPTS.rglob(f"*{suffix}")]
    files += (SCRIPTS.parent / RESOURCES).glob("*.yaml")
    return any(path.stat().st_ctime > moment for path in files)


def table_digest(module: str, *resources: str) -> str:
    """Digest of the code of a table, which one script makes from a module of its own."""
    return code_digest("make_table", f"{PACKAGE}.tables.{module}", *resources)


@cache
def _digest_of(*starts: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(imported_files(*starts)):
        digest.update(f"{os.path.relpath(path, SCRIPTS)} {_file_digest(path)} ".encode())
    return digest.hexdigest()


def imported_files(*starts: Path) -> set[Path]:
    """Files that some files import, directly or not, themselves included."""
    known, waiting = set(starts), list(starts)
    while waiting:
        new = _imports(waiting.pop()) - known
        known |= new
        waiting += new
    return known


@cache
def _imports(path: Path) -> frozenset[Path]:
    """Files of the package that one file names in its imports, and the data files beside them."""
    if path.suffix != ".py":
        return frozenset()
    files = set(filter(Path.is_file, map(_module_file, _parsed(path)[1])))
    if path.parent != SCRIPTS:
        files |= _data_below(path.parent)
    return frozenset(files)


@cache
def _data_below(folder: Path) -> set[Path]:
    return {path for suffix in DATA for path in folder.rglob(f"*{suffix}")}


@cache
def _parsed(path: Path) -> tuple[str, list[str]]:
    """Digest of what a module does, and names of modules of the package that it may import.

    They are kept by content: to parse every module takes a second, at every start.
    """
    content = path.read_bytes()
    place = PARSED / hashlib.sha256(THIS + content).hexdigest()
    with suppress(OSError, ValueError):
        digest, names = json.loads(place.read_bytes())
        return digest, names
    tree = ast.parse(content)
    digest = hashlib.sha256(_structure(tree).encode()).hexdigest()
    names = sorted(name for name in _imported_names(tree) if name.split(".")[0] == PACKAGE)
    with suppress(OSError, UserError):  # a folder that is not ours to write, or a full disk
        place.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(place, durable=False) as temporary:
            temporary.write_text(json.dumps([digest, names]))
    return digest, names


def _imported_names(tree: ast.Module) -> Iterator[str]:
    """Dotted names that imports name; what is imported from a package may be a module."""
    for node in _statements(tree):
        match node:
            case ast.ImportFrom(module=str(module), names=names):
                yield from (module, *(f"{module}.{name.name}" for name in names))
            case ast.Import(names=names):
                yield from (name.name for name in names)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Statements below a node, however deep: imports are among them, and expressions are not."""
    for name in ("body", "orelse", "finalbody", "handlers", "cases"):
        for child in getattr(node, name, ()):
            yield child
            yield from _statements(child)


def _is_resource(name: str) -> bool:
    return name.startswith(RESOURCES)


def _module_file(module: str) -> Path:
    if _is_resource(module):
        return SCRIPTS.parent / module
    place = SCRIPTS.joinpath(*module.split("."))
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


def _file_digest(path: Path) -> str:
    if path.suffix == ".py":
        return _parsed(path)[0]
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _structure(node: Any) -> str:
    """The syntax tree as text without docstrings, comments, positions and empty fields.

    Fields that newer versions of Python add are empty in older code, so that an update of Python
    changes no digest.
    """
    if isinstance(node, list):
        return f"[{','.join(map(_structure, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = dict(ast.iter_fields(node))
    if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
        fields["body"] = node.body[1:]
    shown = (
        f"{name}={_structure(field)}"
        for name, field in fields.items()
        if field is not None and field != []
    )
    return f"{type(node).__name__}({','.join(shown)})"
