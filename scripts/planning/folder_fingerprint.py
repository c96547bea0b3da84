"""What the images of a folder hold, by content: a job depends on that, and on nothing else there.

Neither the place of the folder, nor time stamps, nor files of other programs are part of it.
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG

from neuron_pruning.core.checksums import file_digest
from neuron_pruning.core.errors import UserError
from neuron_pruning.core.files import atomic_path
from neuron_pruning.data.image_folder import flat_images, image_files

READ = Path(".snakemake/images")  # digests of images by name, size and time, a file per folder

Known = Mapping[str, list[int | str]]  # size in bytes, time in nanoseconds, digest


def folder_fingerprint(folder: Path) -> str:
    """Digest of the names and contents of all images in a folder of class folders, or a flat one.

    Files of the same name, size and time as at an earlier start are not read again.
    """
    if not folder.is_dir():  # on this machine; a job may run elsewhere
        return ""
    place = READ / f"{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()}.json"
    known = _read(place)
    paths = {
        str(path.relative_to(folder)): path for path in image_files(folder) or flat_images(folder)
    }
    found = {name: _state(path, known.get(name)) for name, path in paths.items()}
    if found != known:
        # It may be a folder that is not ours to write, or a full disk.
        with suppress(OSError, UserError), atomic_path(place, durable=False) as temporary:
            temporary.write_text(json.dumps(found), encoding="ascii")
    contents = json.dumps([[name, digest] for name, (*_, digest) in found.items()])
    return hashlib.sha256(contents.encode()).hexdigest()


def _state(path: Path, known: list[int | str] | None) -> list[int | str]:
    """Size, time and digest of a file; the digest is empty where it cannot be read."""
    try:
        status = path.stat()  # of what a link leads to
        now = [status.st_size, status.st_mtime_ns]
        if known is not None and known[:2] == now:
            return known
        return [*now, file_digest(path) if S_ISREG(status.st_mode) else ""]
    except OSError:  # a link that leads nowhere, a file that is not ours to read
        return [0, 0, ""]


def _read(place: Path) -> Known:
    with suppress(OSError, ValueError):
        known = json.loads(place.read_bytes())
        if isinstance(known, dict):
            return known
    return {}
