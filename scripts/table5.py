"""Table 5: the techniques at equal numbers of removed units, beside random removal."""

from pathlib import Path

import pandas as pd
import pyarrow as pa

from neuron_pruning.core.parquet import CELL_COLUMNS, column, read_frame, schema
from neuron_pruning.statistics.significance import SIGNIFICANT
from neuron_pruning.statistics.technique_comparison import (
    FIGURES,
    majority_share,
    part_ratio,
    ranking,
)
from neuron_pruning.tables.rendering import DISPLAY_NAMES, over_seeds, percent, signed, write_table
from runtime.job_adapter import TrackedResult, run_job

AVERAGED = {
    "test_accuracy": "share of the test images right",
    "test_loss": "mean cross-entropy on the test images, nats",
    "agreement": "share of test images with the unpruned answer",
    "divergence": "from the unpruned network's answers, nats",
    "difference": "accuracy less that of random removal, paired by seed",
}
TABLE_SCHEMA = schema(
    *CELL_COLUMNS,
    column("state", pa.string(), "trained or untrained"),
    column("layer", pa.string(), "pruned layer"),
    column("technique", pa.string(), "label of the technique, or majority class"),
    column("compensation", pa.string(), "what the rest got in return"),
    column("own", pa.string(), "compensation that the technique's label names"),
    column("reference", pa.string(), "compensation of the random removal it is compared with"),
    column("removed", pa.int64(), "removed units"),
    column("seeds", pa.int64(), "runs in the mean"),
    *(
        column(f"{name}_{figure}", pa.float64(), f"{text}, {figure} over seeds")
        for name, text in AVERAGED.items()
        for figure in ("mean", "std")
    ),
    column("p", pa.float64(), "of that difference: corrected resampled t-test, Holm"),
    column("free_units", pa.float64(), "units that go for less than a point of accuracy"),
    column("score", pa.float64(), "mean accuracy over the numbers of removed units"),
    column("rank", pa.float64(), "by score, among the techniques of one network"),
    run=False,
)


def table5(
    points: list[Path],
    splits: list[Path],
    table: Path,
    rendered: list[Path],
    counts: list[int],
    draws: int,
    caption: str,
) -> TrackedResult:
    """Write the table: all techniques and compensations in the files, the main ones displayed."""
    found = read_frame(points)
    parts = [read_frame([path]) for path in splits]
    rows = ranking(found, counts, part_ratio(pd.concat(parts)))
    share = majority_share(parts)
    rows = pd.concat([rows, majority_rows(rows, share)], ignore_index=True)
    first = found.iloc[0]
    text = (
        f"Table 5. {caption} Test accuracy in percent of {first['test_images']} test images after "
        f"so many units went, {over_seeds(rows['seeds'].max())}; in brackets the paired difference "
        f"in points from random removal ({draws} draws) with the same compensation, or with none "
        "where random removal cannot have it, with * where the seeds show it (corrected resampled "
        "t-test, p < 0.05 after Holm's correction within network and number). Free: units that go "
        "for less than one point. "
        "Auxiliary fits its weights to the classes, which the others never do."
    )
    write_table(
        rows[TABLE_SCHEMA.names], display(rows, counts), text, TABLE_SCHEMA, table, rendered
    )
    return TrackedResult()


def majority_rows(rows: pd.DataFrame, share: tuple[float, float]) -> pd.DataFrame:
    """The control that no pruning touches, a row a network and number of units."""
    networks = rows[rows["state"] == "trained"].drop_duplicates(["model", "layer", "removed"])
    blank = {f"{name}_{f}": None for name in (*FIGURES, "difference") for f in ("mean", "std")}
    blank["p"] = None
    figures = {"test_accuracy_mean": share[0], "test_accuracy_std": share[1]}
    names = {"technique": "majority class", "compensation": "", "own": "", "reference": ""}
    gone = {"free_units": None, "score": share[0], "rank": None}
    return networks.assign(**{**blank, **figures, **names, **gone})


def display(rows: pd.DataFrame, counts: list[int]) -> pd.DataFrame:
    """A line a technique and compensation, in the order of their ranks; then the controls.

    Every technique with its own compensation and with lstsq; the rest is in the Parquet file.
    """
    shown = rows[(rows["compensation"] == rows["own"]) | (rows["compensation"] == "lstsq")]
    controls = shown["technique"].isin(["random", "distinctiveness"])
    shown = shown[(shown["state"] == "trained") | controls]
    order = {"trained": 0, "untrained": 1}
    lines = []
    keys = ["model", "layer", "state", "technique", "compensation"]
    for key, cells in shown.groupby(keys, sort=False):
        model, layer, state, technique, compensation = key
        by_count = cells.set_index("removed")
        name = f"{DISPLAY_NAMES.get(model, model)} {layer}"
        lines.append(
            {
                "place": (model, layer, technique == "majority class", order[state]),
                "rank": cells["rank"].iloc[0],
                "Network": name if state == "trained" else f"{name}, untrained",
                "Technique": technique,
                "Compensation": compensation,
                **{str(count): cell(by_count, count) for count in counts},
                "Free": free(cells["free_units"].iloc[0]),
            }
        )
    lines.sort(key=lambda line: (line["place"], pd.isna(line["rank"]), line["rank"]))
    return pd.DataFrame(lines).drop(columns=["place", "rank"])


def cell(rows: pd.DataFrame, count: int) -> str:
    """``39.3 ± 2.1 (+12.4)``; a dash where a technique cannot remove so many."""
    if count not in rows.index:
        return "–"
    row = rows.loc[count]
    text = percent(row["test_accuracy_mean"], row["test_accuracy_std"], digits=1)
    if pd.isna(row["difference_mean"]):
        return text
    return f"{text} ({signed(row['difference_mean'])}{'*' if row['p'] < SIGNIFICANT else ''})"


def free(units: float | None) -> str:
    """Number of units, or a dash."""
    return "–" if units is None or pd.isna(units) else f"{units:.0f}"


if "snakemake" in globals():
    run_job(globals()["snakemake"], table5)
