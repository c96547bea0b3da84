"""Table 6: compensations of distinctiveness, without and with fine-tuning."""

import pandas as pd
import pyarrow as pa

from neuron_pruning.core.parquet import CELL_COLUMNS, column, schema
from neuron_pruning.statistics.significance import SIGNIFICANT, part_ratio
from neuron_pruning.statistics.technique_comparison import compensation_table
from neuron_pruning.tables.figures import averaged_columns
from neuron_pruning.tables.rendering import (
    count,
    counted,
    degrees,
    figures_are,
    network_name,
    percent,
    signed,
)
from neuron_pruning.tables.table import Table

AVERAGED = {
    "removed": "removed units",
    "test_accuracy_before": "test accuracy before pruning",
    "test_accuracy_after": "test accuracy after pruning",
    "test_loss_after": "mean cross-entropy on the test images after pruning, nats",
    "agreement": "share of test images with the unpruned network's prediction",
    "difference": "accuracy less that without compensation, paired by seed",
    "random_difference": "accuracy less that of random removal of as many, paired by seed",
}
SCHEMA = schema(
    *CELL_COLUMNS,
    column("state", pa.string(), "trained or untrained"),
    column("layer", pa.string(), "pruned layer"),
    column("units", pa.int64(), "units of the layer before pruning"),
    column("angle", pa.float64(), "threshold of distinctiveness", "degrees"),
    column("compensation", pa.string(), "compensation of the remaining units"),
    column("fine_tuning", pa.int64(), "epochs of fine-tuning of the downstream layers"),
    column("seeds", pa.int64(), "runs in the mean"),
    *averaged_columns(AVERAGED),
    column("p", pa.float64(), "of ``difference``: corrected resampled t-test, Holm"),
    column("tests", pa.float64(), "size of the family: compensations and epochs at this angle"),
    column("needed", pa.float64(), "deviations over seeds that a mean difference needs for a star"),
    run=False,
)


def compensation_rows(points: pd.DataFrame, splits: pd.DataFrame) -> pd.DataFrame:
    """One row per network, angle, compensation and number of epochs.

    Args:
        points: rows of the compared compensations.
        splits: rows of the split files.
    """
    rows = compensation_table(points, part_ratio(splits))
    return rows.assign(test_images=points["test_images"].max())


def caption(rows: pd.DataFrame) -> str:
    """What the figures are; of how many images, where the rows are fresh."""
    images = (
        f" of {counted(rows['test_images'].iloc[0], 'test image')}" if "test_images" in rows else ""
    )
    power = power_in_words(rows["needed"].max()) if "needed" in rows else ""
    return (
        f"Compensations of distinctiveness: test accuracy in percent{images}; in brackets the "
        "paired differences in points from no compensation, and from random removal of as many "
        "units with the same compensation, or without compensation where random removal cannot "
        "have it, both trained for as many epochs; * a significant difference from no "
        "compensation (corrected resampled t-test over seeds, p < 0.05 after Holm's correction "
        "for all compensations and epochs of the angle where units are removed)."
        f"{power} {figures_are(rows)}."
    )


def power_in_words(deviations: float) -> str:
    """What a difference must be for a star; the test sees large and steady differences only."""
    if pd.isna(deviations):
        return " There is no test: one seed allows none, nor does a pruning of no unit."
    return (
        " In the largest family p is below 0.05 only where the mean difference "
        f"exceeds {deviations:.1f} of its standard deviations over the seeds: no star says little."
    )


def display(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per network, angle and compensation; one column per number of epochs."""
    # Where no unit is removed, every compensation leaves the same network.
    nothing = rows["removed_mean"] == 0
    keys = ["model", "layer", "state", "angle", "compensation"]
    rows = rows.assign(compensation=rows["compensation"].mask(nothing, "any: nothing goes"))
    rows = rows.drop_duplicates([*keys, "fine_tuning"])
    return pd.DataFrame([line(cells) for _, cells in rows.groupby(keys, sort=False)])


def line(cells: pd.DataFrame) -> dict[str, str]:
    """One network, angle and compensation; ``cells``: a row per number of epochs."""
    first, before = cells.iloc[0], "test_accuracy_before"
    return {
        "Network": network_name(first["model"], first["state"], first["layer"]),
        "Angle": degrees(first["angle"]),
        "Removed": count(first["removed_mean"], first["removed_std"]),
        "Before": percent(first[f"{before}_mean"], first[f"{before}_std"], digits=1),
        "Compensation": first["compensation"],
        **{heading(row["fine_tuning"]): cell(row) for _, row in cells.iterrows()},
    }


def heading(epochs: int) -> str:
    """Name of the column of so many epochs of fine-tuning."""
    return f"After, {counted(epochs, 'epoch')} more" if epochs else "After"


def cell(row: pd.Series) -> str:
    """``39.3 ± 2.1 (+1.2, +12.4)``."""
    text = percent(row["test_accuracy_after_mean"], row["test_accuracy_after_std"], digits=1)
    star = "*" if row["p"] < SIGNIFICANT else ""
    differences = f"{signed(row['difference_mean'])}{star}, {signed(row['random_difference_mean'])}"
    return f"{text} ({differences})"


TABLE = Table(SCHEMA, compensation_rows, display, caption)
