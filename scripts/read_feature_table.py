"""Read a published spreadsheet of features, and report what is wrong with it."""

from pathlib import Path

from neuron_pruning.baselines.descriptors import write_features
from neuron_pruning.baselines.feature_table import FAULTS_SCHEMA, match_features, read_workbook
from neuron_pruning.core.errors import UserError
from neuron_pruning.core.parquet import read_rows, write_rows
from runtime.job_adapter import TrackedResult, run_job


def read_feature_table(
    feature_table: Path | list[Path], index: Path, features: Path, faults: Path
) -> TrackedResult:
    """Write the features of every image of the index, and the faults."""
    if isinstance(feature_table, list):  # what a rule has for an input that is not configured
        raise UserError(
            "baseline.feature_table is not set; name the spreadsheet, or take feature_table out of "
            "comparison.baselines"
        )
    images = read_rows(index, ["image", "label"])
    table = read_workbook(feature_table, sorted({row["label"] for row in images}))
    write_features(features, [row["image"] for row in images], match_features(table, images))
    write_rows(faults, (fault._asdict() for fault in table.faults), FAULTS_SCHEMA)
    return TrackedResult(metrics={"rows": len(table.rows), "faults": len(table.faults)})


if "snakemake" in globals():
    run_job(globals()["snakemake"], read_feature_table)
