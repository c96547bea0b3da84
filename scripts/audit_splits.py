"""Look for what lies on both sides of a split."""

from pathlib import Path

from neuron_pruning.core.parquet import read_rows, write_rows
from neuron_pruning.data.leakage import CROSSINGS_SCHEMA, audit_split, check_promises, shared_sets
from neuron_pruning.data.near_duplicates import DISTANCE
from runtime.job_adapter import TrackedResult, run_job


def audit_splits(
    index: Path, splits: list[Path], crossings: Path, near_identical: int | None = DISTANCE
) -> TrackedResult:
    """Write a row a check and a class for every split.

    Raises:
        UserError: images are in two parts of a split whose protocol keeps them in one.
    """
    shared = shared_sets(read_rows(index), near_identical)
    rows = [row for path in splits for row in audit_split(read_rows(path), shared)]
    check_promises(rows)
    write_rows(crossings, rows, CROSSINGS_SCHEMA)
    found = {f"{r['split']}_{r['seed']}_{r['check']}_crossing": r["crossing"] for r in rows}
    return TrackedResult(metrics={name: sets for name, sets in found.items() if sets is not None})


if "snakemake" in globals():
    run_job(globals()["snakemake"], audit_splits)
