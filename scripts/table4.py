"""Table 4: units removed and accuracy after pruning, trained and untrained."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import yaml

from neuron_pruning.core.parquet import CELL, CELL_COLUMNS, column, read_frame, read_many, schema
from neuron_pruning.pruning.selection import RULES
from neuron_pruning.statistics.significance import (
    PairedSeeds,
    holm_together,
    of_counts,
    of_tests,
    wilson_of_mean,
)
from neuron_pruning.statistics.technique_comparison import part_ratio
from neuron_pruning.tables.rendering import (
    DISPLAY_NAMES,
    count,
    degrees,
    interval,
    over_seeds,
    percent,
    write_table,
)
from runtime.job_adapter import TrackedResult, run_job

KEYS = [
    *CELL,
    *("state", "layer", "technique", "compensation", "fine_tuning", "angle", "count"),
]
AVERAGED = {
    "removed": "units removed",
    **{f"removed_{rule}": f"units removed as {rule}" for rule in RULES},
    "test_accuracy_before": "share right before pruning",
    "test_accuracy_after": "share right after pruning",
    "parameters_after": "parameters after pruning",
    "multiply_adds_after": "multiply-adds an image after pruning",
}
PAPER = {"removed": "units removed", "before": "accuracy before", "after": "accuracy after"}
TABLE_SCHEMA = schema(
    *CELL_COLUMNS,
    column("state", pa.string(), "trained or untrained"),
    column("layer", pa.string(), "pruned layer"),
    column("technique", pa.string(), "label of the technique"),
    column("compensation", pa.string(), "what the remaining units got in return"),
    column("fine_tuning", pa.int64(), "epochs of further training"),
    column("angle", pa.float64(), "threshold; none where units were counted", "degrees"),
    column("count", pa.float64(), "units counted out; none where there was a threshold"),
    column("units", pa.int64(), "units of the layer before pruning"),
    column("seeds", pa.int64(), "runs in the mean"),
    column("test_images", pa.int64(), "images of the test part", "images"),
    *(
        column(f"{name}_{figure}", pa.float64(), f"{text}, {figure} over seeds")
        for name, text in AVERAGED.items()
        for figure in ("mean", "std")
    ),
    column("low", pa.float64(), "lower end of the 95 % interval of the accuracy after (Wilson)"),
    column("high", pa.float64(), "upper end of it"),
    column("seeds_better", pa.int64(), "seeds that McNemar's test shows to be better after (Holm)"),
    column("seeds_worse", pa.int64(), "seeds that it shows to be worse after"),
    column("p_images", pa.float64(), "McNemar, of the seeds that decide (Holm)"),
    column("p_seeds", pa.float64(), "corrected resampled t-test over seeds, before and after"),
    *(column(f"paper_{name}", pa.float64(), f"the paper: {t}") for name, t in PAPER.items()),
    run=False,
)


def table4(
    metrics: list[Path],
    splits: list[Path],
    paper: Path,
    table: Path,
    rendered: list[Path],
    caption: str,
) -> TrackedResult:
    """Write the table; the paper's values stand beside the trained networks."""
    prunings = pd.DataFrame(read_many(metrics))
    rows = with_tests(summarise(prunings), prunings, part_ratio(read_frame(splits)))
    published = pd.DataFrame(yaml.safe_load(paper.read_text(encoding="utf-8"))["table4"])
    published = published.rename(columns={name: f"paper_{name}" for name in PAPER})
    published = published.assign(
        state="trained", technique="distinctiveness", angle=published["angle"].astype(float)
    )
    keys = ["model", "technique", "angle", "state"]
    rows = rows.merge(published.drop(columns="units"), how="left", on=keys)
    first = rows.iloc[0]
    text = (
        f"Table 4. {caption} Figures are {over_seeds(first['seeds'])}; "
        f"accuracy in percent of {first['test_images']} test images, in brackets the 95 % interval "
        "of one test part of that size (Wilson). Seeds worse: those of which McNemar's exact test "
        "shows that pruning cost right answers (p < 0.05 after Holm's correction for all tests of "
        "the table)."
    )
    write_table(rows[TABLE_SCHEMA.names], display(rows), text, TABLE_SCHEMA, table, rendered)
    return TrackedResult()


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean and deviation over seeds, a row a model, state and angle, in the paper's order."""
    rows = rows.assign(removed=rows["units_before"] - rows["units_after"])
    rows = rows.astype({"angle": float, "count": float})
    grouped = rows.groupby(KEYS, sort=False, dropna=False)
    figures = {
        f"{name}_{figure}": grouped[name].agg(figure)
        for name in AVERAGED
        for figure in ("mean", "std")
    }
    sizes = {
        "units": grouped["units_before"].max(),
        "seeds": grouped.size(),
        "test_images": grouped["test_images"].max(),
    }
    table = pd.DataFrame({**sizes, **figures}).reset_index()
    model_order = {model: place for place, model in enumerate(table["model"].unique())}
    table["place"] = table["model"].map(model_order)
    labels = {label: place for place, label in enumerate(table["technique"].unique())}
    table["label"] = table["technique"].map(labels)
    order = ["state", "place", "label", "angle", "count"]
    table = table.sort_values(order, ascending=[True, True, True, False, True])
    return table.drop(columns=["place", "label"])


def with_tests(rows: pd.DataFrame, prunings: pd.DataFrame, ratio: float) -> pd.DataFrame:
    """Intervals, and what the same test images show of before and after.

    ``ratio`` is test images to training images.
    """
    ends = [
        wilson_of_mean([mean], images)
        for mean, images in zip(rows["test_accuracy_after_mean"], rows["test_images"], strict=True)
    ]
    merged = prunings.astype({"angle": float, "count": float}).merge(
        rows[KEYS].reset_index(names="row"), on=KEYS
    )
    pairs = holm_together([paired(merged[merged["row"] == row], ratio) for row in rows.index])
    return rows.assign(
        low=[low for low, _ in ends],
        high=[high for _, high in ends],
        seeds_better=[pair.better for pair in pairs],
        seeds_worse=[pair.worse for pair in pairs],
        p_images=[pair.p for pair in pairs],
        p_seeds=[pair.over_seeds.p for pair in pairs],
    )


def paired(seeds: pd.DataFrame, ratio: float) -> PairedSeeds:
    """After against before, a test a seed."""
    counts = seeds[["gained", "lost", "test_images"]].astype(int)
    tests = [of_counts(*row) for row in counts.itertuples(index=False)]
    return of_tests(tests, ratio)


def amounts(rows: pd.DataFrame) -> list[str]:
    """``15°`` or ``50 units``, with the technique where there are several."""
    several = rows["technique"].nunique() > 1
    return [
        f"{f'{technique}, ' if several else ''}"
        f"{degrees(angle) if pd.isna(number) else f'{number:.0f} units'}"
        for technique, angle, number in rows[["technique", "angle", "count"]].to_numpy()
    ]


def display(rows: pd.DataFrame) -> pd.DataFrame:
    """The paper's columns with its own values beside ours."""
    names = [
        f"{DISPLAY_NAMES.get(model, model)}{'' if state == 'trained' else ', untrained'}"
        for model, state in zip(rows["model"], rows["state"], strict=True)
    ]
    before, after = "test_accuracy_before", "test_accuracy_after"
    return pd.DataFrame(
        {
            "Model": names,
            "Test Accuracy before Pruning": map(
                percent, rows[f"{before}_mean"], rows[f"{before}_std"]
            ),
            "Threshold angle": amounts(rows),
            "Neurons in this layer": rows["units"],
            "Neurons removed": map(count, rows["removed_mean"], rows["removed_std"]),
            "Test Accuracy after Pruning": map(
                percent, rows[f"{after}_mean"], rows[f"{after}_std"]
            ),
            "95 %": map(interval, rows["low"], rows["high"]),
            "Seeds worse": [
                f"{worse} of {seeds}"
                for worse, seeds in zip(rows["seeds_worse"], rows["seeds"], strict=True)
            ],
            "Paper removed": map(count, rows["paper_removed"]),
            "Paper before": map(percent, rows["paper_before"]),
            "Paper after": map(percent, rows["paper_after"]),
        }
    )


if "snakemake" in globals():
    run_job(globals()["snakemake"], table4)
