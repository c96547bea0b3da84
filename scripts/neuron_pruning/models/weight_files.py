"""Files of weights from outside: tensors by name, whatever program wrote them."""

import re
import zipfile
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeGuard

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from neuron_pruning.core.errors import UserError, refuse_unreadable
from neuron_pruning.core.files import check_unpacked_size

NESTINGS = (  # where training programs put them; averaged ones where there are no others
    "state_dict", "model_state_dict", "model", "net", "state_dict_ema", "model_ema",
    "ema_state_dict", "ema",
)  # fmt: skip
# What training programs put beside them; to build these runs no code of the file's.
HARMLESS: list[Any] = [
    Namespace, np.dtype, np.dtypes.Float32DType, np.dtypes.Float64DType, np.dtypes.Int64DType,
    *((np.float64().__reduce__()[0], f"numpy.{n}.multiarray.scalar") for n in ("core", "_core")),
]  # fmt: skip
REMEDY = "write it with torch.save(model.state_dict(), path)"


def read_tensors(path: Path, remedy: str = REMEDY) -> dict[str, Tensor]:
    """Tensors of a file by name, on the CPU.

    Args:
        path: ``.safetensors``, or what torch.save wrote: a state dict, also within a checkpoint
            of a training program. Of the objects that a pickle may contain, only settings of
            argparse and numbers of NumPy are made.
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
        with torch.serialization.safe_globals(HARMLESS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:  # torch's own message advises to run what it contains
        named = re.search(r"GLOBAL (\S+)", str(error))
        what = f", such as {named[1]}" if named else ""
        raise ValueError(f"no weights, or Python objects beside them, not run{what}") from error
    except Exception as error:
        raise ValueError("torch.save has not written it, or it is damaged") from error


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
