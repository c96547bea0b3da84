"""Digests of the code that a job runs, by content: the rules pass them on as a parameter.

Snakemake itself compares the time stamp of a script alone. With these digests a changed module
reruns the jobs that import it, directly or not; a fresh checkout, a touched file, a comment or a
docstring rerun nothing.
"""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).parents[1]
PACKAGE = "neuron_pruning"
DATA = (".j2", ".yaml")  # files of the package that its modules read


def code_digest(script: str, *modules: str) -> str:
    """Digest of a script and of all modules of the package that it imports, directly or not.

    Args:
        script: name of a file in ``scripts/``, without its suffix.
        modules: dotted names of modules that the job loads by name, such as its technique's.
    """
    return _digest_of(SCRIPTS / f"{script}.py", *map(_module_file, modules))


def table_digest(module: str) -> str:
    """Digest of the code of a table, which one script makes from a module of its own."""
    return code_digest("make_table", f"{PACKAGE}.tables.{module}")


@cache
def _digest_of(*starts: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(imported_files(*starts)):
        digest.update(f"{path.relative_to(SCRIPTS)} {_file_digest(path)} ".encode())
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
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes())


@cache
def _imports(path: Path) -> frozenset[Path]:
    """Files of the package that one file names in its imports, and the data files beside them."""
    if path.suffix != ".py":
        return frozenset()
    files = set(_data_files(path))
    for node in _statements(_tree(path)):
        if isinstance(node, ast.ImportFrom) and _is_ours(node.module):
            files.add(_module_file(str(node.module)))
            files.update(_submodules(str(node.module), node.names))
        elif isinstance(node, ast.Import):
            files.update(_module_file(name.name) for name in node.names if _is_ours(name.name))
    return frozenset(files)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Statements below a node, however deep: imports are among them, and expressions are not."""
    for name in ("body", "orelse", "finalbody", "handlers", "cases"):
        for child in getattr(node, name, ()):
            yield child
            yield from _statements(child)


def _is_ours(module: str | None) -> bool:
    return module is not None and module.split(".")[0] == PACKAGE


def _module_file(module: str) -> Path:
    place = SCRIPTS.joinpath(*module.split("."))
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


def _submodules(module: str, names: list[ast.alias]) -> Iterator[Path]:
    """Files of the names that are modules themselves: ``from neuron_pruning.core import files``."""
    for name in names:
        path = _module_file(f"{module}.{name.name}")
        if path.is_file():
            yield path


def _data_files(path: Path) -> Iterator[Path]:
    """Templates and other data in the folder of a module of the package, and below it."""
    if path.parent != SCRIPTS:
        for suffix in DATA:
            yield from path.parent.rglob(f"*{suffix}")


@cache
def _file_digest(path: Path) -> str:
    content = _structure(_tree(path)).encode() if path.suffix == ".py" else path.read_bytes()
    return hashlib.sha256(content).hexdigest()


def _structure(node: Any) -> str:
    """The syntax tree as text without docstrings, comments, positions and empty fields.

    Fields that newer versions of Python add are empty in older code, so that an update of Python
    changes no digest.
    """
    if isinstance(node, list):
        return f"[{','.join(map(_structure, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = (
        f"{name}={_structure(value)}"
        for name, value in _fields(node)
        if value is not None and value != []
    )
    return f"{type(node).__name__}({','.join(fields)})"


def _fields(node: ast.AST) -> Iterator[tuple[str, Any]]:
    """Fields of a node; the body of a module, class or function without its docstring."""
    for name, value in ast.iter_fields(node):
        yield name, value[1:] if name == "body" and _has_docstring(node) else value


def _has_docstring(node: ast.AST) -> bool:
    holders = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    return isinstance(node, holders) and ast.get_docstring(node, clean=False) is not None
