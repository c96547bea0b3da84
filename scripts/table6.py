"""Table 6: what the remaining units get in return, without and with further training."""

from pathlib import Path

import pandas as pd
import pyarrow as pa

from neuron_pruning.core.parquet import CELL_COLUMNS, column, read_frame, schema
from neuron_pruning.statistics.significance import SIGNIFICANT
from neuron_pruning.statistics.technique_comparison import compensation_table, part_ratio
from neuron_pruning.tables.rendering import (
    DISPLAY_NAMES,
    count,
    degrees,
    over_seeds,
    percent,
    signed,
    write_table,
)
from runtime.job_adapter import TrackedResult, run_job

AVERAGED = {
    "removed": "removed units",
    "test_accuracy_before": "share right before pruning",
    "test_accuracy_after": "share right after it",
    "test_loss_after": "mean cross-entropy after it, nats",
    "agreement": "share of test images with the unpruned answer",
    "difference": "accuracy less that without compensation, paired by seed",
    "random_difference": "accuracy less that of random removal of as many, paired by seed",
}
TABLE_SCHEMA = schema(
    *CELL_COLUMNS,
    column("state", pa.string(), "trained or untrained"),
    column("layer", pa.string(), "pruned layer"),
    column("units", pa.int64(), "units of the layer before pruning"),
    column("angle", pa.float64(), "threshold of distinctiveness", "degrees"),
    column("compensation", pa.string(), "what the rest got in return"),
    column("fine_tuning", pa.int64(), "epochs of further training behind the layer"),
    column("seeds", pa.int64(), "runs in the mean"),
    *(
        column(f"{name}_{figure}", pa.float64(), f"{text}, {figure} over seeds")
        for name, text in AVERAGED.items()
        for figure in ("mean", "std")
    ),
    column("p", pa.float64(), "of that difference: corrected resampled t-test, Holm"),
    run=False,
)


def table6(
    points: list[Path], splits: list[Path], table: Path, rendered: list[Path], caption: str
) -> TrackedResult:
    """Write the table."""
    found = read_frame(points)
    rows = compensation_table(found, part_ratio(read_frame(splits)))
    text = (
        f"Table 6. {caption} Test accuracy in percent of {found['test_images'].max()} images, "
        f"{over_seeds(rows['seeds'].max())}; in brackets the paired differences in points from no "
        "compensation and from random removal of as many units with the same compensation, or with "
        "none where random removal cannot have it; both trained as long. * of the former: shown "
        "by the seeds (corrected resampled t-test, p < 0.05 after Holm's correction within the "
        "angle)."
    )
    write_table(rows[TABLE_SCHEMA.names], display(rows), text, TABLE_SCHEMA, table, rendered)
    return TrackedResult()


def display(rows: pd.DataFrame) -> pd.DataFrame:
    """A line a network, angle and compensation; a column an amount of further training."""
    lines = []
    # Where nothing goes, every compensation leaves the same network.
    nothing = rows["removed_mean"] == 0
    keys = ["model", "layer", "state", "angle", "compensation"]
    rows = rows.assign(compensation=rows["compensation"].mask(nothing, "any: nothing goes"))
    rows = rows.drop_duplicates([*keys, "fine_tuning"])
    for key, cells in rows.groupby(keys, sort=False):
        model, layer, state, angle, compensation = key
        name = f"{DISPLAY_NAMES.get(model, model)} {layer}"
        first = cells.iloc[0]
        after = {heading(row["fine_tuning"]): cell(row) for _, row in cells.iterrows()}
        lines.append(
            {
                "Network": name if state == "trained" else f"{name}, untrained",
                "Angle": degrees(angle),
                "Removed": count(first["removed_mean"], first["removed_std"]),
                "Before": percent(
                    first["test_accuracy_before_mean"], first["test_accuracy_before_std"], digits=1
                ),
                "Compensation": compensation,
                **after,
            }
        )
    return pd.DataFrame(lines)


def heading(epochs: int) -> str:
    """Name of the column of so many epochs of further training."""
    return f"After, {epochs} epochs more" if epochs else "After"


def cell(row: pd.Series) -> str:
    """``39.3 ± 2.1 (+1.2, +12.4)``."""
    text = percent(row["test_accuracy_after_mean"], row["test_accuracy_after_std"], digits=1)
    star = "*" if row["p"] < SIGNIFICANT else ""
    differences = f"{signed(row['difference_mean'])}{star}, {signed(row['random_difference_mean'])}"
    return f"{text} ({differences})"


if "snakemake" in globals():
    run_job(globals()["snakemake"], table6)
