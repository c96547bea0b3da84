"""What an earlier run found out about each item, by key, so that it need not look again.

Rows lie in Parquet files, one per chunk of items, each named by its own checksum: a killed job
loses the chunk it was at, and a damaged file is not read.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from neuron_pruning.core.checksums import file_digest
from neuron_pruning.core.files import atomic_path, remove_leftovers

CHUNK = 1024  # items between two files
KEY = "key"
Item = TypeVar("Item")
Row = Mapping[str, Any]


def rows_by_key(
    items: Mapping[str, Item], work: Callable[[Item], Row | None], kept: Path, threads: int = 1
) -> Iterator[tuple[str, Row | None]]:
    """Key and row of every item, in order; ``work`` computes those that are not known.

    A row that ``work`` refuses, None, is not kept. Rows that no item asks for are forgotten.
    """
    kept.mkdir(parents=True, exist_ok=True)
    remove_leftovers(kept / "unnamed")
    known = dict(_read(kept))
    unknown = [key for key in items if key not in known]
    logging.info(
        "%d of %d items are known from an earlier run", len(items) - len(unknown), len(items)
    )
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(unknown), CHUNK):
            keys = unknown[start : start + CHUNK]
            found = zip(keys, pool.map(work, (items[key] for key in keys)), strict=True)
            fresh = {key: row for key, row in found if row is not None}
            _write(kept, fresh)
            known |= fresh
    wanted = {key: known[key] for key in items if key in known}
    _replace(kept, wanted)
    for key in items:
        yield key, wanted.get(key)


def _read(kept: Path) -> Iterator[tuple[str, Row]]:
    """Rows of all files that are what they were when they were written."""
    for path in sorted(kept.glob("*.parquet")):
        if file_digest(path) != path.stem:
            logging.warning("%s is damaged and not used", path)
            continue
        for row in pq.read_table(path).to_pylist():
            yield row.pop(KEY), row


def _write(kept: Path, rows: Mapping[str, Row]) -> Path | None:
    """One file of rows, named by its checksum."""
    if not rows:
        return None
    table = pa.Table.from_pylist([{KEY: key, **row} for key, row in rows.items()])
    unnamed = kept / "unnamed"
    with atomic_path(unnamed) as temporary:
        pq.write_table(table, temporary)
    named = kept / f"{file_digest(unnamed)}.parquet"
    unnamed.replace(named)
    return named


def _replace(kept: Path, rows: Mapping[str, Row]) -> None:
    """One file of these rows in place of all that are there."""
    old = set(kept.glob("*.parquet"))
    new = _write(kept, rows)
    for path in old - {new}:
        path.unlink()
