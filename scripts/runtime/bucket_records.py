"""What made the results in a bucket, kept in the bucket beside them.

Snakemake remembers settings, code and inputs of every result in ``.snakemake`` alone, on one
machine. Where results lie in a bucket a run leaves these records there too, in one object. Before
it plans, each run takes over those that hold: their object still has the time that Snakemake
recorded, which the store's own clock gave it and every other writing would change. A result without
such a record may have been made from anything, and is made again.
"""

import gzip
import hashlib
import json
import shutil
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from runtime.snakemake_records import (
    INCOMPLETE,
    mark_incomplete,
    place_of,
    read_record,
    recorded,
    write_record,
)
from runtime.tracking_uploader import is_real

NAME = ".records.json.gz"
NO_RESULTS = ("logs/", "benchmarks/", NAME)
SLACK = 1.0  # seconds: a store gives whole ones in some of its answers


class BucketRecords:
    """Records of one experiment's results in a bucket; on a disk there are none, and no bucket."""

    def __init__(self, workflow: Any, root: str, folders: Collection[str]) -> None:
        """``root`` is the experiment's folder; ``folders``, below it, are results as a whole."""
        self._workflow = workflow
        self._in_bucket = workflow.storage_settings.default_storage_provider == "s3"
        if self._in_bucket:
            prefix = workflow.storage_settings.default_storage_prefix.rstrip("/")
            self._root, self._folders = f"{prefix}/{root}/", [f"{prefix}/{f}" for f in folders]
            self._object = workflow.storage_registry.default_storage_provider.object
            self._stored = self._object(self._root + NAME)

    def take_over(self) -> None:
        """Restore records that hold, and mark what has none: before Snakemake plans."""
        times = self._times()
        left = self._read() if times else {}
        for address, moment in times.items():
            if _holds(read_record(address), moment):
                continue
            record = left.get(address, {})
            if _holds(record, moment):
                write_record(address, record)
                place_of(INCOMPLETE, address).unlink(missing_ok=True)  # an earlier state's
                _delete(self._object(address).local_path())  # a copy, likewise
            else:
                mark_incomplete(address)
        for address in left.keys() - times:  # deleted since: without them Snakemake compares less
            write_record(address, left[address])

    def leave(self) -> None:
        """Write the records of all whole results into the bucket: after a run, however it ended."""
        if not (self._in_bucket and is_real(self._workflow)):
            return
        try:
            times = self._times()
            names = {*times, *(name for name in recorded() if name.startswith(self._root))}
            records = {
                address: record
                for address in names
                if (record := read_record(address))
                and _holds(record, times.get(address, record.get("endtime") or 0.0))
                and not place_of(INCOMPLETE, address).exists()
            }
            if records:
                body = gzip.compress(json.dumps(records).encode())
                self._stored.s3obj().put(Body=body)
        except Exception as error:  # noqa: BLE001 - whatever the store says, the results stand
            print(
                f"warning: {self._root}{NAME} could not be written ({error}); other machines "
                "would make again what this run made, until a run on this machine succeeds in it",
                file=sys.stderr,
            )

    def _times(self) -> dict[str, float]:
        """When each result was written, by its address; of a folder its newest file."""
        times: dict[str, float] = {}
        if not self._in_bucket or not self._stored.bucket_exists():
            return times
        start = self._stored.key.removesuffix(NAME)
        for found in self._stored.s3bucket().objects.filter(Prefix=start):
            name = found.key.removeprefix(start)
            if not name.startswith(NO_RESULTS):
                address = self._root + name
                whole = (f for f in self._folders if address.startswith(f"{f}/"))
                address = next(whole, address)
                times[address] = max(times.get(address, 0.0), found.last_modified.timestamp())
        return times

    def _read(self) -> dict[str, dict[str, Any]]:
        """Records that runs have left; a damaged object counts as none."""
        if not self._stored.exists():
            return {}
        try:
            return dict(json.loads(gzip.decompress(self._stored.s3obj().get()["Body"].read())))
        except (OSError, EOFError, ValueError):
            return {}


def _holds(record: Mapping[str, Any], moment: float) -> bool:
    """Whether a record is that of the object of this time, and local inputs hold what they held."""
    if abs((record.get("endtime") or 0.0) - moment) >= SLACK:
        return False
    checksums = record.get("input_checksums") or {}  # of small files, by their local names
    here = (n for n in record.get("input") or () if n in checksums and Path(n).is_file())
    return all(str(checksums[name]).endswith(_sha256(Path(name))) for name in here)


def _delete(copy: Path) -> None:
    shutil.rmtree(copy, ignore_errors=True)
    if not copy.is_dir():
        copy.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
