"""Files of weights from outside: tensors by name, whatever program wrote them."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeGuard

import torch
from safetensors.torch import load_file
from torch import Tensor

from neuron_pruning.core.errors import UserError, refuse_unreadable
from neuron_pruning.core.files import check_unpacked_size

NESTINGS = ("state_dict", "model_state_dict", "model", "net")  # where training programs put them
REMEDY = "write it with torch.save(model.state_dict(), path)"


def read_tensors(path: Path, remedy: str = REMEDY) -> dict[str, Tensor]:
    """Tensors of a file by name, on the CPU.

    Args:
        path: ``.safetensors``, or what torch.save wrote: a state dict, also within a checkpoint
            of a training program. No object that a pickle may contain is made.
        remedy: for a file that cannot be read.

    Raises:
        UserError: the file is missing or damaged, or holds anything but tensors by name.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist; correct the path")
    with refuse_unreadable(f"{path} cannot be read as weights", remedy):
        content = load_file(path) if path.suffix == ".safetensors" else _unpickled(path)
    while not _are_tensors(content):
        inner = [content[key] for key in NESTINGS if key in content] if _is_dict(content) else []
        if not inner:
            raise UserError(
                f"{path} holds no tensors by name{_what_instead(content)}; save model.state_dict()"
            )
        content = inner[0]
    return dict(content)


def _unpickled(path: Path) -> Any:
    if zipfile.is_zipfile(path):  # torch.save compresses nothing
        with path.open("rb") as file:
            check_unpacked_size(file, path.stat().st_size)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:  # torch's own message advises to run what it contains
        raise ValueError("no weights, or Python objects beside them, which are not run") from error


def _is_dict(content: Any) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(content, Mapping)


def _are_tensors(content: Any) -> TypeGuard[Mapping[str, Tensor]]:
    return bool(_is_dict(content) and content) and all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    )


def _what_instead(content: Any) -> str:
    """What a file holds, for the message."""
    if not _is_dict(content):
        return f" but one {type(content).__name__}"
    names = [str(name) for name in content]
    return f" but {', '.join(names[:5])}" if names else ""
