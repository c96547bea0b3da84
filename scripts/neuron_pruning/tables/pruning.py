"""Table 4: units removed and accuracy after pruning, trained and untrained."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa

from neuron_pruning.core.parquet import CELL, CELL_COLUMNS, column, schema
from neuron_pruning.pruning.selection import RULES
from neuron_pruning.statistics.model_comparison import comparison_columns
from neuron_pruning.statistics.significance import (
    PairedSeeds,
    holm_together,
    of_counts,
    of_tests,
    part_ratio,
)
from neuron_pruning.statistics.technique_comparison import averages
from neuron_pruning.tables.figures import (
    FRAMES,
    INTERVAL_COLUMNS,
    averaged_columns,
    paper_of,
    with_interval,
    without_empty,
)
from neuron_pruning.tables.rendering import (
    count,
    counted,
    degrees,
    figures_are,
    interval,
    network_name,
    percent,
)
from neuron_pruning.tables.table import Table

PRUNING_KEYS = [
    *CELL,
    *("state", "layer", "technique", "compensation", "fine_tuning", "angle", "count"),
]
AVERAGED = {
    "removed": "removed units",
    **{f"removed_{rule}": f"units removed as {rule}" for rule in RULES},
    "test_accuracy_before": "test accuracy before pruning",
    "test_accuracy_after": "test accuracy after pruning",
    "parameters_after": "parameters after pruning",
    "multiply_adds_after": "multiply-adds per image after pruning",
}
PAPER_COLUMNS = {"removed": "removed units", "before": "accuracy before", "after": "accuracy after"}
SCHEMA = schema(
    *CELL_COLUMNS,
    column("state", pa.string(), "trained or untrained"),
    column("layer", pa.string(), "pruned layer"),
    column("technique", pa.string(), "label of the technique"),
    column("compensation", pa.string(), "compensation of the remaining units"),
    column("fine_tuning", pa.int64(), "epochs of fine-tuning"),
    column("angle", pa.float64(), "threshold; none where a number of units was given", "degrees"),
    column("count", pa.float64(), "number of units to remove; none where a threshold was given"),
    column("units", pa.int64(), "units of the layer before pruning"),
    column("seeds", pa.int64(), "runs in the mean"),
    column("test_images", pa.int64(), "images of the test part", "images"),
    *averaged_columns(AVERAGED),
    *INTERVAL_COLUMNS,
    column("seeds_better", pa.int64(), "seeds significantly better after (McNemar, Holm)"),
    column("seeds_worse", pa.int64(), "seeds significantly worse after (McNemar, Holm)"),
    column("p_images", pa.float64(), "McNemar, of the seeds that decide (Holm)"),
    column("p_seeds", pa.float64(), "corrected resampled t-test over seeds, before and after"),
    *(
        column(f"paper_{name}", pa.float64(), f"the paper: {t}")
        for name, t in PAPER_COLUMNS.items()
    ),
    run=False,
)


def pruning_rows(
    metrics: pd.DataFrame, splits: pd.DataFrame, paper: Mapping[str, Any] | None = None
) -> pd.DataFrame:
    """Means and tests over seeds; the paper's values stand beside the trained networks.

    Args:
        metrics: rows of the ``metrics.parquet`` of pruned networks.
        splits: rows of the split files.
        paper: the paper's figures, where there are any; None of them stands beside other classes.
    """
    prunings = metrics.astype({"angle": float, "count": float})
    rows = with_tests(summarise(prunings), prunings, part_ratio(splits))
    known = paper_of(paper, splits["label"])["table4"]
    published = pd.DataFrame(known, columns=["model", "angle", *PAPER_COLUMNS])
    published = published.rename(columns={name: f"paper_{name}" for name in PAPER_COLUMNS})
    published = published.assign(state="trained", technique="distinctiveness")
    published = published.astype({"angle": float})
    return rows.merge(published, how="left", on=["model", "technique", "angle", "state"])


def summarise(prunings: pd.DataFrame) -> pd.DataFrame:
    """Means and intervals over seeds, one row per model, state and amount, in the paper's order."""
    prunings = prunings.assign(removed=prunings["units_before"] - prunings["units_after"])
    grouped = prunings.groupby(PRUNING_KEYS, sort=False, dropna=False)
    rows = grouped.agg(
        units=("units_before", "max"),
        seeds=("seed", "size"),
        test_images=("test_images", "max"),
        **averages(AVERAGED),
    ).reset_index()
    order = {"state": True, "model": True, "technique": True, "angle": False, "count": True}
    rows = rows.sort_values(list(order), ascending=list(order.values()), key=in_order_of_config)
    return with_interval(rows, "test_accuracy_after_mean")


def in_order_of_config(column: pd.Series) -> pd.Series:
    """Places of models and techniques as they first appear; other columns as they are."""
    if column.name in ("model", "technique"):
        return pd.Series(pd.factorize(column)[0], index=column.index)
    return column


def with_tests(rows: pd.DataFrame, prunings: pd.DataFrame, ratio: float) -> pd.DataFrame:
    """Add the tests of after against before on the same test images.

    Args:
        rows: what :func:`summarise` gives.
        prunings: what it summarises, one row per seed.
        ratio: test images divided by training images.
    """
    merged = prunings.merge(rows[PRUNING_KEYS].reset_index(names="row"), on=PRUNING_KEYS)
    pairs = holm_together([paired(merged[merged["row"] == row], ratio) for row in rows.index])
    return rows.join(pd.DataFrame(map(comparison_columns, pairs), index=rows.index))


def paired(seeds: pd.DataFrame, ratio: float) -> PairedSeeds:
    """After against before, one test per seed; none where nothing was removed or trained."""
    same = (seeds["units_after"] == seeds["units_before"]) & (seeds["fine_tuning"] == 0)
    counts = seeds[["gained", "lost", "test_images"]].astype(int).assign(same=same)
    tests = [of_counts(*row) for row in counts.itertuples(index=False)]
    return of_tests(tests, ratio)


def caption(rows: pd.DataFrame) -> str:
    """What the figures are, and which seeds count as worse."""
    published = rows["paper_removed"].notna().any()
    beside = " The paper's own figures stand beside them." if published else ""
    return (
        "Units removed from the pruned layer, and test accuracy in percent before and after "
        f"pruning. {figures_are(rows)}, {counted(rows['test_images'].max(), 'test image')}; in "
        f"brackets the 95 % interval (Wilson) of one test part of that size, {FRAMES}. Seeds "
        "worse: seeds whose test accuracy is significantly lower after pruning (McNemar's exact "
        "test, p < 0.05 after Holm's correction for all tests of the table; where no unit goes "
        f"there is none).{beside}"
    )


def amounts(rows: pd.DataFrame) -> list[str]:
    """``15°`` or ``50 units``, with the technique where there are several."""
    several = rows["technique"].nunique() > 1
    return [
        f"{f'{technique}, ' if several else ''}"
        f"{degrees(angle) if pd.isna(number) else counted(int(number), 'unit')}"
        for technique, angle, number in rows[["technique", "angle", "count"]].to_numpy()
    ]


def display(rows: pd.DataFrame) -> pd.DataFrame:
    """The paper's columns, with its own values beside ours if there are any."""
    before, after, removed = (
        rows[[f"{name}_mean", f"{name}_std"]].to_numpy().T
        for name in ("test_accuracy_before", "test_accuracy_after", "removed")
    )
    shown = pd.DataFrame(
        {
            "Model": map(network_name, rows["model"], rows["state"]),
            "Test Accuracy before Pruning": map(percent, *before),
            "Threshold angle": amounts(rows),
            "Neurons in this layer": rows["units"].to_numpy(),
            "Neurons removed": map(count, *removed),
            "Test Accuracy after Pruning": map(percent, *after),
            "95 %": map(interval, rows["low"], rows["high"]),
            "Seeds worse": map("{} of {}".format, rows["seeds_worse"], rows["seeds"]),
            "Paper removed": map(count, rows["paper_removed"]),
            "Paper before": map(percent, rows["paper_before"]),
            "Paper after": map(percent, rows["paper_after"]),
        }
    )
    return without_empty(shown, rows, {f"Paper {name}": f"paper_{name}" for name in PAPER_COLUMNS})


TABLE = Table(SCHEMA, pruning_rows, display, caption)
