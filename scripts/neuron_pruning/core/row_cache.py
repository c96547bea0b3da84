"""What an earlier run found out about each item, by key, so that it need not look again.

It lies in a journal, which grows by a chunk of items at a time: a killed job loses the chunk it was
at, and a damaged line is not read.
"""

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import xxhash

from neuron_pruning.core.files import remove_leftovers, write_text

CHUNK = 1024  # items after which the journal is written
Item = TypeVar("Item")
Row = Mapping[str, Any]


class Journal:
    """Values in a file: one line of JSON each, after its checksum."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Iterator[Any]:
        """All values whose lines are what they were when they were written."""
        if not self.path.is_file():
            return
        for line in self.path.read_text(encoding="ascii", errors="replace").split("\n"):
            digest, _, text = line.partition(" ")
            if digest and digest == _digest(text):
                yield json.loads(text)
            elif line:
                logging.warning("a line of %s is damaged and not used", self.path)

    def add(self, values: Iterable[Any]) -> None:
        """Append values; they are on the disk when this returns."""
        with self.path.open("a", encoding="ascii") as file:
            file.write("\n" + _lines(values))  # the line before may be torn
            file.flush()
            os.fsync(file.fileno())

    def replace(self, values: Iterable[Any]) -> None:
        """Write these values in place of all that are there."""
        remove_leftovers(self.path)
        write_text(self.path, _lines(values))


def _lines(values: Iterable[Any]) -> str:
    texts = map(json.dumps, values)
    return "".join(f"{_digest(text)} {text}\n" for text in texts)


def _digest(text: str) -> str:
    return xxhash.xxh3_64(text.encode()).hexdigest()


def rows_by_key(
    items: Mapping[str, Item], work: Callable[[Item], Row | None], kept: Path, threads: int = 1
) -> Iterator[tuple[str, Row | None]]:
    """Key and row of every item, in order; ``work`` computes those that are not known.

    A row that ``work`` refuses, None, is not kept. Rows that no item asks for are forgotten.
    """
    kept.mkdir(parents=True, exist_ok=True)
    journal = Journal(kept / "rows")
    known: dict[str, Row] = dict(journal.read())
    unknown = [key for key in items if key not in known]
    logging.info(
        "%d of %d items are known from an earlier run", len(items) - len(unknown), len(items)
    )
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(unknown), CHUNK):
            keys = unknown[start : start + CHUNK]
            found = zip(keys, pool.map(work, (items[key] for key in keys)), strict=True)
            fresh = {key: row for key, row in found if row is not None}
            journal.add(fresh.items())
            known |= fresh
    wanted = {key: known[key] for key in items if key in known}
    journal.replace(wanted.items())
    for key in items:
        yield key, wanted.get(key)
