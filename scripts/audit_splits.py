"""Look for leakage between the parts of every split."""

from pathlib import Path

from neuron_pruning.core.parquet import read_rows, write_rows
from neuron_pruning.data.leakage import LEAKAGE_SCHEMA, audit_split, check_promises, shared_sets
from neuron_pruning.data.near_duplicates import DISTANCE
from runtime.job_adapter import TrackedResult, run_job


def audit_splits(
    index: Path, splits: list[Path], leakage: Path, near_duplicate_distance: int | None = DISTANCE
) -> TrackedResult:
    """Write one row per check and per class for every split.

    Raises:
        UserError: images are in two parts of a split whose protocol keeps them in one.
    """
    shared = shared_sets(read_rows(index), near_duplicate_distance)
    rows = [row for path in splits for row in audit_split(read_rows(path), shared)]
    check_promises(rows)
    write_rows(leakage, rows, LEAKAGE_SCHEMA)
    leaking_sets = {
        f"{r['split']}_{r['seed']}_{r['check']}_leaking_sets": r["leaking_sets"] for r in rows
    }
    return TrackedResult(
        metrics={name: sets for name, sets in leaking_sets.items() if sets is not None}
    )


if "snakemake" in globals():
    run_job(globals()["snakemake"], audit_splits)
