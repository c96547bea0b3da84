"""Training checkpoints: the state of a long training on disk, from which a killed one resumes.

A checkpoint is one safetensors file: tensors by name, everything else as JSON in its header, and a
checksum over both. One that cannot be read is no reason to fail: the training starts from scratch.
"""

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from neuron_pruning.core.files import atomic_path, remove_leftovers

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Resume:
    """Where a training checkpoint is kept, how often it is written, and what it must belong to."""

    path: Path
    minutes: float
    identity: str  # of everything that decides the outcome, when the training began


@dataclass
class StateKeeper:
    """Writes a training checkpoint every few minutes, reads it, and deletes it in the end."""

    resume: Resume
    saved: float = field(default_factory=time.monotonic)

    @property
    def due(self) -> bool:
        """Whether the last checkpoint is old enough to be replaced."""
        return time.monotonic() - self.saved >= 60 * self.resume.minutes

    def save(self, arrays: Arrays, about: Mapping[str, Any]) -> None:
        """Replace the checkpoint; if it cannot be written, warn and let the training continue."""
        text = json.dumps({**about, "identity": self.resume.identity}, sort_keys=True)
        header = {"about": text, "digest": _digest(arrays, text)}
        try:
            with atomic_path(self.resume.path) as temporary:
                save_file(
                    {n: np.ascontiguousarray(a) for n, a in arrays.items()}, temporary, header
                )
        except Exception as error:  # noqa: BLE001 - safetensors wraps errors of the disk
            logging.warning("the training checkpoint was not written: %s", error)
        self.saved = time.monotonic()

    def load(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]] | None:
        """Arrays and description of a checkpoint of this very training; None: there is none."""
        path = self.resume.path
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="numpy") as file:
                header = file.metadata() or {}
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        except (OSError, SafetensorError) as error:
            logging.warning("%s cannot be read (%s); starting from scratch", path, error)
            return None
        text = header.get("about", "")
        if header.get("digest") != _digest(arrays, text):
            logging.warning("%s is damaged; starting from scratch", path)
            return None
        about = json.loads(text)
        if about.pop("identity") != self.resume.identity:
            logging.info("%s belongs to other settings or inputs; starting from scratch", path)
            return None
        return arrays, about

    def clear(self) -> None:
        """Delete the checkpoint of a finished training."""
        self.resume.path.unlink(missing_ok=True)
        remove_leftovers(self.resume.path)


def _digest(arrays: Arrays, text: str) -> str:
    """Checksum over names, types, shapes and values of the arrays and over the description."""
    whole = xxhash.xxh3_128(text.encode())
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        whole.update(f"{name} {array.dtype} {array.shape}".encode())
        whole.update(array.reshape(-1).view(np.uint8).data)
    return whole.hexdigest()
