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
DATA = (".j2", ".yaml", ".csv")  # files of the package that its modules read
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code_digest(script: str, *modules: str) -> str:
    """Digest of a script and of all modules of the package that it imports, directly or not.

    It begins with the names, so that a job can tell whether it still holds.

    Args:
        script: name of a file in ``scripts/``, without its suffix.
        modules: dotted names of modules that the job loads by name, such as its technique's.
    """
    digest = _digest_of(SCRIPTS / f"{script}.py", *map(_module_file, modules))
    return " ".join((script, *modules, digest))


def digest_now(known: str) -> str:
    """What a digest would be now, if files have changed since it was computed."""
    for function in (_digest_of, _tree, _imports, _file_digest):
        function.cache_clear()
    return code_digest(*known.split()[:-1])


def changed_since(moment: float) -> bool:
    """Whether code or data of the scripts has changed, or was touched, since ``moment``."""
    files = (path for suffix in (".py", *DATA) for path in SCRIPTS.rglob(f"*{suffix}"))
    return any(path.stat().st_ctime > moment for path in files)


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
    files: set[Path] = set()
    if path.parent != SCRIPTS:
        files.update(data for suffix in DATA for data in path.parent.rglob(f"*{suffix}"))
    for node in _statements(_tree(path)):
        match node:
            case ast.ImportFrom(module=str(module), names=names) if _is_ours(module):
                submodules = (_module_file(f"{module}.{name.name}") for name in names)
                files.update([_module_file(module), *filter(Path.is_file, submodules)])
            case ast.Import(names=names):
                files.update(_module_file(name.name) for name in names if _is_ours(name.name))
    return frozenset(files)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Statements below a node, however deep: imports are among them, and expressions are not."""
    for name in ("body", "orelse", "finalbody", "handlers", "cases"):
        for child in getattr(node, name, ()):
            yield child
            yield from _statements(child)


def _is_ours(module: str) -> bool:
    return module.split(".")[0] == PACKAGE


def _module_file(module: str) -> Path:
    place = SCRIPTS.joinpath(*module.split("."))
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


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
    fields = dict(ast.iter_fields(node))
    if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
        fields["body"] = node.body[1:]
    shown = (
        f"{name}={_structure(field)}"
        for name, field in fields.items()
        if field is not None and field != []
    )
    return f"{type(node).__name__}({','.join(shown)})"
