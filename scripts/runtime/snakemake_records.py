"""What Snakemake keeps of a file in ``.snakemake``: a record of what made it, and marks.

As snakemake/persistence/file.py of version 9 has them. Files on a disk go by their paths, those in
a bucket by their addresses.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

RECORDS, INCOMPLETE = Path(".snakemake/metadata"), Path(".snakemake/incomplete")
FORMAT = 6  # of Snakemake's records


def read_record(name: Path | str) -> dict[str, Any]:
    """Snakemake's record of an output; empty: there is none."""
    try:
        return dict(json.loads(place_of(RECORDS, name).read_bytes()))
    except (OSError, ValueError):
        return {}


def write_record(name: Path | str, record: Mapping[str, Any]) -> None:
    """Tell Snakemake what made an output."""
    _write(RECORDS, name, record)


def mark_incomplete(name: Path | str) -> None:
    """Tell Snakemake that an output must be made again, if it is there."""
    _write(INCOMPLETE, name, {"external_jobid": None})


def recorded() -> Iterator[str]:
    """Names of all outputs that Snakemake has a record of."""
    for place in RECORDS.rglob("*"):
        if place.is_file():
            parts = place.relative_to(RECORDS).parts
            yield urlsafe_b64decode("".join(part.removeprefix("@") for part in parts)).decode()


def place_of(folder: Path, name: Path | str) -> Path:
    """Where Snakemake keeps something of a file."""
    coded = urlsafe_b64encode(str(name).encode()).decode()
    *folders, last = (coded[start : start + 254] for start in range(0, len(coded), 254))
    return folder.joinpath(*(f"@{part}" for part in folders), last)


def _write(folder: Path, name: Path | str, content: Mapping[str, Any]) -> None:
    INCOMPLETE.mkdir(parents=True, exist_ok=True)  # without it Snakemake reads all records first
    place = place_of(folder, name)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(content), encoding="utf-8")
